import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { addServerKey } from '../../broker/auth/curve-keys.ts'
import { type Config, ConfigError, loadConfig } from '../../broker/config.ts'

let folder = ''
let curveKeys = ''
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'postern-config-'))
  curveKeys = join(folder, 'keys')
  addServerKey(curveKeys)
})
afterAll(() => rmSync(folder, { recursive: true }))

/** What the broker makes of a file with this content, and of these variables. */
function load(content: string | object, env: Record<string, string> = {}): Config {
  const path = join(folder, 'broker.config.jsonc')
  writeFileSync(path, typeof content === 'string' ? content : JSON.stringify(content))
  return loadConfig({ POSTERN_CONFIG: path, ...env })
}

function complaint(content: string | object, env: Record<string, string> = {}): string {
  try {
    load(content, env)
  } catch (error) {
    if (error instanceof ConfigError) return error.message
    throw error
  }
  throw new Error('the configuration was taken')
}

const addressOf = ({ endpoints }: Config['ingest']) =>
  endpoints.map(({ host, port }) => `${host}:${port}`).join(' ')

describe('the configuration without any settings', () => {
  it('listens on loopback, at the four known ports', () => {
    const { ingest, plain, requests, stream, plaintext } = load({})
    expect([ingest, plain, requests, stream].map(addressOf)).toEqual([
      '127.0.0.1:5000',
      '127.0.0.1:6000',
      '127.0.0.1:5001',
      '127.0.0.1:6001',
    ])
    expect([ingest, plain, requests, stream].map(({ type, mode }) => `${mode} ${type}`)).toEqual([
      'bind PULL',
      'bind PUB',
      'bind ROUTER',
      'bind PUB',
    ])
    expect(plaintext).toBe('loopback')
  })

  it('keeps to the bounds that are promised', () => {
    expect(load({})).toMatchObject({
      data: 'data',
      defaultTopic: 'chat',
      maxPayloadBytes: 262_144,
      history: { messages: 100, store: { driver: 'fs', options: {} } },
      idempotencyMs: 600_000,
      streamHighWaterMark: 64,
      logLevel: 'info',
    })
  })
})

describe('the environment', () => {
  it.each([
    ['POSTERN_INGEST', 'zmq-bind://PULL@127.0.0.1:1', 'ingest'],
    ['POSTERN_PLAIN', 'zmq-bind://PUB@127.0.0.1:1', 'plain'],
    ['POSTERN_REQUESTS', 'zmq-bind://ROUTER@127.0.0.1:1', 'requests'],
    ['POSTERN_STREAM', 'zmq-bind://PUB@127.0.0.1:1', 'stream'],
  ] as const)('sets a socket by %s', (variable, value, setting) => {
    const file = { [setting]: value.replace(':1', ':2') }
    expect(addressOf(load(file)[setting])).toBe('127.0.0.1:2')
    expect(addressOf(load(file, { [variable]: value })[setting])).toBe('127.0.0.1:1')
  })

  it.each([
    ['POSTERN_DATA', '/somewhere', 'data'],
    ['POSTERN_DEFAULT_TOPIC', 'news/all', 'defaultTopic'],
    ['POSTERN_PLAINTEXT', 'anywhere', 'plaintext'],
    ['POSTERN_LOG_LEVEL', 'debug', 'logLevel'],
  ] as const)('sets %s over the file', (variable, value, setting) => {
    expect(load({}, { [variable]: value })[setting]).toBe(value)
  })

  it('leaves a setting as it is where a variable is empty', () => {
    expect(load({ data: 'here' }, { POSTERN_DATA: '' }).data).toBe('here')
    expect(() => loadConfig({ POSTERN_CONFIG: '' })).not.toThrow()
  })

  it('may be named in place of a socket', () => {
    const env = { INGEST: 'zmq-bind://PULL@127.0.0.1:7000' }
    expect(addressOf(load({ ingest: 'env://INGEST' }, env).ingest)).toBe('127.0.0.1:7000')
    expect(addressOf(load({}, { ...env, POSTERN_INGEST: 'env://INGEST' }).ingest)).toBe('127.0.0.1:7000')
    expect(complaint({ ingest: 'env://OTHER' })).toBe(
      'The setting ingest is "env://OTHER": the environment variable OTHER is not set.',
    )
  })

  it('is named in the complaint about a setting that it has set', () => {
    expect(complaint({}, { POSTERN_LOG_LEVEL: 'loud' })).toBe(
      'The setting POSTERN_LOG_LEVEL (logLevel) is "loud": allowed is debug, info, warn, error.',
    )
  })
})

