import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { EventClient } from '../support/event-client.ts'
import { type Outcome, postUntilReceived, times } from '../support/publish.ts'
import { bridge } from './support/bridge.ts'
import { Deployer } from './support/deployer.ts'
import { bootMachine, type Machine } from './support/machine.ts'
import { describeOnMachines } from './support/needs.ts'
import { Releases } from './support/releases.ts'

/** A server that can be reached with ssh, and releases for it. */
interface Server {
  readonly machine: Machine
  readonly deployer: Deployer
}

let folder: string
let tarballs: Readonly<Record<keyof typeof versions, string>>

/** What is deployed, beside what ships: other versions of it, some of which do not work. */
const versions = {
  second: { version: '0.0.2' },
  third: { version: '0.0.3' },
  crashing: { version: '0.0.4', broker: 'if [ "$1" = run ]; then exit 1; fi' },
  // Long enough to be up, and to have answered.
  shortLived: { version: '0.0.5', broker: 'if [ "$1" = run ]; then (sleep 3; kill -KILL $$) & fi' },
  lost: { version: '0.0.6', functions: 'export POSTERN_BROKER=tcp://127.0.0.1:1' },
  picky: { version: '0.0.7', broker: 'if [ "$1" = check ]; then echo picky: the settings >&2; exit 1; fi' },
} as const

async function startServer(init: 'systemd' | 'sysvinit'): Promise<Server> {
  const machine = await bootMachine({ init })
  const own = await mkdtemp(join(folder, 'deployer-'))
  return { machine, deployer: await Deployer.of(machine, own) }
}

/** The release in use, and those that are there. */
async function releasesOn(machine: Machine) {
  const [current = '', ...kept] = (
    await machine.sh('basename "$(readlink /opt/postern/current)"; ls /opt/postern/releases')
  )
    .trim()
    .split('\n')
  const version = (name: string) => name.replace(/-[0-9a-f]{8}$/, '')
  return { current: version(current), kept: kept.map(version).sort() }
}

/** The processes of the services, and from which release each runs. */
async function programsOn(machine: Machine): Promise<string[]> {
  const listed = await machine.sh(
    `for exe in $(find /proc -maxdepth 2 -name exe -path '/proc/[0-9]*' 2>/dev/null); do
       case $(readlink $exe) in /opt/postern/*/bin/node) echo $exe $(readlink $exe);; esac
     done`,
  )
  return listed.trim().split('\n').sort()
}

async function publishes(machine: Machine): Promise<void> {
  await machine.sh("curl -fsS -d 'Hello' http://127.0.0.1:3000/message/news")
}

