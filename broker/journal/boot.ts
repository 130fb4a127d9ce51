import { readFileSync } from 'node:fs'

/**
 * Names the running boot of the machine. After another boot, writes that were not synced may be lost. Undefined where
 * the system does not tell.
 */
export function currentBoot(): string | undefined {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
  } catch {
    return undefined
  }
}
