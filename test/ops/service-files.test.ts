import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { beforeAll, expect, it } from 'vitest'
import { bootMachine, type Machine } from './support/machine.ts'
import { installDeb } from './support/managers.ts'
import { describeOnMachines, describeWithPrograms } from './support/needs.ts'

const run = promisify(execFile)
const root = fileURLToPath(new URL('../..', import.meta.url))

/** The least exposed that a program can be that compiles code and has a network: 0 is none, 10 all. */
const maxExposure = 1.3

describeWithPrograms(['systemd-analyze'], 'a unit of systemd', () => {
  it.each(['broker', 'functions'])('exposes little: %s', async service => {
    const unit = join(root, `infra/systemd/${service}.service`)
    const { stdout } = await run('systemd-analyze', ['security', '--offline=yes', '--no-pager', unit])
    const [, exposure = '10'] = /Overall exposure level for \S+: ([\d.]+)/.exec(stdout) ?? []
    expect(Number(exposure)).toBeLessThanOrEqual(maxExposure)
  })
})

describeOnMachines('an installed unit of systemd', () => {
  let machine: Machine

  beforeAll(async () => {
    machine = await bootMachine({ init: 'systemd' })
    await installDeb(machine)
    return () => machine.throwAway()
  })

  it('has nothing that systemd complains about', async () => {
    const verified = await machine.run('systemd-analyze verify broker.service functions.service')
    expect(verified).toEqual({ code: 0, stdout: '', stderr: '' })
  })

  it('tells the journal how serious a line is', async () => {
    await machine.sh('systemctl start broker')
    const lines = await machine.sh('journalctl --unit broker --output json --output-fields PRIORITY,MESSAGE')
    const listening = lines.split('\n').filter(line => line.includes('"listening '))
    expect(listening.map(line => JSON.parse(line).PRIORITY)).toEqual(['6'])
    await machine.sh(
      `sed -i 's/^{$/{ "logLevel": 1,/' /etc/postern/broker.config.jsonc && systemctl reload broker`,
    )
    await expect
      .poll(() => machine.sh('journalctl --unit broker --priority err --output cat'), { timeout: 10_000 })
      .toMatch(/^ERROR reload-failed/m)
    await machine.sh(`sed -i 's/"logLevel": 1,//' /etc/postern/broker.config.jsonc; systemctl restart broker`)
  })

  it('has a wrong setting in the journal as an error', async () => {
    await machine.run('systemctl stop broker; echo POSTERN_LOG_LEVEL=loud >> /etc/default/broker')
    expect((await machine.run('systemctl start broker')).code).not.toBe(0)
    const errors = await machine.sh(
      'journalctl --unit broker --priority err --identifier broker --output cat',
    )
    expect(errors).toMatch(/^postern broker: .*POSTERN_LOG_LEVEL.*"loud"/m)
    await machine.sh(`sed -i '$d' /etc/default/broker; systemctl reset-failed broker; systemctl start broker`)
  })

  it('runs on when the disk is full, says so to systemctl, and is well again when there is room', async () => {
    await machine.sh(`
      mkdir -p /etc/systemd/system/broker.service.d
      printf '[Service]\\nWatchdogSec=3\\n' > /etc/systemd/system/broker.service.d/watchdog.conf
      systemctl daemon-reload && systemctl stop broker
      mount -t tmpfs -o size=1M tmpfs /var/lib/postern
      systemctl start broker`)
    const status = () => machine.sh('systemctl show --property StatusText --value broker')
    await machine.run('head -c 2M /dev/zero > /var/lib/postern/fill')
    await expect.poll(status, { timeout: 20_000 }).toMatch(/cannot be written: ENOSPC/)
    await machine.sh('rm /var/lib/postern/fill')
    await expect.poll(status, { timeout: 20_000 }).toBe('\n')
    await machine.sh('broker publish news kept')
    expect(await machine.sh('systemctl show --property NRestarts --value broker')).toBe('0\n')
  })
})

describeWithPrograms(['shellcheck', 'git'], 'the shell scripts', () => {
  it('are all without a complaint of shellcheck', async () => {
    const listed = await run('git', ['ls-files', '--cached', '--others', '--exclude-standard'], { cwd: root })
    const scripts: string[] = []
    for (const file of listed.stdout.trim().split('\n')) {
      const content = await readFile(join(root, file), 'utf8').catch(() => '')
      if (/^#!\/(usr\/bin\/env )?(bin\/)?(ba|da)?sh\b/.test(content)) scripts.push(file)
    }
    expect(scripts).toEqual(expect.arrayContaining(['infra/init.d/guard.sh', 'infra/bin/broker']))
    const shellcheck = ['--external-sources', ...scripts]
    const { stdout } = await run('shellcheck', shellcheck, { cwd: root }).catch(error => error)
    expect(stdout).toBe('')
  })
})
