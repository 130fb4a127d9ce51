import { beforeAll, describe, expect, it } from 'vitest'
import { bootMachine, type Machine } from './support/machine.ts'
import { commandFor, managers, type Service } from './support/managers.ts'
import { describeOnMachines } from './support/needs.ts'

/** Longer than a manager waits for a sign of life, twice. */
const watchdogMs = 60_000

/* One life, told in its order: each test goes on where the one before has ended. */
describeOnMachines('the life of the services', () => {
  describe.each(managers)('under $name', manager => {
    let machine: Machine
    let ids: string[] = []

    const sh = (command: string, service: Service = 'broker') => machine.sh(commandFor(command, service))
    const state = (service: Service = 'broker') => manager.state(machine, service)
    const log = (service: Service = 'broker') => sh(manager.log, service)
    /** The program itself, not who watches it. */
    const pid = async (service: Service = 'broker') =>
      Number((await machine.run(`pgrep --oldest --full '/bin/node .*/${service}/main.js'`)).stdout.trim())
    const history = () => machine.sh(`${manager.prefix}/bin/broker history news`)
    const publish = async (text: string) => {
      const answer = await machine.sh(`curl -fsS -d '${text}' http://127.0.0.1:3000/message/news`)
      ids.push(JSON.parse(answer).id)
    }
    /** The epoch is the same as long as nothing was lost. */
    const epochs = () => new Set(ids.map(id => id.split('-')[0]))
    const untilServing = () =>
      machine.sh(
        'curl -fsS --retry 100 --retry-delay 1 --retry-all-errors http://127.0.0.1:3000/health/ready',
      )

    beforeAll(async () => {
      machine = await bootMachine({ init: manager.init })
      await manager.install(machine)
      ids = []
      return () => machine.throwAway()
    })

    it('starts when it is told to, and not before', async () => {
      expect([await state('broker'), await state('functions')]).toEqual(['stopped', 'stopped'])
      await sh(manager.start, 'broker')
      expect(await state('broker')).toBe('running')
      await sh(manager.start, 'functions')
      expect(await state('functions')).toBe('running')
    })

    it('serves as soon as the start has ended, as a user of its own', async () => {
      await untilServing()
      await publish('first')
      expect(await history()).toMatch(/first$/m)
      const owners = await machine.sh(`ps -o user= -p ${await pid('broker')} -p ${await pid('functions')}`)
      expect(owners.trim().split(/\s+/)).toEqual(['postern', 'postern'])
      const published = await machine.sh(`${manager.prefix}/bin/broker publish news second`)
      ids.push(published.trim())
      expect(await machine.sh('curl -fsS http://127.0.0.1:3000/history/news')).toContain('second')
    })

    it('logs what happens, and no payload', async () => {
      for (const service of ['broker', 'functions'] as const) {
        expect(await log(service)).toMatch(/listening/)
        expect(await log(service)).not.toContain('first')
      }
    })

    it('reads its settings again without a restart', async () => {
      const before = await pid()
      await machine.sh(`sed -i 's/^{$/{ "logLevel": "debug",/' /etc/postern/broker.config.jsonc`)
      await sh(manager.reload)
      await expect.poll(() => log(), { timeout: 10_000 }).toMatch(/reloaded/)
      expect(await pid()).toBe(before)
    })

    it('keeps its settings when those to be read are wrong, and says so', async () => {
      await machine.sh('cp -p /etc/postern/broker.config.jsonc /root/right')
      await machine.sh(`sed -i 's/"debug"/"loud"/' /etc/postern/broker.config.jsonc`)
      await machine.run(commandFor(manager.reload, 'broker'))
      await expect.poll(() => log(), { timeout: 10_000 }).toMatch(/reload-failed.*loud/)
      expect(await state()).toBe('running')
      await machine.sh('cat /root/right > /etc/postern/broker.config.jsonc')
    })

    // The journal of systemd turns itself over.
    if (manager.name !== 'systemd') {
      it('goes on in its log when that is turned over', async () => {
        const told = await log()
        await machine.sh('logrotate --force /etc/logrotate.d/postern')
        expect(await log()).toBe('')
        expect(await machine.sh('cat /var/log/postern/broker.log.1')).toBe(told)
        await sh(manager.reload)
        await expect.poll(() => log(), { timeout: 10_000 }).toMatch(/^\{.*"reloaded".*\}\n$/)
      })
    }

    it('is back within 2 s when it is killed, with everything that it had', async () => {
      const before = await pid()
      // Asked for by the shell of the machine: any other program would take its own time to start.
      const awayMs = await machine.sh(`
        kill -KILL ${before} && began=$(date +%s%3N)
        until (exec 3<>/dev/tcp/127.0.0.1/5001) 2>/dev/null; do sleep 0.02; done
        echo $(($(date +%s%3N) - began))`)
      expect(Number(awayMs)).toBeLessThan(2000)
      expect(await history()).toMatch(/second$/m)
      expect(await pid()).not.toBe(before)
      await untilServing()
      await publish('third')
      expect(epochs().size).toBe(1)
    })

    it.each(['broker', 'functions'] as const)('is started again when it hangs: %s', async service => {
      const before = await pid(service)
      await machine.sh(`kill -STOP ${before}`)
      await expect
        .poll(async () => (await pid(service)) !== before && (await state(service)) === 'running', {
          timeout: watchdogMs,
          interval: 500,
        })
        .toBe(true)
      await untilServing()
      await publish(`after ${service}`)
      expect(epochs().size).toBe(1)
    })

    it('starts with the machine', async () => {
      await machine.reboot()
      await untilServing()
      // Supervisor looks at them for some seconds before it says so.
      await expect
        .poll(async () => [await state('broker'), await state('functions')], { timeout: 20_000 })
        .toEqual(['running', 'running'])
      expect(await history()).toMatch(/after functions$/m)
      // It was shut down in order: the log goes on.
      await publish('after the reboot')
      expect(epochs().size).toBe(1)
    })

    it('stops in order', async () => {
      await sh(manager.stop, 'functions')
      await sh(manager.stop, 'broker')
      expect([await state('broker'), await state('functions')]).toEqual(['stopped', 'stopped'])
      expect(await log('broker')).toMatch(/stopping signal="?SIGTERM|"stopping","signal":"SIGTERM"/)
      expect((await machine.run('pgrep --full /bin/node')).stdout).toBe('')
    })

    it('has failed when a setting is wrong, and says which', async () => {
      await machine.sh(`sed -i 's/"debug"/"loud"/' /etc/postern/broker.config.jsonc`)
      expect((await machine.run(commandFor(manager.start, 'broker'))).code).not.toBe(0)
      await expect.poll(() => state(), { timeout: 20_000 }).toBe('failed')
      expect(await log()).toMatch(/logLevel is "loud"/)
      await machine.sh('cat /root/right > /etc/postern/broker.config.jsonc')
    })

    it('has failed when it crashes again and again', async () => {
      // Another program has its address.
      machine.start('exec python3 -um http.server --bind 127.0.0.1 5001')
      await machine.sh('curl -fsS -o /dev/null --retry 20 --retry-connrefused http://127.0.0.1:5001/')
      await machine.run(commandFor(manager.restart, 'broker'))
      await expect.poll(() => state(), { timeout: 60_000, interval: 500 }).toBe('failed')
      expect((await log()).match(/5001.*(in use|EADDRINUSE)/gi)?.length).toBeGreaterThan(2)
    })

    it('runs again when the reason is gone', async () => {
      await sh(manager.restart)
      expect(await state()).toBe('running')
      expect(await history()).toMatch(/after the reboot$/m)
    })
  })
})
