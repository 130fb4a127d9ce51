import { readFileSync } from 'node:fs'
import { HtpasswdError, parseHtpasswd } from '../auth/htpasswd.ts'
import { assertUserName, withUser } from '../auth/htpasswd-line.ts'
import { hashPassword } from '../auth/password-hash.ts'
import { defineCommand } from './command.ts'
import { replaceFile } from './replace-file.ts'
import { readSecret } from './secret.ts'
import { accepted } from './words.ts'

export const command = defineCommand({
  name: 'passwd',
  description: 'Sets the password of a user in an htpasswd file, in bcrypt',
  args: {
    file: {
      type: 'positional',
      required: true,
      description: 'Made when it is not there, readable by its owner alone',
    },
    user: { type: 'positional', required: true, description: 'Who logs in' },
  },
  notes: `On a terminal the password is asked for twice and not shown. Elsewhere it is the first line of standard input. A
running broker that has this file as usersFile takes the change at once.`,
  examples: ['broker passwd /etc/postern/users amy', 'pass show postern/amy | broker passwd users amy'],
  async run({ file, user }) {
    accepted(() => assertUserName(user))
    // Before anybody is asked for a password.
    const old = read(file)
    const hash = await hashPassword(await readSecret(`Password of ${user}`))
    const content = withUser(old, user, hash)
    assertUsable(file, content)
    replaceFile(file, content)
    process.stderr.write(`broker: the password of ${user} is set in ${file}\n`)
  },
})

function read(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return ''
    throw error
  }
}

/** A broker refuses a file with one bad line, with all users in it. */
function assertUsable(file: string, content: string): void {
  try {
    parseHtpasswd(content)
  } catch (error) {
    if (!(error instanceof HtpasswdError)) throw error
    throw new Error(`${file} could not be used: ${error.message}. Nothing is changed.`)
  }
}
