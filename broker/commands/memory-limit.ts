import { spawnSync } from 'node:child_process'
import { totalmem } from 'node:os'

/** Where a service would get its memory from. */
export interface MemoryLimit {
  readonly bytes: number
  /** Whose it is, as the subject of a sentence. */
  readonly of: string
}

/** The unit that systemd runs the broker as. */
const unit = 'broker.service'

/** A manager that is busy must not hold up a check. */
const answerWithinMs = 5000

/**
 * The least memory that the broker may find: of the machine, of the control group that this process is in (a container's),
 * and of the broker's own unit, whether it runs or not.
 */
export function memoryLimit(): MemoryLimit {
  const limits: MemoryLimit[] = [{ bytes: totalmem(), of: 'the machine' }]
  const constrained = process.constrainedMemory()
  if (constrained > 0) limits.push({ bytes: constrained, of: 'the control group' })
  const ofUnit = maxOf(unit)
  if (ofUnit !== undefined) limits.push({ bytes: ofUnit, of: unit })
  return limits.reduce((least, limit) => (limit.bytes < least.bytes ? limit : least))
}

/** MemoryMax of a unit; undefined where there is no systemd, no unit of that name, or no limit. */
function maxOf(name: string): number | undefined {
  const words = ['show', '--property=MemoryMax', '--value', name]
  const { status, stdout } = spawnSync('systemctl', words, { encoding: 'utf8', timeout: answerWithinMs })
  return status === 0 && /^\d+\n$/.test(stdout) ? Number(stdout) : undefined
}
