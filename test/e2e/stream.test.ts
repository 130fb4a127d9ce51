import { expect, it, onTestFinished } from 'vitest'
import { Publisher } from 'zeromq'
import type { Batch } from '#protocol'
import { Stream } from '../../broker/client/stream.ts'
import { batchOf, publication } from '../support/publications.ts'

/** A publisher that a stream listens to. */
async function begin(onBatches: (batches: readonly Batch[]) => void): Promise<Publisher> {
  const publisher = new Publisher({ linger: 0, sendTimeout: 0 })
  await publisher.bind('tcp://127.0.0.1:*')
  const stream = new Stream(onBatches)
  onTestFinished(() => {
    publisher.close()
    stream.close()
  })
  const connected = new Promise<void>(resolve => publisher.events.on('handshake', () => resolve()))
  stream.connect([publisher.lastEndpoint ?? ''])
  await connected
  return publisher
}

const small = (first: number) => batchOf([publication({ payload: `message ${first}` })], { first }).bytes

it('keeps little more of small batches than their bytes, whatever the socket read them into', async () => {
  const received: Batch[] = []
  const count = 500
  const publisher = await begin(batches => received.push(...batches))
  for (let sent = 0; received.length < count; ) {
    // One at a time: those that come together share a buffer of the socket.
    if (received.length === sent && sent < count) await publisher.send(small(++sent))
    await new Promise(resolve => setImmediate(resolve))
  }
  const kept = [...new Set(received.map(({ bytes }) => bytes.buffer))]
  const keptBytes = kept.reduce((sum, { byteLength }) => sum + byteLength, 0)
  const bytes = received.reduce((sum, batch) => sum + batch.bytes.length, 0)
  expect(keptBytes).toBeLessThan(2 * bytes + 2 * Buffer.poolSize)
})
