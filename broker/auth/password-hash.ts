import { hash } from 'bcryptjs'

/** 2 to the power of this many rounds: some 60 ms on a server, as `htpasswd -B -C 10`. */
const cost = 10

/** bcrypt passes over what is beyond. */
const maxBytes = 72

/**
 * Makes what an htpasswd file keeps of a password, in bcrypt.
 *
 * @throws Error for a password that is empty, that bcrypt would cut, or that no line can hold.
 */
export async function hashPassword(password: string): Promise<string> {
  if (password === '') throw new Error('The password is empty.')
  if (Buffer.byteLength(password) > maxBytes)
    throw new Error(`The password has ${Buffer.byteLength(password)} bytes: allowed are up to ${maxBytes}.`)
  // A client sends it in a text, and C ends one at the first of these.
  if (password.includes('\0')) throw new Error('The password has a character that no password can have.')
  return hash(password, cost)
}