describeOnMachines('infra/deploy.sh', () => {
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'postern-deploy-'))
    const releases = await Releases.of(inject('packages').tarball, folder)
    const made = Object.entries(versions).map(async ([name, changes]) => [name, await releases.make(changes)])
    tarballs = Object.fromEntries(await Promise.all(made))
  })

  afterAll(() => rm(folder, { recursive: true, force: true }))

  describe('to a server with systemd', () => {
    let server: Server

    beforeAll(async () => {
      server = await startServer('systemd')
    })

    it('says with --dry-run what it would do, and does nothing', async () => {
      const { machine, deployer } = server
      const { code, output } = await deployer.deploy(['--dry-run', inject('packages').tarball])
      expect(code, output).toBe(0)
      expect(output).toMatch(/systemd keeps the services running; in use is no release/)
      expect(await machine.sh('ls /opt /etc/systemd/system/broker.service 2>&1 || true')).not.toMatch(
        /postern|^\/etc/m,
      )
    })

    it('leaves nothing of a first release that does not run', async () => {
      const { machine, deployer } = server
      const { code, output } = await deployer.deploy([tarballs.crashing])
      expect(code, output).toBe(1)
      expect(output).toMatch(/does not run, and is gone again/)
      expect((await machine.run('ls /opt/postern /etc/systemd/system/broker.service')).stdout).toBe('')
    })

    it('makes services of it the first time, and starts them', async () => {
      const { machine, deployer } = server
      const { code, output } = await deployer.deploy([inject('packages').tarball])
      expect(code, output).toBe(0)
      expect(await machine.sh('systemctl is-active broker functions')).toBe('active\nactive\n')
      expect(await machine.sh('systemctl is-enabled broker functions')).toBe('enabled\nenabled\n')
      await publishes(machine)
    })

    it('restarts nothing when the same is deployed again, here by a user with sudo', async () => {
      const { machine, deployer } = server
      const before = await programsOn(machine)
      const { code, output } = await deployer.deploy([inject('packages').tarball], 'deployer')
      expect(code, output).toBe(0)
      expect(output).toMatch(/in use already/)
      expect(await programsOn(machine)).toEqual(before)
    })

    it('leaves nothing of the tarball in the way of the next', async () => {
      expect(await server.machine.sh('ls /var/tmp /opt/postern/releases -A')).not.toMatch(
        /postern\.|incoming/,
      )
    })

    it('upgrades under load: no message with a receipt is lost, and subscribers resume', async () => {
      const { machine, deployer } = server
      const url = `http://${await bridge(machine, 3000)}`
      const subscriber = new EventClient(`${url}/event/load`)
      await subscriber.until(({ lastEventId }) => lastEventId !== '')
      const receipts: Outcome[] = []
      let isDeployed = false
      let i = 0
      const publishing = times(Number.POSITIVE_INFINITY, 4, async () => {
        if (isDeployed) throw new Error('deployed')
        const number = i++
        const path = () => `${url}/message/load`
        receipts.push(await postUntilReceived(path, `message ${number}`, `key-${number}`))
      }).catch((error: Error) => expect(error.message).toBe('deployed'))
      const { code, output } = await deployer.deploy([tarballs.second])
      isDeployed = true
      await publishing
      expect(code, output).toBe(0)
      expect((await releasesOn(machine)).current).toBe('0.0.2')
      await subscriber.until(({ events }) => events.length >= receipts.length)
      const delivered = new Map(subscriber.events.map(({ id, data }) => [data, id]))
      expect(subscriber.events.filter(({ type }) => type === 'gap')).toEqual([])
      expect(subscriber.events).toHaveLength(receipts.length)
      for (const { id, payload } of receipts) expect(delivered.get(payload)).toBe(id)
      expect(subscriber.connections).toBeGreaterThan(1)
      expect(receipts.length).toBeGreaterThan(100)
    })

    it.each([
      ['does not start', 'crashing', 'broker does not start', []],
      ['ends soon after it has answered', 'shortLived', 'not healthy after', ['--wait', '8']],
      ['answers, but not well', 'lost', 'not healthy after', ['--wait', '8']],
    ] as const)('goes back to the one before when a release %s', async (_, broken, reason, options) => {
      const { machine, deployer } = server
      const { code, output } = await deployer.deploy([...options, tarballs[broken]])
      expect(code, output).toBe(1)
      expect(output).toContain(reason)
      expect(output).toMatch(/0\.0\.2-[0-9a-f]{8} is in use again/)
      expect(output).toContain('the log of broker')
      expect(await releasesOn(machine)).toEqual({ current: '0.0.2', kept: ['0.0.2', '0.1.0'] })
      await publishes(machine)
    })

    it.each([
      ['the new release refuses', 'true', 'picky'],
      ['are wrong', `echo '{ "tailBytes": "much" }' > /etc/postern/broker.config.jsonc`, 'third'],
    ] as const)('changes nothing when the settings of the server %s', async (_, spoil, version) => {
      const { machine, deployer } = server
      const before = await programsOn(machine)
      const settings = await machine.sh('cat /etc/postern/broker.config.jsonc')
      await machine.sh(spoil)
      const { code, output } = await deployer.deploy([tarballs[version]])
      await machine.sh('cat > /etc/postern/broker.config.jsonc', { input: settings })
      expect(code, output).toBe(1)
      expect(output).toMatch(/Nothing has changed/)
      expect(await programsOn(machine)).toEqual(before)
      expect((await releasesOn(machine)).kept).toEqual(['0.0.2', '0.1.0'])
    })

    it('refuses a tarball that is not the one that was meant', async () => {
      const { machine } = server
      const script = `cp /opt/postern/current/infra/release.sh /root; echo other > /root/tarball
        sh /root/release.sh 0.0.9-00000000 ${'0'.repeat(64)} /root/tarball`
      const { code, stderr } = await machine.run(script)
      expect(code).toBe(1)
      expect(stderr).toMatch(/SHA-256 differs/)
    })

    it('refuses a second deploy while one is under way', async () => {
      const { machine, deployer } = server
      const first = deployer.start(['--wait', '8', tarballs.lost])
      await first.says(/restarting functions/)
      const second = await deployer.deploy([tarballs.third])
      expect(second.code, second.output).toBe(1)
      expect(second.output).toMatch(/another deploy is under way: 0\.0\.6-[0-9a-f]{8} since /)
      await first.ended
      expect((await releasesOn(machine)).current).toBe('0.0.2')
    })

    it('brings to its end what it has begun when the connection breaks', async () => {
      const { machine, deployer } = server
      const deploy = deployer.start([tarballs.third])
      await deploy.says(/restarting broker/)
      deploy.signalGroup('SIGKILL')
      await machine.sh('flock --timeout 60 /opt/postern/.lock true')
      expect((await releasesOn(machine)).current).toBe('0.0.3')
      await publishes(machine)
    })

    it('leaves disabled what an administrator has disabled, and keeps the newest releases', async () => {
      const { machine, deployer } = server
      await machine.sh('systemctl disable --now functions')
      const { code, output } = await deployer.deploy(['--keep', '2', inject('packages').tarball])
      expect(code, output).toBe(0)
      expect(output).toMatch(/removed 0\.0\.2-/)
      expect((await machine.run('systemctl is-active broker functions')).stdout).toBe('active\ninactive\n')
      expect(await releasesOn(machine)).toEqual({ current: '0.1.0', kept: ['0.0.3', '0.1.0'] })
    })

    it('can be undone: infra/uninstall.sh leaves the data, and with --purge nothing', async () => {
      const { machine } = server
      const paths =
        '/opt/postern /etc/systemd/system/broker.service /var/lib/postern/journal /etc/postern /etc/default/broker'
      const left = () =>
        machine.run(`cd /opt; ls -d ${paths} 2>/dev/null; systemctl is-active broker; id -un postern`)
      const undo = 'cp /opt/postern/current/infra/uninstall.sh /root; sh /root/uninstall.sh'
      expect(await machine.sh(`${undo} --dry-run`)).toContain('rm -rf /opt/postern')
      expect((await left()).stdout).toContain('\nactive\npostern\n')
      await machine.sh(undo)
      expect((await left()).stdout.split('\n').slice(0, -1)).toEqual([
        '/etc/default/broker',
        '/etc/postern',
        '/var/lib/postern/journal',
        'inactive',
        'postern',
      ])
      await machine.sh('sh /root/uninstall.sh --purge')
      expect((await left()).stdout).toBe('inactive\n')
    })
  })

  describe.each([
    ['sysvinit', 'sysvinit', 'true'],
    ['Supervisor', 'systemd', 'systemctl unmask supervisor 2>/dev/null; systemctl start supervisor'],
  ] as const)('to a server with %s', (name, init, prepare) => {
    let server: Server

    beforeAll(async () => {
      server = await startServer(init)
      await server.machine.sh(prepare)
    })

    it('makes services, upgrades them, goes back, and can be undone', async () => {
      const { machine, deployer } = server
      const manager = ['--manager', name.toLowerCase()]
      for (const tarball of [inject('packages').tarball, tarballs.second]) {
        const { code, output } = await deployer.deploy([...manager, tarball])
        expect(code, output).toBe(0)
        await publishes(machine)
      }
      const { code, output } = await deployer.deploy([...manager, '--wait', '15', tarballs.crashing])
      expect(code, output).toBe(1)
      expect(output).toMatch(/0\.0\.2-[0-9a-f]{8} is in use again/)
      await publishes(machine)
      expect(await programsOn(machine)).toEqual([
        expect.stringMatching(/releases\/0\.0\.2-/),
        expect.stringMatching(/releases\/0\.0\.2-/),
      ])
      await machine.sh('cp /opt/postern/current/infra/uninstall.sh /root; sh /root/uninstall.sh --purge')
      expect((await machine.run('curl -fsS http://127.0.0.1:3000/health/live')).code).not.toBe(0)
      expect((await machine.run('ls -d /opt/postern /var/lib/postern')).stdout).toBe('')
    })
  })
})
