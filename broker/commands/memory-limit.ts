import { readFileSync } from 'node:fs'
import { totalmem } from 'node:os'
import { join } from 'node:path'

/** Where a service would get its memory from. */
export interface MemoryLimit {
  readonly bytes: number
  /** Whose it is, as the subject of a sentence. */
  readonly of: string
}

const cgroups = '/sys/fs/cgroup'

/** The unit that systemd runs the broker as. */
const unit = 'broker.service'

/**
 * The least memory that the broker may find: of the machine, of the control group that this process is in (a container's),
 * and of the broker's own unit where it runs.
 */
export function memoryLimit(): MemoryLimit {
  const limits: MemoryLimit[] = [{ bytes: totalmem(), of: 'the machine' }]
  const constrained = process.constrainedMemory()
  if (constrained > 0) limits.push({ bytes: constrained, of: 'the control group' })
  const ofUnit = maxOf(join(cgroups, 'system.slice', unit))
  if (ofUnit !== undefined) limits.push({ bytes: ofUnit, of: unit })
  return limits.reduce((least, limit) => (limit.bytes < least.bytes ? limit : least))
}

/** MemoryMax of a control group; undefined where there is none, or no group of that name. */
function maxOf(group: string): number | undefined {
  try {
    const text = readFileSync(join(group, 'memory.max'), 'utf8').trim()
    return text === 'max' ? undefined : Number(text)
  } catch {
    return undefined
  }
}
