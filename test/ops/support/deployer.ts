import { execFile } from 'node:child_process'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import type { Command } from '../../support/command.ts'
import type { Machine } from './machine.ts'

const root = fileURLToPath(new URL('../../..', import.meta.url))

/** What a deploy came to. */
export interface Deployed {
  readonly code: number | null
  readonly output: string
}

/** Somebody with a key who deploys to a machine from outside. */
export class Deployer {
  readonly #machine: Machine
  readonly #key: string

  private constructor(machine: Machine, key: string) {
    this.#machine = machine
    this.#key = key
  }

  /** Makes a key, with which root and the user deployer, who may use sudo, can log in. */
  static async of(machine: Machine, folder: string): Promise<Deployer> {
    const key = join(folder, 'key')
    await promisify(execFile)('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', key])
    const authorized = await readFile(`${key}.pub`, 'utf8')
    await machine.sh(
      `useradd --create-home --shell /bin/bash deployer
       echo 'deployer ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/deployer
       mkdir -p -m 0700 /root/.ssh /home/deployer/.ssh
       tee /root/.ssh/authorized_keys > /home/deployer/.ssh/authorized_keys
       chown -R deployer: /home/deployer/.ssh`,
      { input: authorized },
    )
    await writeFile(join(folder, 'known-hosts'), '')
    return new Deployer(machine, key)
  }

  /** @param words options, and the tarball. */
  start(words: readonly string[], user = 'root'): Command {
    const options = [
      'BatchMode=yes',
      'StrictHostKeyChecking=no',
      'UserKnownHostsFile=/dev/null',
      'LogLevel=ERROR',
    ]
    const ssh = [
      'ssh',
      '-F',
      '/dev/null',
      '-i',
      this.#key,
      ...options.flatMap(option => ['-o', option]),
    ].join(' ')
    const tarball = words.at(-1) ?? ''
    const args = ['--ssh', ssh, ...words.slice(0, -1), `${user}@127.0.0.1`, tarball]
    return this.#machine.beside('sh', [join(root, 'infra/deploy.sh'), ...args])
  }

  async deploy(words: readonly string[], user?: string): Promise<Deployed> {
    const command = this.start(words, user)
    const { code } = await command.ended
    return { code, output: command.output() }
  }
}
