import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { AddressList } from '../../functions/address-list.ts'
import { readSettings, SettingError } from '../../functions/settings.ts'
import { temporaryFolder } from '../support/processes.ts'

/** A text of the form of a key. */
const key = (digit: string) => digit.repeat(40)

describe('the settings of functions', () => {
  it('have defaults, also for what is empty', () => {
    const defaults = {
      POSTERN_BROKER: 'tcp://127.0.0.1:5001',
      PORT: 3000,
      HOST: '127.0.0.1',
      POSTERN_MAX_BUFFERED_BYTES: 4 * 1024 * 1024,
      POSTERN_HEARTBEAT_MS: 15_000,
      POSTERN_RETRY_MS: 1000,
      POSTERN_MODE: 'production',
      POSTERN_PING_MS: 30_000,
      POSTERN_IDLE_MS: 0,
      POSTERN_ALLOW_ORIGINS: [],
      POSTERN_HEAD_MS: 10_000,
      POSTERN_MAX_ECHO_BYTES: 16 * 1024 * 1024,
      POSTERN_TRUST_PROXY: new AddressList('off'),
      POSTERN_METRICS_FROM: new AddressList('loopback'),
      POSTERN_LEASE_MS: 30_000,
      POSTERN_MAX_LEASES: 10_000,
      POSTERN_CORS_ORIGINS: [],
      POSTERN_BODY_MS: 30_000,
      POSTERN_MAX_HEAD_BYTES: 16_384,
      POSTERN_MAX_URL_BYTES: 8192,
      POSTERN_MAX_TOPICS: 100,
      POSTERN_MAX_CONNECTIONS: 20_000,
      POSTERN_MAX_ADDRESS_CONNECTIONS: 256,
      POSTERN_MAX_IDENTITY_CONNECTIONS: 256,
      POSTERN_PUBLISHES_PER_S: 1000,
      POSTERN_PUBLISHED_BYTES_PER_S: 8 * 1024 * 1024,
    }
    expect(readSettings({})).toEqual(defaults)
    expect(readSettings({ PORT: '', HOST: '', PATH: '/bin' })).toEqual(defaults)
  })

  it('are read from the environment', () => {
    expect(
      readSettings({ PORT: '0', HOST: '::1', POSTERN_BROKER: 'tcp://broker.example:5001' }),
    ).toMatchObject({
      PORT: 0,
      HOST: '::1',
      POSTERN_BROKER: 'tcp://broker.example:5001',
    })
  })

  it('have hosts in a list, in lower case', () => {
    const { POSTERN_ALLOW_ORIGINS } = readSettings({
      POSTERN_ALLOW_ORIGINS: 'Example.com, *.example.org:8080',
    })
    expect(POSTERN_ALLOW_ORIGINS).toEqual(['example.com', '*.example.org:8080'])
  })

  it('take the keys for the broker from a file, or as they are', async () => {
    const keys = { serverKey: key('s'), publicKey: key('p'), secretKey: key('x') }
    const file = join(await temporaryFolder(), 'web.json')
    writeFileSync(file, JSON.stringify(keys))
    expect(readSettings({ POSTERN_CURVE: file }).POSTERN_CURVE).toEqual(keys)
    expect(readSettings({ POSTERN_CURVE: JSON.stringify(keys) }).POSTERN_CURVE).toEqual(keys)
  })

  it.each([
    ['/nowhere/web.json', /^POSTERN_CURVE is "\/nowhere\/web.json": .*no such file/],
    [
      `{"serverKey":"${key('s')}"}`,
      /^POSTERN_CURVE is {…}: publicKey is not a key of CURVE: allowed are 40 char/,
    ],
    [`{"secretKey":"${key('s')}`, /^POSTERN_CURVE is {…}: it is not JSON\.$/],
  ])('refuse keys that are none, and show nothing of them: %s', (value, told) => {
    const read = () => readSettings({ POSTERN_CURVE: value })
    expect(read).toThrow(SettingError)
    expect(read).toThrow(told)
    expect(read).not.toThrow('ssss')
  })

  it.each([
    ['PORT', '65536', 'a whole number from 0 to 65535'],
    ['PORT', '-1', 'a whole number'],
    ['PORT', '80 ', 'a whole number'],
    ['PORT', '3000.5', 'a whole number'],
    ['HOST', 'not a host', 'a host name'],
    ['HOST', '-x', 'a host name'],
    ['POSTERN_BROKER', 'localhost:5001', 'tcp://host:port'],
    ['POSTERN_BROKER', 'tcp://h:0', 'tcp://host:port'],
    ['POSTERN_MAX_BUFFERED_BYTES', '1k', 'a whole number'],
    ['POSTERN_HEARTBEAT_MS', '10', 'from 500 to 600000'],
    ['POSTERN_RETRY_MS', 'soon', 'a whole number'],
    ['POSTERN_ALLOW_ORIGINS', 'http://example.com', 'example.com'],
    ['POSTERN_ALLOW_ORIGINS', '*', '*.example.com'],
    ['POSTERN_CORS_ORIGINS', 'example.com', 'https://example.com'],
    ['POSTERN_CORS_ORIGINS', 'https://example.com/', 'https://example.com'],
    ['POSTERN_CORS_ORIGINS', '*', 'https://example.com'],
    ['POSTERN_MAX_TOPICS', '0', 'from 1 to 10000'],
    ['POSTERN_PING_MS', '0', 'from 500 to 600000'],
    ['POSTERN_TRUST_PROXY', 'nginx', 'loopback'],
    ['POSTERN_METRICS_FROM', '10.0.0.0/33', 'networks as 10.0.0.0/8'],
    ['POSTERN_MODE', 'dev', 'production, development or test'],
  ])('%s cannot be %j, and one line says so', (name, value, allowed) => {
    const read = () => readSettings({ [name]: value })
    expect(read).toThrow(SettingError)
    expect(read).toThrow(`${name} is ${JSON.stringify(value)}: allowed is `)
    expect(read).toThrow(allowed)
    expect(read).not.toThrow('\n')
  })
})
