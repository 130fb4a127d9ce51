import { createHash, timingSafeEqual } from 'node:crypto'
import apacheMd5 from 'apache-md5'
import { compareSync } from 'bcryptjs'
import type { User } from './htpasswd.ts'

/** Whether it is the user's password. Takes as long as the hash wants it to, on the thread that calls. */
export function isPassword(password: string, { scheme, hash }: Pick<User, 'scheme' | 'hash'>): boolean {
  switch (scheme) {
    case 'bcrypt':
      return compareSync(password, hash)
    case 'apr1':
      // It takes each character for a byte.
      return isEqual(apr1(Buffer.from(password).toString('latin1'), hash), hash)
    case 'sha':
      return isEqual(`{SHA}${createHash('sha1').update(password).digest('base64')}`, hash)
  }
}

/** Its types name a default export, and its module is the function itself. */
function apr1(password: string, hash: string): string {
  const digest: unknown = apacheMd5
  return typeof digest === 'function' ? String(digest(password, hash)) : ''
}

/** Takes as long wherever the two differ. The length of a hash is no secret. */
function isEqual(one: string, other: string): boolean {
  const [first, second] = [Buffer.from(one), Buffer.from(other)]
  return first.length === second.length && timingSafeEqual(first, second)
}
