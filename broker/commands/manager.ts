import { existsSync, readFileSync } from 'node:fs'
import type { Manager } from './installation.ts'

/** What a machine is looked at by. */
export interface MachineView {
  exists(path: string): boolean
  /** The name of the first process. */
  readonly init: string
}

/** What keeps services running here; undefined where none of those is known that could. */
export function detectManager(machine: MachineView = thisMachine()): Manager | undefined {
  // As sd_booted(3) does.
  if (machine.exists('/run/systemd/system')) return 'systemd'
  if (machine.init === 'init') return 'sysvinit'
  const hasSupervisor = ['/run/supervisor.sock', '/run/supervisord.pid'].some(path => machine.exists(path))
  return machine.init === 'supervisord' || hasSupervisor ? 'supervisor' : undefined
}

function thisMachine(): MachineView {
  return { exists: existsSync, init: readFileSync('/proc/1/comm', 'utf8').trim() }
}
