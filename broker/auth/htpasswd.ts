/** How a password is kept. */
export type Scheme = 'bcrypt' | 'apr1' | 'sha'

/** A line of an htpasswd file. */
export interface User {
  readonly name: string
  readonly scheme: Scheme
  /** As it stands in the line. */
  readonly hash: string
}

/** A line that cannot be used. The message names its number and never shows what is in it. */
export class HtpasswdError extends Error {
  override readonly name = 'HtpasswdError'
}

/** Threat: one login with a hash of cost 31 keeps a processor busy for days. Cost 16 takes 5 s on a small server. */
const maxCost = 16

const bcryptPattern = /^\$2[aby]\$(\d\d)\$[./A-Za-z0-9]{53}$/
const apr1Pattern = /^\$apr1\$[^$]{1,8}\$[./A-Za-z0-9]{22}$/
const shaPattern = /^\{SHA\}[A-Za-z0-9+/]{27}=$/

/**
 * Reads the lines of an htpasswd file: `name:hash`, the hash in bcrypt, `$apr1$` or `{SHA}`. Empty lines and those that
 * begin with `#` are left out. Of two lines with one name the first counts, as with Apache.
 *
 * @throws HtpasswdError for the first line that cannot be used.
 */
export function parseHtpasswd(text: string): Map<string, User> {
  const users = new Map<string, User>()
  for (const [index, whole] of text.split('\n').entries()) {
    const line = whole.trim()
    if (line === '' || line.startsWith('#')) continue
    const user = parseLine(line, index + 1)
    if (!users.has(user.name)) users.set(user.name, user)
  }
  return users
}

function parseLine(line: string, number: number): User {
  const colon = line.indexOf(':')
  if (colon < 1) throw new HtpasswdError(`line ${number} is not name:hash`)
  const hash = line.slice(colon + 1)
  return { name: line.slice(0, colon), scheme: schemeOf(hash, number), hash }
}

function schemeOf(hash: string, number: number): Scheme {
  if (apr1Pattern.test(hash)) return 'apr1'
  if (shaPattern.test(hash)) return 'sha'
  const cost = Number(bcryptPattern.exec(hash)?.[1])
  if (cost > maxCost)
    throw new HtpasswdError(`the cost of line ${number} is ${cost}: allowed is up to ${maxCost}`)
  if (cost >= 4) return 'bcrypt'
  throw new HtpasswdError(
    `line ${number} is in no known form: allowed are bcrypt (htpasswd -B), $apr1$ and {SHA}`,
  )
}
