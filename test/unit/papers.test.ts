import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parse } from 'jsonc-parser'
import { afterAll, describe, expect, it } from 'vitest'
import {
  BatchWriter,
  codes,
  decodeReply,
  decodeRequest,
  encodeHead,
  encodePublications,
  type Publication,
} from '#protocol'
import { addServerKey } from '../../broker/auth/curve-keys.ts'
import { type Config, ConfigError, loadConfig } from '../../broker/config.ts'
import { readSettings, SettingError } from '../../functions/settings.ts'
import { codeBlocks, codeOf, tableUnder } from '../support/papers.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const read = (name: string) => readFileSync(join(root, name), 'utf8')
const names = [
  'README.md',
  'CHANGELOG.md',
  'SECURITY.md',
  'wrangler-free-local.md',
  'broker/README.md',
  'functions/README.md',
]
const brokerPaper = read('broker/README.md')
const functionsPaper = read('functions/README.md')
const example = join(root, 'infra/broker.config.jsonc')

const folder = mkdtempSync(join(tmpdir(), 'postern-papers-'))
const curveKeys = join(folder, 'keys')
addServerKey(curveKeys)
afterAll(() => rmSync(folder, { recursive: true }))

/** What the broker makes of a config file that sets one thing, named as the table does. */
function loadWith(setting: string, value: unknown): Config {
  const file = join(folder, 'broker.config.jsonc')
  const content = setting.split('.').reduceRight<unknown>((inner, name) => ({ [name]: inner }), value)
  writeFileSync(file, JSON.stringify(content))
  return loadConfig({ POSTERN_CONFIG: file })
}

/** Every setting by its name in the table. */
function settingsOf(value: object, prefix = ''): [name: string, value: unknown][] {
  return Object.entries(value).flatMap(([name, inner]): [string, unknown][] => {
    const path = `${prefix}${name}`
    return ['history', 'history.store', 'kept'].includes(path)
      ? settingsOf(inner, `${path}.`)
      : [[path, inner]]
  })
}

const rangeOf = (cell: string) => /^(\d+) to (\d+)$/.exec(cell)?.slice(1).map(Number)

