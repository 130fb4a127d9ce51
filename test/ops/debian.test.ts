import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { bootMachine, type Machine } from './support/machine.ts'
import { commandFor, installDeb, managers, type Service } from './support/managers.ts'
import { describeOnMachines, describeWithPrograms } from './support/needs.ts'

const run = promisify(execFile)

/** The version that the tests upgrade to. */
const nextVersion = '99.0.0'

describeOnMachines('the .deb', () => {
  let folder: string
  let next: Buffer

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'postern-deb-'))
    next = await readFile(await nextDeb(folder))
  })

  afterAll(() => rm(folder, { recursive: true, force: true }))

  describe.each(managers.filter(({ name }) => name !== 'Supervisor'))('under $name', manager => {
    let machine: Machine

    const state = (service: Service) => manager.state(machine, service)
    const pid = async (service: Service) =>
      (await machine.run(`pgrep --oldest --full '/bin/node .*/${service}/main.js'`)).stdout.trim()
    const isEnabled = async (service: Service) =>
      (
        await machine.run(
          manager.name === 'systemd'
            ? `systemctl is-enabled ${service}.service`
            : `ls /etc/rc2.d/S??${service} >/dev/null`,
        )
      ).code === 0
    const upgrade = () =>
      machine.sh(
        'cat > /root/next.deb && dpkg --install --force-confdef --force-confold /root/next.deb 2>&1',
        {
          input: next,
        },
      )

    beforeAll(async () => {
      machine = await bootMachine({ init: manager.init })
      await installDeb(machine)
      return () => machine.throwAway()
    })

    it('makes a user who can log in nowhere, and folders that nobody else can read', async () => {
      expect(await machine.sh('getent passwd postern')).toMatch(/:\/var\/lib\/postern:\/usr\/sbin\/nologin$/m)
      const folders = await machine.sh('stat -c "%a %U:%G %n" /etc/postern /var/lib/postern /var/log/postern')
      expect(folders.trim().split('\n')).toEqual([
        '750 root:postern /etc/postern',
        '750 postern:postern /var/lib/postern',
        '750 postern:adm /var/log/postern',
      ])
    })

    it('enables both services and starts none', async () => {
      expect([await isEnabled('broker'), await isEnabled('functions')]).toEqual([true, true])
      expect([await state('broker'), await state('functions')]).toEqual(['stopped', 'stopped'])
    })

    it('has settings that fit the memory that its service may have', async () => {
      const report = await machine.sh('broker check')
      const [, needed = ''] = /^([\d.]+) MiB in memory/m.exec(report) ?? []
      const unit = await readFile(new URL('../../infra/systemd/broker.service', import.meta.url), 'utf8')
      const [, allowed = ''] = /^MemoryMax=(\d+)M$/m.exec(unit) ?? []
      expect(Number(needed)).toBeGreaterThan(0)
      expect(Number(needed)).toBeLessThan(Number(allowed))
    })

    it('keeps edited settings and what is disabled in an upgrade, and restarts only what runs', async () => {
      await machine.sh(commandFor(manager.start, 'broker'))
      const before = await pid('broker')
      await machine.sh('broker publish news kept')
      await machine.sh('echo "// mine" >> /etc/postern/broker.config.jsonc')
      await machine.sh(
        manager.name === 'systemd'
          ? 'systemctl disable functions.service'
          : 'update-rc.d functions disable 2>&1',
      )
      await upgrade()
      expect(await machine.sh('broker --version')).toContain(nextVersion)
      expect(await machine.sh('tail -n 1 /etc/postern/broker.config.jsonc')).toBe('// mine\n')
      expect([await isEnabled('broker'), await isEnabled('functions')]).toEqual([true, false])
      expect([await state('broker'), await state('functions')]).toEqual(['running', 'stopped'])
      expect(await pid('broker')).not.toBe(before)
      expect(await machine.sh('broker history news')).toMatch(/kept$/m)
    })

    it('does not start again in an upgrade what was stopped', async () => {
      await machine.sh(commandFor(manager.stop, 'broker'))
      await upgrade()
      expect(await state('broker')).toBe('stopped')
    })

    it('stops when it is removed, and leaves settings and data', async () => {
      await machine.sh(commandFor(manager.start, 'broker'))
      await machine.sh('dpkg --remove postern 2>&1')
      expect(await pid('broker')).toBe('')
      await machine.sh('test ! -e /usr/bin/broker && test ! -e /usr/lib/postern')
      await machine.sh('test -e /etc/postern/broker.config.jsonc && test -d /var/lib/postern/journal')
      // What is left of a removed package does no harm at the next boot.
      if (manager.name === 'sysvinit') expect((await machine.run('/etc/init.d/broker start')).code).toBe(5)
    })

    it('comes back with its settings and its data', async () => {
      await upgrade()
      await machine.sh(commandFor(manager.start, 'broker'))
      expect(await machine.sh('broker history news')).toMatch(/kept$/m)
      expect(await isEnabled('functions')).toBe(false)
    })

    it('leaves nothing when it is purged', async () => {
      const left = await machine.sh(
        'dpkg --purge postern 2>&1; find / -xdev -name "*postern*" -not -path "/proc/*" -not -path "/root/*"',
      )
      const paths = left.split('\n').filter(line => line.startsWith('/'))
      expect(paths.filter(path => !path.startsWith('/var/lib/dpkg/'))).toEqual([])
      expect((await machine.run('id postern')).code).not.toBe(0)
      const units = await machine.sh(
        'find /etc /run -name "broker*" -o -name "functions.service*" -o -name "???functions"',
      )
      expect(units).toBe('')
    })
  })
})

describeWithPrograms(['lintian', 'dpkg-deb'], 'the .deb, by the judge of Debian', () => {
  it('is without errors', async () => {
    const lintian = ['--fail-on', 'error', '--allow-root', inject('packages').deb]
    const { stdout } = await run('lintian', lintian).catch(({ stdout, stderr }) => ({
      stdout: `E: ${stdout}${stderr}`,
    }))
    expect(stdout.split('\n').filter((line: string) => line.startsWith('E:'))).toEqual([])
  })
})

/** The package as it would be of a later version, with another example of settings. @returns its file. */
async function nextDeb(to: string): Promise<string> {
  const tree = join(to, 'tree')
  await run('dpkg-deb', ['--raw-extract', inject('packages').deb, tree])
  const edit = async (file: string, change: (text: string) => string) =>
    writeFile(join(tree, file), change(await readFile(join(tree, file), 'utf8')))
  await edit('DEBIAN/control', text => text.replace(/^Version: .*$/m, `Version: ${nextVersion}`))
  await edit('etc/postern/broker.config.jsonc', text => `// Another one.\n${text}`)
  for (const program of ['main', 'commands'])
    await edit(`usr/lib/postern/broker/${program}.js`, text =>
      text.replaceAll(/(["'`])0\.1\.0\1/g, `$1${nextVersion}$1`),
    )
  const deb = join(to, 'next.deb')
  await run('dpkg-deb', ['--root-owner-group', '-Zgzip', '-z1', '--build', tree, deb])
  return deb
}
