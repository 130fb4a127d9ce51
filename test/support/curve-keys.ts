import { join } from 'node:path'
import type { CurveRole } from '../../broker/auth/curve-access.ts'
import { addClientKey, addServerKey, removeClient, retireKey } from '../../broker/auth/curve-keys.ts'
import { type CurveKeys, readCurveKeys } from '../../broker/client/index.ts'
import { type AtEnd, type Program, temporaryFolder } from './processes.ts'

/** A folder of keys, as the operator of a broker has it. */
export class TestKeys {
  readonly folder: string

  private constructor(folder: string) {
    this.folder = folder
    addServerKey(folder)
  }

  static async make(atEnd?: AtEnd): Promise<TestKeys> {
    return new TestKeys(join(await temporaryFolder(atEnd), 'keys'))
  }

  /** The settings of a broker that asks for these keys. */
  get env(): Record<string, string> {
    return { POSTERN_CURVE_KEYS: this.folder }
  }

  /** Makes the keys of a client, the second ones where it has some. */
  add(name: string, ...roles: CurveRole[]): CurveKeys {
    addClientKey(this.folder, name, roles)
    return readCurveKeys(this.fileOf(name))
  }

  fileOf(name: string): string {
    return join(this.folder, `${name}.json`)
  }

  /** Makes the broker's second key. */
  addServer(): void {
    addServerKey(this.folder)
  }

  /** Takes the older of two keys away. */
  retire(name: string): void {
    retireKey(this.folder, name)
  }

  remove(name: string): void {
    removeClient(this.folder, name)
  }
}

/** Resolves when a program's log has a line that fits: one that is there, or the next. */
export async function logged(program: Program, pattern: RegExp): Promise<string> {
  for (;;) {
    const line = program
      .output()
      .split('\n')
      .find(one => pattern.test(one))
    if (line !== undefined) return line
    await new Promise(resolve => program.child.stdout?.once('data', resolve))
  }
}

/** Has a broker read its settings again. */
export async function reload(program: Program): Promise<void> {
  const count = () => program.output().split('"reloaded"').length
  const before = count()
  program.kill('SIGHUP')
  while (count() === before) await new Promise(resolve => program.child.stdout?.once('data', resolve))
}
