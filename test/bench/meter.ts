import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'

/** Ticks of the clock that /proc counts processor time in, a second. */
const ticksPerSecond = Number(execFileSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }))

/** Processor time that processes and their children, running or ended, have taken, in seconds. */
export function processorSeconds(pids: readonly number[]): number {
  let ticks = 0
  for (const pid of pids.flatMap(family)) {
    // The name of the program, in brackets, may hold anything; utime is the twelfth field after it.
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    for (const field of fields.slice(11, 15)) ticks += Number(field)
  }
  return ticks / ticksPerSecond
}

/**
 * Memory of processes and their children that is resident, in bytes. `Pss` counts shared pages by their share, and so
 * depends on what else runs; `Rss` counts them in full, as most tools show it.
 */
export function residentBytes(pids: readonly number[], kind: 'Pss' | 'Rss' = 'Pss'): number {
  let kilobytes = 0
  for (const pid of pids.flatMap(family)) {
    const sizes = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8')
    kilobytes += Number(new RegExp(`^${kind}:\\s+(\\d+) kB$`, 'm').exec(sizes)?.[1])
  }
  return kilobytes * 1024
}

/** How often the threads of a process have gone to sleep: as often as something has woken them. */
export function wakes(pid: number): number {
  const statuses = readdirSync(`/proc/${pid}/task`).map(task =>
    readFileSync(`/proc/${pid}/task/${task}/status`, 'utf8'),
  )
  return statuses.reduce(
    (sum, status) => sum + Number(/^voluntary_ctxt_switches:\s+(\d+)$/m.exec(status)?.[1] ?? 0),
    0,
  )
}

/** A process, its children, and theirs. */
function family(pid: number): number[] {
  const children = readdirSync(`/proc/${pid}/task`).flatMap(task =>
    readFileSync(`/proc/${pid}/task/${task}/children`, 'utf8').split(' ').filter(Boolean).map(Number),
  )
  return [pid, ...children.flatMap(family)]
}
