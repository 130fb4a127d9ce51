import { beforeAll, describe, expect, inject, it } from 'vitest'
import { bootMachine, type Machine } from './support/machine.ts'
import { describeOnMachines } from './support/needs.ts'

const prefix = '/opt/postern/current'
const broker = `${prefix}/bin/broker`

/** How each manager does what an operator does with services. */
const managers = {
  systemd: {
    init: 'systemd',
    prepare: 'true',
    start: 'systemctl start broker functions',
    isStarted: 'systemctl is-active broker functions',
    disable: 'systemctl disable functions',
    starts: 'systemctl is-enabled functions || true',
    disabled: 'disabled\n',
  },
  sysvinit: {
    init: 'sysvinit',
    prepare: 'true',
    start: 'service broker start && service functions start',
    isStarted: 'service broker status && service functions status',
    disable: 'update-rc.d functions disable',
    starts: 'ls /etc/rc2.d | grep functions | cut -c1',
    disabled: 'K\n',
  },
  supervisor: {
    init: 'sysvinit',
    prepare: 'service supervisor start',
    start:
      'supervisorctl update && until [ "$(supervisorctl status | grep -c RUNNING)" = 2 ]; do sleep 0.1; done',
    isStarted: 'supervisorctl status',
    disable: 'rm /etc/logrotate.d/postern && touch /etc/logrotate.d/postern',
    starts: 'true',
    disabled: '',
  },
} as const

describeOnMachines('broker install', () => {
  describe.each(Object.keys(managers) as (keyof typeof managers)[])('with %s', manager => {
    const { init, prepare, start, isStarted, disable, starts, disabled } = managers[manager]
    const named = manager === 'supervisor' ? '--manager supervisor' : ''
    const install = `${broker} install --prefix ${prefix} ${named}`
    let machine: Machine

    beforeAll(async () => {
      machine = await bootMachine({ init, binds: { [inject('packages').tarball]: '/opt/postern.tar.gz' } })
      await machine.sh(
        `mkdir -p /opt/postern/releases && tar -xzf /opt/postern.tar.gz -C /opt/postern/releases &&
         ln -s "$(echo /opt/postern/releases/postern-*)" ${prefix} && ${prepare}`,
      )
    })

    it('says what it would do, and does nothing', async () => {
      const before = await machine.sh('ls -R /etc')
      expect(await machine.sh(`${install} --dry-run`)).toMatch(/^ {2}.*\/opt\/postern\/current\b/m)
      expect(await machine.sh('ls -R /etc')).toBe(before)
      expect((await machine.run('id postern')).code).toBe(1)
    })

    it('makes services, and starts none', async () => {
      expect(await machine.sh(install)).toMatch(/\nStart them with: .*\n$/)
      expect((await machine.run(isStarted)).stdout).not.toMatch(/^active|is running|RUNNING/m)
      expect(await machine.sh('stat -c "%U:%G %a" /var/lib/postern /etc/postern/broker.config.jsonc')).toBe(
        'postern:postern 750\nroot:postern 640\n',
      )
    })

    it('of which an operator has a broker that serves', async () => {
      await machine.sh(start)
      await machine.sh(isStarted)
      const id = await machine.sh(`${broker} publish news Hello`)
      expect(await machine.sh(`${broker} history news`)).toBe(`${id.trim()} news Hello\n`)
      expect(await machine.sh(`${broker} status`)).toMatch(/^connections +1 process, /m)
      expect(await machine.sh(`${broker} check`)).toMatch(/ has [\d.]+ [MG]iB\. It fits\./)
    })

    it('changes nothing a second time, and gives back nothing that was taken away', async () => {
      await machine.sh(`${disable}; echo '{ "defaultTopic": "news" }' > /etc/postern/broker.config.jsonc`)
      await machine.sh('cp -a /etc /var/before')
      const again = (await machine.sh(install)).trim().split('\n').slice(0, -1)
      expect(again.filter(line => !line.endsWith(': is as it was'))).toEqual([])
      expect(await machine.sh('diff -r --no-dereference /etc /var/before')).toBe('')
      expect(await machine.sh(starts)).toBe(disabled)
      await machine.sh(isStarted)
    })

    it('is for root alone', async () => {
      const outcome = await machine.run(`setpriv --reuid=postern --clear-groups ${install}`)
      expect(outcome).toMatchObject({ code: 1, stderr: 'broker: Only root can install services.\n' })
    })
  })
})
