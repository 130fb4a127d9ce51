import { expect, it, onTestFinished } from 'vitest'
import { Relay } from '#client'
import { PatientReader } from '../support/patient-reader.ts'
import { startBrokerProcess, startFunctionsProcess } from '../support/processes.ts'
import { times } from '../support/publish.ts'

const readers = 1000

/** By default, and with so many streams: from one second to five. */
const earliestMs = 1000
const spreadMs = 4 * readers

it('1,000 readers of functions that stop are each told another time to come back, and come back without loss', async () => {
  const broker = await startBrokerProcess()
  const functions = await startFunctionsProcess(broker.requests)
  const { port } = new URL(functions.url)
  const relay = new Relay({ broker: broker.requests })
  onTestFinished(() => relay.close())
  await relay.ready()

  const all: PatientReader[] = []
  onTestFinished(() => {
    for (const reader of all) reader.close()
  })
  await times(readers, 100, async () => {
    const reader = new PatientReader(`${functions.url}/event/news`)
    all.push(reader)
    await expect.poll(() => reader.lastEventId, { interval: 20, timeout: 20_000 }).not.toBe('')
  })

  // Somebody publishes all the while, whether or not there are functions.
  let published = 0
  const publishing = setInterval(() => {
    published++
    void relay.publish({ topic: 'news', type: '', binary: false, payload: Buffer.from(`${published}`) })
  }, 50)
  onTestFinished(() => clearInterval(publishing))
  await expect.poll(() => all.every(({ seen }) => seen.length > 2), { timeout: 20_000 }).toBe(true)

  functions.program.kill('SIGTERM')
  expect(await functions.program.ended).toBe(0)
  await startFunctionsProcess(broker.requests, { PORT: port })

  await expect.poll(() => all.filter(({ isOpen }) => isOpen).length, { timeout: 30_000 }).toBe(all.length)
  clearInterval(publishing)
  const texts = Array.from({ length: published }, (_, i) => `${i + 1}`)
  await expect
    .poll(() => all.filter(({ seen }) => seen.length >= published).length, { timeout: 20_000 })
    .toBe(all.length)
  for (const { seen } of all) {
    const first = Number(seen[0])
    expect(seen).toEqual(texts.slice(first - 1))
  }

  const retriesMs = all.map(reader => reader.retriesMs[0] ?? 0).toSorted((a, b) => a - b)
  expect(all.every(reader => reader.retriesMs.length === 1)).toBe(true)
  expect(retriesMs[0]).toBeGreaterThanOrEqual(earliestMs)
  expect(retriesMs.at(-1)).toBeLessThanOrEqual(earliestMs + spreadMs)
  // In each tenth of the time there are about as many: 100 of them, give or take six standard deviations.
  const tenths = Array.from({ length: 10 }, (_, i) => {
    const from = earliestMs + (i * spreadMs) / 10
    return retriesMs.filter(ms => ms >= from && ms < from + spreadMs / 10).length
  })
  for (const count of tenths) expect(Math.abs(count - readers / 10), tenths.join(' ')).toBeLessThan(57)
}, 120_000)