describe('the address of the metrics', () => {
  it('is one of this machine, or off', () => {
    expect(load({}).metrics).toBeUndefined()
    for (const metrics of ['http://127.0.0.1:9464', 'http://127.0.0.1:9464/'])
      expect(load({ metrics }).metrics).toEqual({ host: '127.0.0.1', port: 9464 })
    expect(load({ metrics: 'http://[::1]:9464' }).metrics).toEqual({ host: '::1', port: 9464 })
  })

  it.each([
    ['http://0.0.0.0:9464', 'loopback'],
    ['http://192.0.2.1:9464', 'loopback'],
    ['http://*:9464', 'loopback'],
    ['https://127.0.0.1:9464', 'http://host:port, or off'],
    ['http://127.0.0.1:9464/metrics', 'http://host:port, or off'],
    ['127.0.0.1:9464', 'http://host:port, or off'],
  ])('is not %s, whatever plaintext says', (metrics, allowed) => {
    expect(complaint({ metrics, plaintext: 'anywhere' })).toContain(`The setting metrics is "${metrics}": `)
    expect(complaint({ metrics, plaintext: 'anywhere' })).toContain(allowed)
  })
})

describe('the file', () => {
  it('may hold comments, trailing commas and a byte order mark', () => {
    expect(
      load('\ufeff{\n  // where\n  "data": "x", /* and more */\n  "maxPayloadBytes": 5,\n}'),
    ).toMatchObject({
      data: 'x',
      maxPayloadBytes: 5,
    })
  })

  it('that is broken is told with its name and the line', () => {
    expect(complaint('{\n  "data": "x",\n  "tailBytes" 5\n}')).toMatch(/broker\.config\.jsonc:3: [\w ]+\.$/)
    expect(complaint('')).toMatch(/broker\.config\.jsonc:1: [\w ]+\.$/)
    expect(complaint('{}\n\nmore')).toMatch(/broker\.config\.jsonc:3: [\w ]+\.$/)
  })

  it.each(['[]', '"data"', 'null', '5'])('that holds %s is not one', content =>
    expect(complaint(content)).toMatch(/broker\.config\.jsonc must hold one object\.$/),
  )

  it('must be there when it is named', () => {
    const path = join(folder, 'missing.jsonc')
    expect(() => loadConfig({ POSTERN_CONFIG: path })).toThrow(`The config file ${path} cannot be read`)
  })
})

