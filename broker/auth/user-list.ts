import { readFileSync } from 'node:fs'
import { HtpasswdError, parseHtpasswd, type User } from './htpasswd.ts'

/** Where the users stand. */
export interface UserSettings {
  /** An htpasswd file, or empty. */
  readonly usersFile: string
  /** Lines of the same form. They beat the file. */
  readonly users: readonly string[]
}

export interface LoginSettings extends UserSettings {
  /** Wrong passwords from one address at once; with one name from there, a tenth of it. */
  readonly maxLoginFailures: number
}

/** A list of users cannot be read. The message says where it is wrong, and shows no line. */
export class UserListError extends Error {
  override readonly name = 'UserListError'
}

/**
 * Reads all users, by their names.
 *
 * @throws UserListError
 */
export function readUsers({ usersFile, users }: UserSettings): ReadonlyMap<string, User> {
  const ofFile =
    usersFile === '' ? new Map() : parsed(`The users file ${usersFile}`, () => readFile(usersFile))
  const inline = parsed('The setting users', () => users.join('\n'))
  return new Map([...ofFile, ...inline])
}

function parsed(where: string, read: () => string): Map<string, User> {
  try {
    return parseHtpasswd(read())
  } catch (error) {
    if (!(error instanceof HtpasswdError)) throw error
    throw new UserListError(`${where} cannot be used: ${error.message}.`)
  }
}

function readFile(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    throw new UserListError(`The users file ${path} cannot be read: ${reason}.`)
  }
}
