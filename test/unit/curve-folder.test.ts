import { chmodSync, chownSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { CurveKeysError, makeKeyPair, readCurveFolder, writePrivate } from '../../broker/auth/curve-folder.ts'
import {
  addClientKey,
  addServerKey,
  listKeys,
  removeClient,
  retireKey,
} from '../../broker/auth/curve-keys.ts'
import { readCurveKeys } from '../../broker/client/index.ts'
import { temporaryFolder } from '../support/processes.ts'

async function newFolder(): Promise<string> {
  return join(await temporaryFolder(), 'keys')
}

const modeOf = (path: string) => statSync(path).mode & 0o777
const clientFile = (folder: string, name: string) => readCurveKeys(join(folder, `${name}.json`))

describe('the keys of a client', () => {
  it('are made with those of the broker, in files that nobody else may read', async () => {
    const folder = await newFolder()
    const told = addClientKey(folder, 'web', ['functions'])
    const { serverKeys, clients } = readCurveFolder(folder)
    const file = clientFile(folder, 'web')
    expect(serverKeys.map(({ publicKey }) => publicKey)).toEqual([file.serverKey])
    expect(clients).toEqual([{ name: 'web', roles: ['functions'], keys: [file.publicKey] }])
    expect(modeOf(folder)).toBe(0o700)
    for (const name of ['broker', 'clients', 'web']) expect(modeOf(join(folder, `${name}.json`))).toBe(0o600)
    expect(told.join('\n')).toContain(join(folder, 'web.json'))
    expect(told.join('\n')).not.toContain(file.secretKey)
  })

  it('are two while they are changed: the old one lets it in until it is retired', async () => {
    const folder = await newFolder()
    addClientKey(folder, 'web', ['functions'])
    const old = clientFile(folder, 'web')
    addClientKey(folder, 'web', [])
    const fresh = clientFile(folder, 'web')
    expect(readCurveFolder(folder).clients[0]?.keys).toEqual([old.publicKey, fresh.publicKey])
    expect(() => addClientKey(folder, 'web', [])).toThrow(
      'web has two keys already: retire the old one first',
    )
    retireKey(folder, 'web')
    expect(readCurveFolder(folder).clients[0]?.keys).toEqual([fresh.publicKey])
    expect(() => retireKey(folder, 'web')).toThrow('web has one key')
  })

  it('are gone when it is removed', async () => {
    const folder = await newFolder()
    addClientKey(folder, 'web', ['functions'])
    addClientKey(folder, 'sensor', ['publisher'])
    removeClient(folder, 'web')
    expect(readCurveFolder(folder).clients.map(({ name }) => name)).toEqual(['sensor'])
    expect(() => removeClient(folder, 'web')).toThrow('"web" is not known; known are sensor')
  })

  it('are listed without a secret', async () => {
    const folder = await newFolder()
    addClientKey(folder, 'web', ['functions'])
    const { serverKey, publicKey } = clientFile(folder, 'web')
    expect(listKeys(folder)).toEqual([`broker: ${serverKey}`, `web (functions): ${publicKey.slice(0, 8)}…`])
  })

  it.each(['', '../web', 'a/b', '-x', 'broker', 'clients', 'x'.repeat(64)])(
    'cannot have the name %j, which would be that of a file',
    async name => {
      const folder = await newFolder()
      expect(() => addClientKey(folder, name, ['functions'])).toThrow(CurveKeysError)
    },
  )

  it('need a role', async () => {
    const folder = await newFolder()
    expect(() => addClientKey(folder, 'web', [])).toThrow('web is new: say what for')
  })
})

describe('the keys of the broker', () => {
  it('are two while they are changed, and clients made meanwhile have the new one', async () => {
    const folder = await newFolder()
    addServerKey(folder)
    const [old] = readCurveFolder(folder).serverKeys
    const told = addServerKey(folder).join('\n')
    const [first, second] = readCurveFolder(folder).serverKeys
    expect(first).toEqual(old)
    expect(told).toContain(second?.publicKey)
    expect(told).not.toContain(second?.secretKey)
    addClientKey(folder, 'web', ['functions'])
    expect(clientFile(folder, 'web').serverKey).toBe(second?.publicKey)
    expect(() => addServerKey(folder)).toThrow('two keys already')
    retireKey(folder, 'broker')
    expect(readCurveFolder(folder).serverKeys).toEqual([second])
    expect(() => retireKey(folder, 'broker')).toThrow('the broker has one key')
  })
})

describe('a folder of keys', () => {
  const pair = makeKeyPair()
  const other = makeKeyPair()
  const client = { roles: ['functions'], keys: [pair.publicKey] }

  it.each([
    ['broker.json is missing', 'broker.json', undefined, 'cannot be read'],
    ['clients.json is missing', 'clients.json', undefined, 'cannot be read'],
    ['broker.json is torn', 'broker.json', `[{"secretKey":"${pair.secretKey}`, 'is not JSON'],
    ['the broker has no keys', 'broker.json', [], 'is not a list of one or two pairs'],
    ['the broker has three pairs', 'broker.json', [pair, pair, pair], 'is not a list of one or two pairs'],
    [
      'a pair is mixed',
      'broker.json',
      [{ ...pair, publicKey: other.publicKey }],
      'no keys that belong together',
    ],
    ['a pair has no secret', 'broker.json', [{ publicKey: pair.publicKey }], 'no keys that belong together'],
    ['the clients are a list', 'clients.json', [], 'is not an object of clients'],
    [
      'a client has no role',
      'clients.json',
      { web: { keys: client.keys } },
      'the roles of "web" are not a list of',
    ],
    ['a role is not known', 'clients.json', { web: { ...client, roles: ['god'] } }, 'the roles of "web"'],
    ['a client has no key', 'clients.json', { web: { ...client, keys: [] } }, 'the keys of "web"'],
    ['a key is none', 'clients.json', { web: { ...client, keys: ['x'] } }, 'the keys of "web"'],
    ['two clients have one key', 'clients.json', { a: client, b: client }, 'a key of "a" is there twice'],
  ])('is refused when %s, without a word of what is secret', async (_, name, content, told) => {
    const folder = await newFolder()
    addServerKey(folder)
    const path = join(folder, name)
    if (content === undefined) rmSync(path)
    else writeFileSync(path, typeof content === 'string' ? content : JSON.stringify(content))
    const read = () => readCurveFolder(folder)
    expect(read).toThrow(CurveKeysError)
    expect(read).toThrow(told)
    expect(read).toThrow(path)
    expect(read).not.toThrow(pair.secretKey)
  })

  it('is refused when others may read what is secret', async () => {
    const folder = await newFolder()
    addServerKey(folder)
    const path = join(folder, 'broker.json')
    for (const mode of [0o644, 0o640, 0o604]) {
      chmodSync(path, mode)
      expect(() => readCurveFolder(folder)).toThrow(
        `may be read by others (${mode.toString(8)}): chmod 600 ${path}`,
      )
    }
    chmodSync(path, 0o400)
    expect(() => readCurveFolder(folder)).not.toThrow()
  })

  it('gets a file of its own for what is written, whatever others may with the old one', async () => {
    const path = join(await newFolder(), 'web.json')
    writePrivate(path, 'old')
    chmodSync(path, 0o666)
    writePrivate(path, 'new')
    expect([readFileSync(path, 'utf8'), modeOf(path)]).toEqual(['"new"\n', 0o600])
  })

  it('stays with its owner, whoever of those who may writes into it', async () => {
    const folder = await newFolder()
    addServerKey(folder)
    // Only root can give it away; whoever else runs this is its owner already.
    const owner = process.getuid?.() === 0 ? 1234 : statSync(folder).uid
    chownSync(folder, owner, owner === 1234 ? owner : statSync(folder).gid)
    addClientKey(folder, 'web', ['functions'])
    const owners = ['broker', 'clients', 'web'].map(name => statSync(join(folder, `${name}.json`)).uid)
    expect(owners).toEqual([owner, owner, owner])
  })
})
