import { execFile } from 'node:child_process'
import { mkdir, readFile, symlink, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import type { Command } from '../../support/command.ts'
import type { Machine } from './machine.ts'

const root = fileURLToPath(new URL('../../..', import.meta.url))

/** The name that the server is called by; it leads to the machine. */
const host = 'server.example'

/** What a deploy came to. */
export interface Deployed {
  readonly code: number | null
  readonly output: string
}

/** Somebody with a key who deploys to a machine from outside, from a folder as the project's. */
export class Deployer {
  readonly #machine: Machine
  readonly #folder: string

  private constructor(machine: Machine, folder: string) {
    this.#machine = machine
    this.#folder = folder
  }

  /**
   * Makes a key, with which root and the user deployer, who may use sudo, can log in.
   *
   * @param tarball what has been packed there.
   */
  static async of(machine: Machine, folder: string, tarball: string): Promise<Deployer> {
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
    // What stands in ~/.ssh/config elsewhere.
    const options = [`HostName=127.0.0.1`, 'BatchMode=yes', 'StrictHostKeyChecking=no', 'LogLevel=ERROR']
    const words = [...options, 'UserKnownHostsFile=/dev/null'].flatMap(option => ['-o', option]).join(' ')
    await mkdir(join(folder, 'bin'))
    await writeFile(
      join(folder, 'bin/ssh'),
      `#!/bin/sh\nexec /usr/bin/ssh -F /dev/null -i ${key} ${words} "$@"\n`,
      {
        mode: 0o755,
      },
    )
    await mkdir(join(folder, 'dist/packages'), { recursive: true })
    await symlink(join(root, 'infra'), join(folder, 'infra'))
    await symlink(tarball, join(folder, 'dist/packages', basename(tarball)))
    return new Deployer(machine, folder)
  }

  /** Starts a command in the folder. */
  start(command: string): Command {
    const script = `cd '${this.#folder}' && PATH='${this.#folder}/bin':$PATH exec ${command}`
    return this.#machine.beside('sh', ['-c', script])
  }

  /** @param tarball default: the one that has been packed. */
  startDeploy(options: readonly string[], tarball = '', user = 'root'): Command {
    return this.start(['infra/deploy.sh', ...options, `${user}@${host}`, tarball].join(' '))
  }

  /** Deploys to its end. */
  async deploy(options: readonly string[], tarball?: string, user?: string): Promise<Deployed> {
    return outcomeOf(this.startDeploy(options, tarball, user))
  }
}

export async function outcomeOf(command: Command): Promise<Deployed> {
  const { code } = await command.ended
  return { code, output: command.output() }
}