describe('a setting', () => {
  it('that is not known is told with its value and what is known', () => {
    expect(complaint({ tailbytes: 5 })).toMatch(
      /^The setting tailbytes is 5: it is not known; known are ingest, .*tailBytes.*\.$/,
    )
    expect(complaint({ history: { message: 5 } })).toBe(
      'The setting history.message is 5: it is not known; known are messages, bytes, ageMs, totalBytes, store.',
    )
    expect(complaint({ history: { store: { drivr: 'fs' } } })).toBe(
      'The setting history.store.drivr is "fs": it is not known; known are driver, options.',
    )
  })

  it.each([
    [
      { tailBytes: '8' },
      'The setting tailBytes is "8": allowed is a whole number from 65536 to 17179869184.',
    ],
    [
      { tailBytes: 65_535 },
      'The setting tailBytes is 65535: allowed is a whole number from 65536 to 17179869184.',
    ],
    [
      { maxPayloadBytes: 1.5 },
      'The setting maxPayloadBytes is 1.5: allowed is a whole number from 1 to 67108864.',
    ],
    [
      { maxPayloadBytes: 0 },
      'The setting maxPayloadBytes is 0: allowed is a whole number from 1 to 67108864.',
    ],
    [{ idempotencyMs: -1 }, 'The setting idempotencyMs is -1: allowed is a whole number from 0 to 86400000.'],
    [
      { peerTimeoutMs: null },
      'The setting peerTimeoutMs is null: allowed is a whole number from 100 to 86400000.',
    ],
    [{ history: 5 }, 'The setting history is 5: allowed is an object.'],
    [
      { history: { messages: true } },
      'The setting history.messages is true: allowed is a whole number from 0 to 1000000.',
    ],
    [
      { history: { store: { driver: '' } } },
      'The setting history.store.driver is "": allowed is a text that is not empty.',
    ],
    [{ data: 5 }, 'The setting data is 5: allowed is a text.'],
    [{ plaintext: 'no' }, 'The setting plaintext is "no": allowed is "loopback" or "anywhere".'],
    [{ logLevel: 'all' }, 'The setting logLevel is "all": allowed is debug, info, warn, error.'],
    [
      { defaultTopic: 'a//b' },
      'The setting defaultTopic is "a//b": allowed is a topic: A topic must not have an empty segment.',
    ],
    [
      { defaultTopic: '$probe' },
      'The setting defaultTopic is "$probe": allowed is a topic: Topics that begin with "$" belong to the system.',
    ],
    [
      { ingest: 'zmq-bind://PUB@127.0.0.1:1' },
      'The setting ingest is "zmq-bind://PUB@127.0.0.1:1": this socket is of type PULL.',
    ],
    [
      { requests: 'zmq://ROUTER@127.0.0.1:1' },
      'The setting requests is "zmq://ROUTER@127.0.0.1:1": this socket binds: zmq-bind://.',
    ],
    [{ stream: '127.0.0.1:1' }, 'TYPE one of'],
    [
      { stream: 'zmq-bind://PUB@127.0.0.1:99999' },
      '"127.0.0.1:99999" is not host:port with a port up to 65535.',
    ],
  ])('that is wrong is told with its value and what is allowed: %j', (settings, message) => {
    expect(complaint(settings)).toContain(message)
  })

  it('of the ingest and plain sockets may connect to another broker instead', () => {
    expect(load({ ingest: 'zmq://PULL@127.0.0.1:1', plain: 'zmq://PUB@127.0.0.1:2' })).toMatchObject({
      ingest: { mode: 'connect' },
      plain: { mode: 'connect' },
    })
  })

  it('has the trailing slash of its topic dropped', () => {
    expect(load({ defaultTopic: 'a/b/' }).defaultTopic).toBe('a/b')
  })
})

describe('the TCP door', () => {
  it('is closed until an address says where', () => {
    expect(load({}).tcp).toBeUndefined()
    expect(load({}, { POSTERN_TCP: 'off' }).tcp).toBeUndefined()
    expect(load({}, { POSTERN_TCP: 'tcp://127.0.0.1:8887' }).tcp).toEqual({ host: '127.0.0.1', port: 8887 })
  })

  it.each([
    ['127.0.0.1:8887', 'The setting tcp is "127.0.0.1:8887": allowed is tcp://host:port, or off.'],
    ['tcp://127.0.0.1', 'The setting tcp is "tcp://127.0.0.1": "127.0.0.1" is not host:port'],
  ])('is not at %s', (tcp, message) => {
    expect(complaint({ tcp })).toContain(message)
  })

  it('has users whose lines are not shown when they are wrong', () => {
    expect(load({ users: ['eve:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ='] }).users).toHaveLength(1)
    expect(complaint({ users: ['# ours', 'amy:hunter2'] })).toBe(
      'The setting users cannot be used: line 2 is in no known form: allowed are bcrypt (htpasswd -B), $apr1$ and {SHA}.',
    )
    expect(complaint({}, { POSTERN_USERS: '/nowhere' })).toContain(
      'The users file /nowhere cannot be read: ENOENT',
    )
  })
})

