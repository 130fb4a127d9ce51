import { execFile } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { root, type Stage } from './program.ts'

const run = promisify(execFile)

/** Compiles our programs in C on the spot, where there is a compiler. */
export class Compiler {
  readonly #stage: Stage
  readonly #built = new Map<string, Promise<string | undefined>>()
  /** The compiler's name, undefined where there is none. */
  readonly name: string | undefined

  private constructor(stage: Stage, name: string | undefined) {
    this.#stage = stage
    this.name = name
  }

  static async find(stage: Stage): Promise<Compiler> {
    for (const name of ['cc', 'gcc', 'clang']) {
      const found = await run(name, ['--version']).then(
        () => true,
        () => false,
      )
      if (found) return new Compiler(stage, name)
    }
    return new Compiler(stage, undefined)
  }

  /** Whether programs can be built with libzmq. */
  get hasZeromq(): boolean {
    return this.name !== undefined && existsSync('/usr/include/zmq.h')
  }

  /** Builds a file, or all of a folder, once, and gives the path of the program. Undefined where nothing can be built. */
  build(source: string, libraries: readonly string[] = []): Promise<string | undefined> {
    const built = this.#built.get(source) ?? this.#compile(source, libraries)
    this.#built.set(source, built)
    return built
  }

  async #compile(source: string, libraries: readonly string[]): Promise<string | undefined> {
    if (this.name === undefined) return undefined
    const path = join(root, 'test/bench', source)
    const files = path.endsWith('.c')
      ? [path]
      : readdirSync(path)
          .filter(file => file.endsWith('.c'))
          .map(file => join(path, file))
    const program = join(this.#stage.folder, source.replaceAll(/[/.]/g, '-'))
    await run(this.name, ['-O2', '-D_GNU_SOURCE', '-o', program, ...files, ...libraries])
    return program
  }
}