describe('the example of a config file', () => {
  it('says what holds without it', () => {
    expect(loadConfig({ POSTERN_CONFIG: example })).toEqual(loadConfig({}))
  })

  it('has every setting, each with a comment above it', () => {
    const text = readFileSync(example, 'utf8')
    const has = settingsOf(parse(text)).map(([name]) => name)
    expect(has).toEqual(settingsOf(loadConfig({})).map(([name]) => name))
    const lines = text.split('\n')
    const bare = lines.filter((line, i) => /^ +"/.test(line) && !/^ +\/\//.test(lines[i - 1] ?? ''))
    expect(bare).toEqual([])
  })
})

describe('the table of the broker’s settings', () => {
  const rows = tableUnder(brokerPaper, 'Settings').map(
    ([setting = '', variable = '', value = '', allowed = '']) => ({ setting, variable, value, allowed }),
  )

  it('has every setting with its default', () => {
    const defaults = settingsOf(parse(readFileSync(example, 'utf8')))
    const texts = defaults.map(([name, value]) => [
      name,
      typeof value === 'string' ? value : JSON.stringify(value),
    ])
    expect(rows.map(({ setting, value }) => [setting, value])).toEqual(texts)
  })

  it.each(rows.filter(({ allowed }) => rangeOf(allowed)))('has the range of $setting', row => {
    const [from = 0, to = 0] = rangeOf(row.allowed) ?? []
    for (const inside of [from, to]) expect(() => loadWith(row.setting, inside)).not.toThrow()
    for (const outside of [from - 1, to + 1])
      expect(() => loadWith(row.setting, outside)).toThrow(ConfigError)
  })

  it('has the variables that set them, and no other', () => {
    const other: Record<string, string> = {
      ingest: 'zmq-bind://PULL@127.0.0.1:7000',
      plain: 'zmq-bind://PUB@127.0.0.1:7001',
      requests: 'zmq-bind://ROUTER@127.0.0.1:7002',
      stream: 'zmq-bind://PUB@127.0.0.1:7003',
      tcp: 'tcp://127.0.0.1:7004',
      metrics: 'http://127.0.0.1:7005',
      usersFile: '/dev/null',
      curveKeys,
      plaintext: 'anywhere',
      data: 'elsewhere',
      defaultTopic: 'news',
      logLevel: 'warn',
    }
    const set = rows.filter(({ variable }) => variable !== '')
    expect(set.map(({ setting }) => setting).toSorted()).toEqual(Object.keys(other).toSorted())
    for (const { setting, variable } of set) {
      const env = { [variable]: other[setting] }
      expect(loadConfig(env), variable).toEqual(loadWith(setting, other[setting]))
      expect(loadConfig(env), variable).not.toEqual(loadConfig({}))
    }
    const known = [...read('broker/config.ts').matchAll(/^ {2}(POSTERN_\w+): '/gm)].map(([, name]) => name)
    expect(set.map(({ variable }) => variable).toSorted()).toEqual(known.toSorted())
  })
})

describe('the table of the functions’ settings', () => {
  const rows = tableUnder(functionsPaper, 'Settings').map(([variable = '', value = '', allowed = '']) => ({
    variable,
    value,
    allowed,
  }))

  it('has every setting with its default', () => {
    const defaults = Object.entries(readSettings({})).map(([name, value]) => [name, String(value ?? '')])
    expect(rows.map(({ variable, value }) => [variable, value])).toEqual(defaults)
  })

  it.each(rows.filter(({ allowed }) => rangeOf(allowed)))('has the range of $variable', row => {
    const [from = 0, to = 0] = rangeOf(row.allowed) ?? []
    const load = (value: number) => readSettings({ [row.variable]: String(value) })
    for (const inside of [from, to]) expect(() => load(inside)).not.toThrow()
    for (const outside of [from - 1, to + 1]) expect(() => load(outside)).toThrow(SettingError)
  })
})

it('has every error in the table of errors, as it is told', () => {
  const told = Object.entries(codes).map(([code, { status, temporary, message }]) => [
    code,
    String(status),
    temporary ? 'yes' : 'no',
    message,
  ])
  expect(tableUnder(functionsPaper, 'Errors')).toEqual(told)
})

describe('the wire, as the paper shows it', () => {
  const hello: Publication = { topic: 'news', type: '', binary: false, payload: Buffer.from('Hello') }
  const bytes: Publication = {
    topic: 'news',
    type: 'headline',
    binary: true,
    payload: Buffer.from([0xff, 0]),
  }
  const epoch = '8a1f0c35d2e7'
  const timeMs = 0x01a0c4506c00

  const shown = (kind: string) => codeOf(brokerPaper, `hex ${kind}`).map(code => code.replace(/\s/g, ''))
  const hexOf = (batch: Uint8Array) => Buffer.from(batch).toString('hex')

  it('is what a publisher sends', () => {
    expect(shown('publish')).toEqual([hexOf(encodePublications([hello]))])
  })

  it('is what the stream brings', () => {
    const writer = new BatchWriter()
    writer.add(hello)
    writer.add(bytes)
    expect(shown('stream')).toEqual([hexOf(writer.finish({ epoch, first: 41, timeMs }).bytes)])
  })

  it('is what a replay of a topic brings', () => {
    const writer = new BatchWriter()
    writer.add(hello, { offset: 42, timeMs })
    expect(shown('sparse')).toEqual([hexOf(writer.finishSparse(epoch))])
  })

  it('has requests that the broker reads, field for field', () => {
    const requests = codeOf(brokerPaper, 'json request')
    const decoded = requests.map(text => decodeRequest(Buffer.from(text)))
    expect(decoded.map(request => 'op' in request && request.op)).toEqual([
      'hello',
      'publish',
      'replay',
      'position',
      'pull',
      'receive',
      'authorize',
      'status',
      'topics',
    ])
    expect(decoded).toEqual(requests.map(text => JSON.parse(text)))
  })

  it('has replies that a client reads', () => {
    const replies = codeOf(brokerPaper, 'json reply')
    for (const kind of ['hand', 'deliver']) {
      const [unasked = ''] = codeOf(brokerPaper, `json ${kind}`)
      expect(decodeReply(Buffer.from(unasked))).toEqual(JSON.parse(unasked))
    }
    const decoded = replies.map(text => decodeReply(Buffer.from(text)))
    expect(decoded.map(reply => reply?.op)).toEqual([
      'hello',
      'receipts',
      'replay',
      'position',
      'pull',
      'receive',
      'authorize',
      'status',
      'topics',
      'error',
    ])
    for (const [i, reply] of decoded.entries()) {
      expect(reply && JSON.parse(Buffer.from(encodeHead(reply)).toString())).toEqual(
        JSON.parse(replies[i] ?? ''),
      )
    }
  })
})

describe.each(names)('%s', name => {
  const text = read(name)

  it('links to what is there', () => {
    const links = [...text.matchAll(/\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)/g)]
    for (const [link, path = '', anchor] of links) {
      const target = path === '' ? join(root, name) : join(root, dirname(name), path)
      expect(existsSync(target), link).toBe(true)
      if (anchor !== undefined) expect(anchorsOf(readFileSync(target, 'utf8')), link).toContain(anchor)
    }
  })

  it('has JSON that is JSON', () => {
    const blocks = codeBlocks(text).filter(({ info }) => /^json\b/.test(info))
    for (const { code } of blocks) expect(() => JSON.parse(code), code).not.toThrow()
  })
})

/** The anchors that GitHub makes of headings. */
function anchorsOf(markdown: string): string[] {
  return [...markdown.matchAll(/^#+ (.+)$/gm)].map(([, title = '']) =>
    title
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  )
}
