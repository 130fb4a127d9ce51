import { readFile } from 'node:fs/promises'
import { inject } from 'vitest'
import type { Machine } from './machine.ts'
import type { Init } from './rootfs.ts'

export type Service = 'broker' | 'functions'
export type State = 'running' | 'stopped' | 'failed'

/** How an administrator installs Postern and speaks to what keeps it running. */
export interface Manager {
  readonly name: string
  readonly init: Init
  /** Where the programs are. */
  readonly prefix: string
  install(machine: Machine): Promise<void>
  /** As typed at a shell. */
  readonly start: string
  readonly stop: string
  readonly restart: string
  readonly reload: string
  /** Of a service, with what ends it from a state of failure. */
  readonly state: (machine: Machine, service: Service) => Promise<State>
  /** A command that writes everything that the service has logged. */
  readonly log: string
}

/** Commands hold `SERVICE` where the name of a service goes. */
export const commandFor = (command: string, service: Service) => command.replaceAll('SERVICE', service)

export async function installDeb(machine: Machine): Promise<void> {
  await machine.sh('cat > /root/postern.deb && dpkg --install /root/postern.deb', {
    input: await readFile(inject('packages').deb),
  })
}

const systemd: Manager = {
  name: 'systemd',
  init: 'systemd',
  prefix: '/usr/lib/postern',
  install: installDeb,
  start: 'systemctl start SERVICE',
  stop: 'systemctl stop SERVICE',
  restart: 'systemctl reset-failed SERVICE; systemctl restart SERVICE',
  reload: 'systemctl reload SERVICE',
  async state(machine, service) {
    const { stdout } = await machine.run(`systemctl is-active ${service}`)
    const states: Readonly<Record<string, State>> = {
      active: 'running',
      inactive: 'stopped',
      failed: 'failed',
    }
    return states[stdout.trim()] ?? 'stopped'
  },
  log: 'journalctl --unit SERVICE --output cat',
}

const sysvinit: Manager = {
  name: 'sysvinit',
  init: 'sysvinit',
  prefix: '/usr/lib/postern',
  install: installDeb,
  start: 'service SERVICE start',
  stop: 'service SERVICE stop',
  restart: 'service SERVICE restart',
  reload: 'service SERVICE reload',
  async state(machine, service) {
    const { code } = await machine.run(`service ${service} status`)
    return code === 0 ? 'running' : code === 1 ? 'failed' : 'stopped'
  },
  log: 'cat /var/log/postern/SERVICE.log',
}

const supervisor: Manager = {
  name: 'Supervisor',
  init: 'sysvinit',
  prefix: '/opt/postern/current',
  async install(machine) {
    const unpack = 'mkdir -p /opt/postern/current && tar -xz --strip-components=1 -C /opt/postern/current'
    await machine.sh(unpack, { input: await readFile(inject('packages').tarball) })
    await machine.sh('update-rc.d supervisor enable && service supervisor start')
    await machine.sh(
      '/opt/postern/current/bin/broker install --manager supervisor --prefix /opt/postern/current',
    )
    // It starts what it finds; the life begins with a start that is asked for.
    await machine.sh('supervisorctl update && supervisorctl stop all')
  },
  start: 'supervisorctl start SERVICE',
  stop: 'supervisorctl stop SERVICE',
  restart: 'supervisorctl restart SERVICE',
  reload: 'supervisorctl signal HUP SERVICE',
  async state(machine, service) {
    const { stdout } = await machine.run(`supervisorctl status ${service}`)
    const [, state = ''] = stdout.split(/\s+/)
    return state === 'RUNNING' ? 'running' : state === 'FATAL' || state === 'EXITED' ? 'failed' : 'stopped'
  },
  log: 'cat /var/log/postern/SERVICE.log',
}

export const managers: readonly Manager[] = [systemd, sysvinit, supervisor]
