import { execFile } from 'node:child_process'
import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)

/** What a release is like beside the one that ships. */
export interface Changes {
  readonly version: string
  /** Shell, run by `bin/broker` and `bin/functions` before the program; `$1` is its first argument. */
  readonly broker?: string
  readonly functions?: string
}

/** Makes other releases of the one that ships. */
export class Releases {
  readonly #folder: string
  readonly #tree: string

  private constructor(folder: string, tree: string) {
    this.#folder = folder
    this.#tree = tree
  }

  /** @param tarball the one that ships. @param folder where all is put. */
  static async of(tarball: string, folder: string): Promise<Releases> {
    const tree = join(folder, 'tree')
    await mkdir(tree)
    await run('tar', ['-xzf', tarball, '-C', tree, '--strip-components=1'])
    return new Releases(folder, tree)
  }

  /** @returns its tarball. */
  async make({ version, broker = '', functions = '' }: Changes): Promise<string> {
    const name = `postern-${version}`
    const tarball = join(this.#folder, `${name}-linux-${process.arch}.tar.gz`)
    const changed = join(this.#folder, version)
    await mkdir(join(changed, 'bin'), { recursive: true })
    await writeFile(join(changed, 'VERSION'), `${version}\n`)
    for (const [program, shell] of Object.entries({ broker, functions })) {
      const script = await readFile(join(this.#tree, 'bin', program), 'utf8')
      const file = join(changed, 'bin', program)
      await writeFile(
        file,
        script.replace('set -eu\n', line => `${line}${shell}\n`),
      )
      await chmod(file, 0o755)
    }
    const files = ['VERSION', 'bin/broker', 'bin/functions']
    const rest = ['-C', this.#tree, ...files.flatMap(file => ['--exclude', `./${file}`]), '.']
    const parts = ['-C', changed, ...files.map(file => `./${file}`), ...rest]
    const compress = ['--use-compress-program', 'gzip -1', '--transform', `s,^\\.,${name},`]
    await run('tar', ['--create', ...compress, '--file', tarball, ...parts])
    return tarball
  }
}
