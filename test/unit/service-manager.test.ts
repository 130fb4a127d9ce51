import { chmod, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { findServiceManager, type Proof } from '#service-manager'
import { temporaryFolder } from '../support/processes.ts'

const pid = 4711
const socket = { NOTIFY_SOCKET: '/run/systemd/notify' }
const watchdog = { ...socket, WATCHDOG_USEC: '15000000', WATCHDOG_PID: String(pid) }

function begin(env: Readonly<Record<string, string>>, prove: Proof = () => undefined) {
  const told: string[] = []
  const troubles: string[] = []
  const timers: { readonly intervalMs: number; readonly callback: () => void; isOn: boolean }[] = []
  const manager = findServiceManager({
    env,
    pid,
    prove,
    send: async assignments => void told.push(assignments.join(' ')),
    onTrouble: reason => troubles.push(reason),
    every(intervalMs, callback) {
      const timer = { intervalMs, callback, isOn: true }
      timers.push(timer)
      return () => {
        timer.isOn = false
      }
    },
  })
  /** Lets an interval pass. */
  const pass = async () => {
    for (const { callback, isOn } of timers) if (isOn) callback()
    await new Promise(setImmediate)
  }
  return { manager, told, troubles, timers, pass }
}

describe('a service manager', () => {
  it('is told of the start, a reload and the stop, in this order', async () => {
    const { manager, told } = begin(socket)
    manager.ready()
    manager.reloaded()
    manager.stopping()
    await expect.poll(() => told).toEqual(['READY=1', 'RELOADING=1', 'READY=1', 'STOPPING=1'])
  })

  it('is not there where none has started the process: then nothing is told', async () => {
    const { manager, told, timers } = begin({ WATCHDOG_USEC: '15000000' })
    manager.ready()
    manager.stopping()
    await new Promise(setImmediate)
    expect([told, timers]).toEqual([[], []])
  })

  it.each([
    ['wants none', socket],
    ['wants them of another process', { ...watchdog, WATCHDOG_PID: '1' }],
    ['says nonsense', { ...watchdog, WATCHDOG_USEC: '-5' }],
  ])('gets no signs of life when it %s', async (_, env) => {
    const { manager, timers } = begin(env)
    manager.ready()
    expect(timers).toEqual([])
  })

  it('gets three signs of life in the time that it waits, until the stop', async () => {
    const { manager, told, timers, pass } = begin(watchdog)
    manager.ready()
    expect(timers).toMatchObject([{ intervalMs: 5000 }])
    await pass()
    await expect.poll(() => told).toEqual(['READY=1', 'WATCHDOG=1'])
    manager.stopping()
    await pass()
    await expect.poll(() => told).toEqual(['READY=1', 'WATCHDOG=1', 'STOPPING=1'])
  })

  it('gets no sign of life while the proof does not come back, and the proof is not begun again', async () => {
    let begun = 0
    const proof = Promise.withResolvers<undefined>()
    const { manager, told, pass } = begin(watchdog, () => {
      begun++
      return proof.promise
    })
    manager.ready()
    await pass()
    await pass()
    expect(begun).toBe(1)
    await expect.poll(() => told).toEqual(['READY=1'])
    proof.resolve(undefined)
    await expect.poll(() => told).toEqual(['READY=1', 'WATCHDOG=1'])
  })

  it('gets no sign of life when the proof fails, but the reason, once', async () => {
    let isWell = false
    const { manager, told, troubles, pass } = begin(watchdog, () => {
      if (!isWell) throw new Error('nobody\nanswers')
      return undefined
    })
    manager.ready()
    await pass()
    await pass()
    await expect.poll(() => told).toEqual(['READY=1', 'STATUS=nobody answers'])
    expect(troubles).toEqual(['nobody\nanswers', 'nobody\nanswers'])
    isWell = true
    await pass()
    await expect.poll(() => told.slice(2)).toEqual(['WATCHDOG=1 STATUS='])
  })

  it('is told what a restart would not mend, with the sign of life', async () => {
    let wrong: string | undefined = 'the disk is full'
    const { manager, told, pass } = begin(watchdog, () => wrong)
    manager.ready()
    await pass()
    await pass()
    wrong = undefined
    await pass()
    await expect
      .poll(() => told)
      .toEqual(['READY=1', 'WATCHDOG=1 STATUS=the disk is full', 'WATCHDOG=1', 'WATCHDOG=1 STATUS='])
  })

  it('is reached through systemd-notify, which gets the socket; a failure of it is told', async () => {
    const folder = await temporaryFolder()
    const program = join(folder, 'systemd-notify')
    const troubles: string[] = []
    await writeFile(program, `#!/bin/sh\necho "$NOTIFY_SOCKET $*" >> ${folder}/told\n[ "$1" = READY=1 ]\n`)
    await chmod(program, 0o755)
    const { PATH } = process.env
    process.env['PATH'] = `${folder}:${PATH}`
    process.env['NOTIFY_SOCKET'] = '/run/some'
    try {
      const manager = findServiceManager({
        prove: () => undefined,
        onTrouble: reason => troubles.push(reason),
      })
      manager.ready()
      manager.stopping()
      await expect.poll(() => troubles).toEqual([expect.stringMatching(/^systemd-notify STOPPING=1: /)])
    } finally {
      process.env['PATH'] = PATH
      delete process.env['NOTIFY_SOCKET']
    }
    expect(await readFile(`${folder}/told`, 'utf8')).toBe('/run/some READY=1\n/run/some STOPPING=1\n')
  })
})
