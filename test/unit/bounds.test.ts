import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { sumOf, type WorstCase, worstCases } from '../../broker/bounds.ts'
import { type Config, loadConfig } from '../../broker/config.ts'

const mebibyte = 1024 * 1024
const plain = loadConfig({})
const durable: Config = {
  ...plain,
  topics: {
    sms: ruleOf({ durable: true, maxKeptBytes: 7 * mebibyte }),
    'orders/*': ruleOf({ durable: true }),
    'news/**': ruleOf({ durable: false }),
  },
}
const withTcp: Config = { ...plain, tcp: { host: '127.0.0.1', port: 8887 } }

function ruleOf(fields: { readonly durable: boolean; readonly maxKeptBytes?: number }) {
  return {
    receivers: 0,
    delivery: 'all',
    maxKept: 1000,
    maxKeptBytes: mebibyte,
    keptAgeS: 0,
    maxDeliveries: 0,
    legacy: false,
    ...fields,
  } as const
}

const namesOf = (cases: readonly WorstCase[], place: WorstCase['place']) =>
  cases.filter(one => one.place === place).map(({ name }) => name)

describe('the worst cases', () => {
  it('leave out what the configuration does not use', () => {
    expect(namesOf(worstCases(plain), 'memory').join()).not.toMatch(/store|receiver|TCP/)
    expect(namesOf(worstCases(plain), 'disk')).toEqual(['The journal', 'The history'])
    const forgetful = { ...plain, history: { ...plain.history, store: { driver: 'off', options: {} } } }
    expect(namesOf(worstCases(forgetful), 'disk')).toEqual(['The journal'])
  })

  it('name the store and the receivers where a topic is durable, and what each may keep on disk', () => {
    const cases = worstCases(durable)
    expect(namesOf(cases, 'memory')).toContain('The store of kept messages')
    const kept = cases.filter(({ name }) => name.startsWith('Kept messages'))
    expect(kept.map(({ setting, bytes, per }) => [setting, bytes, per])).toEqual([
      ['topics.sms.maxKeptBytes', 7 * mebibyte, undefined],
      ['topics.orders/*.maxKeptBytes', mebibyte, 'topic of orders/*'],
    ])
  })

  it('count what is loaded only for users and for figures', () => {
    const sum = (config: Config) => sumOf(worstCases(config), 'memory')
    expect(sum({ ...plain, usersFile: 'users' }) - sum(plain)).toBe(20 * mebibyte)
    expect(sum({ ...withTcp, usersFile: 'users' }) - sum(plain)).toBe(20 * mebibyte)
    const metrics = { host: '127.0.0.1', port: 9464 }
    expect(sum({ ...plain, metrics }) - sum(plain)).toBe(4 * mebibyte)
  })

  it('fit the memory that the service file gives, with the settings that are installed with it', () => {
    const infra = new URL('../../infra/', import.meta.url)
    const unit = readFileSync(new URL('systemd/broker.service', infra), 'utf8')
    const [, limit] = /^MemoryMax=(\d+)M$/m.exec(unit) ?? []
    const installed = loadConfig({ POSTERN_CONFIG: fileURLToPath(new URL('server.config.jsonc', infra)) })
    expect(sumOf(worstCases(installed), 'memory')).toBeLessThanOrEqual(Number(limit) * mebibyte)
  })

  it('name the connections of the TCP door, and the thread behind it', () => {
    const more = sumOf(worstCases(withTcp), 'memory') - sumOf(worstCases(plain), 'memory')
    expect(more).toBe(20 * mebibyte)
    expect(worstCases(withTcp)).toContainEqual(expect.objectContaining({ per: 'connection' }))
  })

  it('are summed without what there may be any number of', () => {
    const one = { name: '', setting: '', why: '', bytes: 5, place: 'memory' } as const
    expect(
      sumOf([one, { ...one, bytes: 2 }, { ...one, per: 'peer' }, { ...one, place: 'disk' }], 'memory'),
    ).toBe(7)
  })

  it.each([
    ['tailBytes', 'memory'],
    ['tailBytes', 'disk'],
    ['history.totalBytes', 'memory'],
    ['history.totalBytes', 'disk'],
    ['maxIdempotencyKeys', 'memory'],
    ['maxWithheldBytes', 'memory'],
    ['maxPushBytes', 'memory'],
    ['kept.maxWaitingBytes', 'memory'],
  ] as const)('grow by at least what %s grows, in %s', (setting, place) => {
    const before = sumOf(worstCases(durable), place)
    const after = sumOf(worstCases(grown(durable, setting)), place)
    expect(after - before).toBeGreaterThanOrEqual(mebibyte)
  })

  it('grow with each setting that they name', () => {
    const config = { ...durable, tcp: withTcp.tcp }
    const named = worstCases(config).flatMap(({ name, setting }) =>
      setting.split(', ').map(one => ({ name, setting: one })),
    )
    const still = [
      '',
      'NODE_OPTIONS',
      'metrics',
      'tcp',
      'usersFile',
      'kept.connector',
      'maxTcpConnections',
      'pullWindowBytes',
    ]
    for (const { name, setting } of named) {
      if (still.includes(setting) || setting.startsWith('topics.')) continue
      const bytesOf = (cases: readonly WorstCase[]) =>
        cases.filter(one => one.name === name).reduce((sum, { bytes }) => sum + bytes, 0)
      expect(bytesOf(worstCases(grown(config, setting))), setting).toBeGreaterThan(
        bytesOf(worstCases(config)),
      )
    }
  })
})

/** The configuration with a setting that is a mebibyte, or so many, larger. */
function grown(config: Config, setting: string): Config {
  const grow = (value: unknown) => {
    if (typeof value !== 'number') throw new Error(`${setting} is no number`)
    return value + mebibyte
  }
  const [name = '', inner] = setting.split('.')
  const value: unknown = Reflect.get(config, name)
  if (inner === undefined) return { ...config, [name]: grow(value) }
  return { ...config, [name]: { ...(value as object), [inner]: grow(Reflect.get(value as object, inner)) } }
}
