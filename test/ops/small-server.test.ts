import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { beforeAll, expect, inject, it, onTestFinished } from 'vitest'
import { bootMachine, type Machine } from './support/machine.ts'
import { describeOnMachines } from './support/needs.ts'

const support = fileURLToPath(new URL('support', import.meta.url))

/** What a service may have of the server. */
interface Limits {
  readonly memoryMax: string
  readonly cpuQuota: string
}

type Service = 'broker' | 'functions'

describeOnMachines('on a small server', () => {
  let machine: Machine

  beforeAll(async () => {
    const { deb } = inject('packages')
    machine = await bootMachine({
      init: 'systemd',
      binds: { [deb]: '/root/postern.deb' },
      disk: '/usr/lib/postern',
    })
    await machine.sh('dpkg --install /root/postern.deb')
  })

  /**
   * Starts a service as after a boot: nothing of its files is in memory yet, so that what it reads counts against its
   * limit too.
   */
  async function start(service: Service, { memoryMax, cpuQuota }: Limits): Promise<void> {
    const limits = `[Service]\nMemoryMax=${memoryMax}\nCPUQuota=${cpuQuota}\n`
    await machine.sh(
      `systemctl stop functions broker
       mkdir -p /etc/systemd/system/${service}.service.d
       cat > /etc/systemd/system/${service}.service.d/limits.conf
       systemctl daemon-reload
       sync
       find /usr/lib/postern -type f -exec dd if={} iflag=nocache count=0 status=none ';'
       systemctl start ${service}`,
      { input: limits },
    )
    expect(await mappedBytes(service)).toBeGreaterThan(8 * 2 ** 20)
  }

  /** Of the service's files in memory, what counts against its limit. */
  async function mappedBytes(service: Service): Promise<number> {
    const stat = await machine.sh(`cat $(find /sys/fs/cgroup -path '*/${service}.service/memory.stat')`)
    return Number(/^(?:mapped_file|file_mapped) (\d+)$/m.exec(stat)?.[1])
  }

  /** What must not change while a service runs well. */
  const lifeOf = (service: Service) =>
    machine.sh(`systemctl show --property MainPID,NRestarts,Result ${service}`)

  /** Runs one of the load programs, and gives what it has told at its end. */
  async function load(program: string, ...numbers: readonly number[]): Promise<unknown> {
    const flags = ['--disable-warning=ExperimentalWarning', join(support, program)]
    const command = machine.beside(process.execPath, [...flags, ...numbers.map(String)])
    const { code } = await command.ended
    expect(code, command.output()).toBe(0)
    return JSON.parse(command.output().trim().split('\n').at(-1) ?? '')
  }

  it('with 64 MB and a tenth of a processor the broker passes on 1,000 messages a second', async () => {
    await start('broker', { memoryMax: '64M', cpuQuota: '10%' })
    const before = await lifeOf('broker')
    expect(await load('push-load.ts', 1000, 30)).toEqual({ count: 30_000, received: 30_000, outOfOrder: 0 })
    expect(await lifeOf('broker')).toBe(before)
    expect(before).toMatch(/NRestarts=0/)
  })

  it('with 64 MB and a tenth of a processor functions serve 1,000 event streams', async () => {
    onTestFinished(() => machine.sh('systemctl stop other; systemctl unmask broker').then(() => {}))
    // A broker with files of its own: what both have of the same file counts against one of them only.
    await machine.sh(
      `systemctl mask --now broker
       cp -r /usr/lib/postern /opt/other
       systemd-run --unit other --property User=postern --setenv POSTERN_DATA=/var/lib/postern /opt/other/bin/broker run`,
    )
    await start('functions', { memoryMax: '64M', cpuQuota: '10%' })
    const before = await lifeOf('functions')
    expect(await load('event-load.ts', 1000, 10, 30)).toEqual({
      begun: 1000,
      complete: 1000,
      outOfOrder: 0,
      ended: 0,
      refused: 0,
    })
    expect(await lifeOf('functions')).toBe(before)
    expect(before).toMatch(/NRestarts=0/)
  })

  it('with 48 MB the broker still starts and serves', async () => {
    await start('broker', { memoryMax: '48M', cpuQuota: '100%' })
    expect(await load('push-load.ts', 1000, 3)).toEqual({ count: 3000, received: 3000, outOfOrder: 0 })
    expect(await lifeOf('broker')).toMatch(/NRestarts=0/)
  })
})
