import { describe, expect, it } from 'vitest'
import { CurveAccess, type CurveClient, curveSockets } from '../../broker/auth/curve-access.ts'

const web: CurveClient = { name: 'web', roles: ['functions'], keys: ['old key of web', 'new key of web'] }
const temma: CurveClient = { name: 'temma', roles: ['publisher', 'subscriber'], keys: ['key of temma'] }
const sensor: CurveClient = { name: 'sensor', roles: ['publisher'], keys: ['key of sensor'] }
const access = new CurveAccess([web, temma, sensor])

describe('a key', () => {
  it.each([
    ['of functions', 'new key of web', ['ingest', 'plain', 'requests', 'stream']],
    ['of a publisher', 'key of sensor', ['ingest']],
    ['of a publisher and subscriber', 'key of temma', ['ingest', 'plain']],
    ['that nobody knows', 'another key', []],
  ])('%s opens exactly its sockets', (_, key, opened) => {
    expect(curveSockets.filter(socket => 'name' in access.admit(socket, key))).toEqual(opened)
  })

  it('may be the old or the new one of a client', () => {
    for (const key of web.keys) expect(access.admit('stream', key)).toEqual({ name: 'web' })
  })

  it('that is for something else is told from one that is not known', () => {
    expect(access.admit('requests', 'key of temma')).toEqual({
      refused: 'the key of temma is for publisher and subscriber',
    })
    expect(access.admit('requests', 'another key')).toEqual({ refused: 'the key is not known' })
  })
})

describe('another list', () => {
  const taken = (...clients: CurveClient[]) => access.takenBy(new CurveAccess(clients))

  it('that lets everybody in takes nothing', () => {
    expect(taken(sensor, { ...web, name: 'page' }, temma)).toEqual([])
    expect(taken(web, temma, { ...sensor, roles: ['functions', 'publisher'] })).toEqual([])
  })

  it('names whose key it takes, and which', () => {
    expect(taken({ ...web, keys: ['new key of web'] }, temma)).toEqual([
      'web (old key …)',
      'sensor (key of s…)',
    ])
  })

  it('that takes a role takes the key', () => {
    expect(taken(web, { ...temma, roles: ['subscriber'] }, sensor)).toEqual(['temma (key of t…)'])
  })
})
