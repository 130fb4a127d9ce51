import { PosternError } from '../protocol/index.ts'

/** `limited`: too many failures lately, the password was not looked at. `busy`: it could not be. */
export type Refusal = 'wrong' | 'limited' | 'busy'

/** What whoever was not let in is told. */
export function loginRefusal(refusal: Refusal, maxLoginFailures: number): PosternError {
  switch (refusal) {
    case 'wrong':
      return new PosternError('UNAUTHORIZED', 'The name or the password is wrong.')
    case 'limited':
      return new PosternError(
        'LOGIN_UNAVAILABLE',
        'Too many logins from there have failed. Try again later.',
        {
          limit: maxLoginFailures,
          setting: 'maxLoginFailures',
        },
      )
    case 'busy':
      return new PosternError('LOGIN_UNAVAILABLE')
  }
}
