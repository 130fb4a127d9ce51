import { existsSync } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { beforeAll, describe, expect, it } from 'vitest'
import { bootMachine, type Machine } from './support/machine.ts'
import { describeOnMachines } from './support/needs.ts'

describeOnMachines('a machine of the tests', () => {
  describe.each(['systemd', 'sysvinit'] as const)('with %s', init => {
    let machine: Machine

    beforeAll(async () => {
      machine = await bootMachine({ init, binds: { '/etc/os-release': '/opt/bound' } })
      return () => machine.throwAway()
    })

    it('has it as PID 1', async () => {
      expect(await machine.sh('cat /proc/1/comm')).toBe(init === 'systemd' ? 'systemd\n' : 'init\n')
    })

    it('runs scripts as root, with their input, output and exit code', async () => {
      const outcome = await machine.run('cat; whoami >&2; exit 3', { input: 'from here' })
      expect(outcome).toEqual({ code: 3, stdout: 'from here', stderr: 'root\n' })
      await expect(machine.sh('echo why; false')).rejects.toThrow(/ended with 1\nwhy/)
    })

    it('sees what is bound into it, and may not change it', async () => {
      expect(await machine.sh('cat /opt/bound')).toBe(await readFile('/etc/os-release', 'utf8'))
      expect((await machine.run('echo changed >> /opt/bound')).code).not.toBe(0)
    })

    it('has a network of its own, into which a program of this host can look', async () => {
      const listening = machine.start(
        'exec python3 -um http.server --bind 127.0.0.1 8123 --directory /etc/default',
      )
      await listening.says(/Serving/)
      const inside = machine.beside('curl', ['-fsS', 'http://127.0.0.1:8123/'])
      expect((await inside.ended).code, inside.output()).toBe(0)
      await expect(fetch('http://127.0.0.1:8123/')).rejects.toThrow()
    })

    it('keeps its disk over a reboot, and nothing that ran', async () => {
      await machine.sh('echo kept > /root/kept; sleep 1000 >/dev/null 2>&1 & echo $! > /run/pid')
      await machine.reboot()
      expect(await machine.sh('cat /root/kept')).toBe('kept\n')
      expect(await machine.sh('pgrep sleep || test ! -e /run/pid')).toBe('')
    })
  })

  it('leaves no process and no file when it is thrown away', async () => {
    const machine = await bootMachine({ init: 'systemd' })
    const before = (await readdir(tmpdir())).filter(name => name.startsWith('postern-machine-'))
    const inside = machine.start('exec sleep 1000')
    const own = machine.path('/')
    expect(existsSync(own)).toBe(true)
    await machine.throwAway()
    await inside.ended
    expect(existsSync(own)).toBe(false)
    const after = new Set(await readdir(tmpdir()))
    expect(before.filter(name => !after.has(name))).toHaveLength(1)
  })

  it('limits what a unit of systemd may have', async () => {
    const machine = await bootMachine({ init: 'systemd' })
    const eat =
      'systemd-run --quiet --wait --collect -p MemoryMax=16M -p MemorySwapMax=0 python3 -c "bytearray(10**8)"'
    expect((await machine.run(eat)).code).not.toBe(0)
    expect((await machine.run(eat.replace('16M', '256M'))).code).toBe(0)
  })
})
