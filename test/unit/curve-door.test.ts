import { describe, expect, it, onTestFinished } from 'vitest'
import { Pull } from 'zeromq'
import { CurveAccess } from '../../broker/auth/curve-access.ts'
import { makeKeyPair } from '../../broker/auth/curve-folder.ts'
import { CurveDoor } from '../../broker/listeners/curve-door.ts'
import type { LogFields, Logger } from '../../broker/logger.ts'
import { knock, openClient } from '../support/curve-knock.ts'

const server = makeKeyPair()
const client = makeKeyPair()
const keys = { serverKey: server.publicKey, ...client }
const stranger = { serverKey: server.publicKey, ...makeKeyPair() }

/** A socket behind a door that knows one client. */
async function opened(serverKeys = [server]) {
  const logged: { event: string; fields: LogFields | undefined }[] = []
  const note = (event: string, fields?: LogFields) => void logged.push({ event, fields })
  const logger: Logger = { debug() {}, info: note, warn: note, error: note, limited: note }
  const access = new CurveAccess([{ name: 'sensor', roles: ['publisher'], keys: [client.publicKey] }])
  const door = new CurveDoor({ serverKeys, sockets: ['ingest'], access, logger })
  const socket = new Pull({ context: door.context, linger: 0 })
  onTestFinished(() => {
    socket.close()
    door.close()
  })
  door.watch(socket, 'ingest')
  const bind = async () => {
    const addresses: string[] = []
    for (const endpoint of serverKeys.keys()) {
      door.prepare(socket, 'ingest', endpoint)
      await socket.bind('tcp://127.0.0.1:*')
      addresses.push(String(socket.lastEndpoint))
    }
    return addresses
  }
  return { door, socket, bind, logged }
}

describe('a door', () => {
  it('lets in whose key it knows, and nobody else', async () => {
    const { door, bind } = await opened()
    await door.start()
    const [address = ''] = await bind()
    expect(await knock('ingest', address, keys)).toBe('in')
    expect(await knock('ingest', address, stranger)).toBe('refused')
    expect(await knock('ingest', address)).toBe('cut')
  })

  it('lets nobody in before somebody answers', async () => {
    const { bind } = await opened()
    const [address = ''] = await bind()
    expect(await knock('ingest', address, keys)).toBe('cut')
  })

  it('lets nobody in when nobody answers any more, and leaves in who is in', async () => {
    const { door, socket, bind, logged } = await opened()
    await door.start()
    const [address = ''] = await bind()
    const inside = openClient('ingest', keys)
    inside.connect(address)
    await new Promise<void>(resolve => inside.events.on('handshake', () => resolve()))
    door.close()
    expect(await knock('ingest', address, keys)).toBe('cut')
    if ('send' in inside && typeof inside.send === 'function') await inside.send('still here')
    expect(String(await socket.receive())).toBe('still here')
    expect(door.refused.ingest).toBeGreaterThan(0)
    expect(logged.at(-1)).toMatchObject({ event: 'curve-refused', fields: { socket: 'ingest' } })
  })

  it('lets nobody in when to decide fails, and asks again for the next', async () => {
    const { door, bind } = await opened()
    await door.start()
    const [address = ''] = await bind()
    const { access } = door
    door.access = Object.assign(new CurveAccess([]), {
      admit() {
        throw new Error('broken')
      },
    })
    expect(await knock('ingest', address, keys)).not.toBe('in')
    door.access = access
    expect(await knock('ingest', address, keys)).toBe('in')
  })

  it('counts who is refused, once each, and tells whom and why', async () => {
    const { door, bind, logged } = await opened()
    await door.start()
    const [address = ''] = await bind()
    await knock('ingest', address, keys)
    expect(door.refused.ingest).toBe(0)
    await knock('ingest', address, stranger)
    expect(door.refused).toEqual({ ingest: 1, plain: 0, requests: 0, stream: 0 })
    expect(logged).toEqual([
      {
        event: 'curve-refused',
        fields: {
          socket: 'ingest',
          address: '127.0.0.1',
          key: `${stranger.publicKey.slice(0, 8)}…`,
          reason: 'the key is not known',
        },
      },
    ])
  })

  it('has another key at each endpoint of one socket', async () => {
    const second = makeKeyPair()
    const { door, bind } = await opened([server, second])
    await door.start()
    const [first = '', other = ''] = await bind()
    const moved = { ...keys, serverKey: second.publicKey }
    expect(await Promise.all([knock('ingest', first, keys), knock('ingest', other, moved)])).toEqual([
      'in',
      'in',
    ])
    expect(await Promise.all([knock('ingest', other, keys), knock('ingest', first, moved)])).toEqual([
      'cut',
      'cut',
    ])
    expect([0, 1, 2].map(endpoint => door.hasKey(endpoint, second.publicKey))).toEqual([false, true, true])
  })
})