describe('a socket without encryption', () => {
  it.each([
    ['ingest', 'zmq-bind://PULL@*:5000', '*:5000'],
    ['plain', 'zmq-bind://PUB@127.0.0.1:1;10.0.0.1:6000', '10.0.0.1:6000'],
    ['requests', 'zmq-bind://ROUTER@0.0.0.0:5001', '0.0.0.0:5001'],
    ['stream', 'zmq-bind://PUB@[::]:6001', ':::6001'],
    ['plain', 'zmq://PUB@broker.example:6000', 'broker.example:6000'],
    ['tcp', 'tcp://0.0.0.0:8887', '0.0.0.0:8887'],
    ['tcp', 'tcp://*:8887', '*:8887'],
  ])('%s is refused at any address but loopback, with the way out', (setting, value, address) => {
    const message = complaint({ [setting]: value })
    expect(message).toContain(`The setting ${setting} names ${address}: without encryption`)
    expect(message).toContain('set plaintext to "anywhere" (POSTERN_PLAINTEXT)')
  })

  it('is told how to get keys where they help', () => {
    expect(complaint({ ingest: 'zmq-bind://PULL@*:5000' })).toContain(
      'Make keys with "broker keys" (curveKeys)',
    )
    expect(complaint({ tcp: 'tcp://*:8887' })).not.toContain('keys')
  })

  it('may be anywhere when it asks for keys, and not when it is exempt', () => {
    const everywhere = { ingest: 'zmq-bind://PULL@*:5000', stream: 'zmq-bind://PUB@*:6001', curveKeys }
    expect(() => load(everywhere)).not.toThrow()
    expect(() => load({ ...everywhere, curveExempt: ['plain'] })).not.toThrow()
    expect(complaint({ ...everywhere, curveExempt: ['ingest'] })).toContain('The setting ingest names *:5000')
    expect(complaint({ ...everywhere, tcp: 'tcp://*:8887' })).toContain('The setting tcp names *:8887')
  })

  it('may be anywhere on a network that nobody else can enter', () => {
    expect(addressOf(load({ plaintext: 'anywhere', ingest: 'zmq-bind://PULL@*:5000' }).ingest)).toBe('*:5000')
    expect(() => load({ ingest: 'zmq-bind://PULL@*:5000' }, { POSTERN_PLAINTEXT: 'anywhere' })).not.toThrow()
  })

  it('may be at several loopback addresses', () => {
    expect(addressOf(load({ ingest: 'zmq-bind://PULL@127.0.0.1:1;[::1]:1;localhost:2' }).ingest)).toBe(
      '127.0.0.1:1 ::1:1 localhost:2',
    )
  })
})

describe('the keys', () => {
  it('need two endpoints of each socket while the broker has two of them', () => {
    const two = join(mkdtempSync(join(folder, 'two-')), 'keys')
    addServerKey(two)
    addServerKey(two)
    const sockets = {
      ingest: 'zmq-bind://PULL@*:5000;*:5010',
      requests: 'zmq-bind://ROUTER@*:5001;*:5011',
      stream: 'zmq-bind://PUB@*:6001;*:6011',
    }
    expect(complaint({ ...sockets, curveKeys: two })).toContain(
      'The setting plain names one endpoint, and the broker has two',
    )
    expect(() => load({ ...sockets, curveKeys: two, curveExempt: ['plain'] })).not.toThrow()
    expect(() => load({ ...sockets, curveKeys: two, plain: 'zmq-bind://PUB@*:6000;*:6010' })).not.toThrow()
  })

  it.each([
    [{ curveKeys: '/nowhere' }, 'The setting curveKeys: /nowhere/broker.json cannot be read: '],
    [{ curveExempt: ['tcp'] }, 'is "tcp": allowed is a list of ingest, plain, requests, stream.'],
    [{ curveExempt: ['stream'] }, 'requests and stream go together'],
  ])('are refused as %j', (settings, told) => expect(complaint(settings)).toContain(told))
})
