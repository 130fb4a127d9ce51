import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { availableParallelism, cpus, release, totalmem } from 'node:os'
import { root } from './program.ts'

/** What figures depend on beside the code. */
export interface Machine {
  readonly processors: number
  readonly model: string
  readonly memoryBytes: number
  readonly kernel: string
  readonly node: string
  readonly commit: string
  /** Processes that were ready to run in the last minute: above the number of processors others had a share. */
  readonly loadAverage: number
}

export function describeMachine(): Machine {
  return {
    processors: availableParallelism(),
    model: cpus()[0]?.model.trim() ?? 'unknown',
    memoryBytes: totalmem(),
    kernel: release(),
    node: process.version,
    commit: commit(),
    loadAverage: Number.parseFloat(readFileSync('/proc/loadavg', 'utf8')),
  }
}

/** The commit, with a mark when the tree differs from it. */
function commit(): string {
  try {
    const git = (...args: string[]) =>
      execFileSync('git', args, { cwd: root, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim()
    const name = git('rev-parse', '--short', 'HEAD')
    return git('status', '--porcelain') === '' ? name : `${name} with changes`
  } catch {
    return 'unknown'
  }
}
