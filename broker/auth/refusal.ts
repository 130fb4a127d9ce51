import { PosternError } from '../protocol/index.ts'

/** `limited`: too many failures lately, the password was not looked at. `busy`: it could not be. */
export type Refusal = 'wrong' | 'limited' | 'busy'

/** What whoever was not let in is told. */
export function loginRefusal(refusal: Refusal): PosternError {
  return refusal === 'wrong'
    ? new PosternError('UNAUTHORIZED', 'The name or the password is wrong.')
    : new PosternError('LOGIN_UNAVAILABLE')
}
