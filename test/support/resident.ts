import { readFile, writeFile } from 'node:fs/promises'

/** The memory of one process, from now on. */
export class ResidentWatch {
  readonly #pid: number
  readonly #beganWith: number

  private constructor(pid: number, beganWith: number) {
    this.#pid = pid
    this.#beganWith = beganWith
  }

  static async of(pid: number | undefined): Promise<ResidentWatch> {
    if (pid === undefined) throw new Error('The process is not there.')
    // Forgets the highest value so far, where the system allows it (proc(5), clear_refs).
    await writeFile(`/proc/${pid}/clear_refs`, '5').catch(() => {})
    return new ResidentWatch(pid, await readBytes(pid, 'VmRSS'))
  }

  /** By how many bytes the highest value since then is above the first. */
  async grown(): Promise<number> {
    return (await readBytes(this.#pid, 'VmHWM')) - this.#beganWith
  }
}

/** What a process has in memory now. */
export function residentBytes(pid: number): Promise<number> {
  return readBytes(pid, 'VmRSS')
}

async function readBytes(pid: number, name: string): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8')
  const kilobytes = new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1]
  if (kilobytes === undefined) throw new Error(`The system does not tell ${name}.`)
  return Number(kilobytes) * 1024
}
