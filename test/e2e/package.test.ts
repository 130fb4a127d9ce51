import { execFile } from 'node:child_process'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startCommand } from '../support/command.ts'
import { codeOf } from '../support/papers.ts'
import { startBrokerProcess } from '../support/processes.ts'

const run = promisify(execFile)
const root = fileURLToPath(new URL('../..', import.meta.url))

/** A project that knows nothing of this one but its packed file. */
let project: string

describe('the packed project, installed in another one', () => {
  beforeAll(async () => {
    project = await mkdtemp(join(tmpdir(), 'postern-foreign-'))
    await writeFile(join(project, 'package.json'), JSON.stringify({ private: true, type: 'module' }))
    await run('npm', ['pack', '--pack-destination', project], { cwd: root })
    const packed = (await readdir(project)).find(name => name.endsWith('.tgz'))
    await run('npm', ['install', '--prefer-offline', '--no-audit', '--no-fund', `./${packed}`], {
      cwd: project,
    })
  }, 120_000)

  afterAll(() => rm(project, { recursive: true, force: true }))

  it('brings no Node and no tools of development', async () => {
    const { devDependencies } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8'))
    const { packages } = JSON.parse(await readFile(join(project, 'package-lock.json'), 'utf8'))
    const installed = Object.keys(packages).map(path => path.replace(/^.*node_modules\//, ''))
    expect(installed).toContain('postern')
    expect(installed).toContain('zeromq')
    expect(installed.filter(name => Object.hasOwn(devDependencies, name))).toEqual([])
  })

  it('brings JavaScript, its types and its papers, and nothing else', async () => {
    const names = await readdir(join(project, 'node_modules/postern'), {
      recursive: true,
      withFileTypes: true,
    })
    const files = names.filter(entry => entry.isFile()).map(({ name }) => name)
    const expected = /^(package\.json|README\.md|CHANGELOG\.md|LICENSE|.*\.js|.*\.d\.ts)$/
    expect(files.filter(name => !expected.test(name))).toEqual([])
    expect(files).toEqual(
      expect.arrayContaining(['README.md', 'CHANGELOG.md', 'LICENSE', 'index.js', 'index.d.ts']),
    )
  })

  it.each([
    ['nodenext', 'nodenext'],
    ['esnext', 'bundler'],
  ])('has types for a strict project: module %s, resolution %s', async (module, moduleResolution) => {
    await writeFile(join(project, 'strict.ts'), strictSource)
    const options = { strict: true, skipLibCheck: false, exactOptionalPropertyTypes: true, types: [] }
    await compile('strict.ts', { ...options, module, moduleResolution, noEmit: true, lib: ['es2023'] })
  })

  it('publishes and subscribes, as the README shows it', async () => {
    const broker = await startBrokerProcess()
    const [source] = codeOf(await readFile(join(root, 'README.md'), 'utf8'), 'ts')
    if (!source) throw new Error('the README shows no TypeScript')
    const here = source
      .replaceAll('tcp://127.0.0.1:5001', broker.requests)
      .replaceAll('tcp://127.0.0.1:5000', broker.ingest)
    await writeFile(join(project, 'example.ts'), here)
    await compile('example.ts', { strict: true, module: 'nodenext', lib: ['es2023', 'dom'], types: [] })
    const command = startCommand(process.execPath, ['example.js'], { cwd: project })
    expect(await command.ended).toEqual({ code: 0, signal: null })
    expect(command.output()).toMatch(/^published as [0-9a-f]{12}-\d+$/m)
    expect(command.output()).toMatch(/^[0-9a-f]{12}-\d+ news Hello$/m)
    expect(command.output()).toMatch(/^[0-9a-f]{12}-\d+ news\/sport Hello too$/m)
  })
})

const strictSource = `
import { type Backbone, type EndReason, type Message, PosternError, type Receipt, Relay, Sender } from 'postern/client'

const relay: Backbone = new Relay({ broker: 'tcp://127.0.0.1:5001', maxBufferedBytes: 4096 })
const publication = { topic: 'a', type: '', binary: false, payload: new Uint8Array() }
export const receipt: Promise<Receipt> = relay.publish(publication, { idempotencyKey: 'k' })
export const subscription = relay.subscribe({ topics: ['a'], exact: false }, { since: 'x' }, {
  start(position) { const offset: number = position.offset; return void offset },
  gap() {},
  deliver(messages: readonly Message[]) { return messages.every(({ payload }) => payload instanceof Uint8Array) },
  end(reason) { const known: EndReason = reason; return void known },
})
export const isTemporary = (error: unknown) => error instanceof PosternError && error.code === 'BROKER_UNAVAILABLE'
const sender = new Sender({ ingest: 'tcp://127.0.0.1:5000' })
export const sent: Promise<void> = sender.send('a', 'text', { type: 'news' })
// @ts-expect-error a topic is a text
sender.send(1, 'text')
// @ts-expect-error there is no such option
new Relay({ brokr: 'tcp://127.0.0.1:5001' })
`

/** Compiles one file with this project's compiler, in the other project. */
async function compile(file: string, compilerOptions: object): Promise<void> {
  const config = { compilerOptions: { target: 'es2023', ...compilerOptions }, files: [file] }
  await writeFile(join(project, 'tsconfig.json'), JSON.stringify(config))
  const command = startCommand(join(root, 'node_modules/.bin/tsc'), ['-p', '.'], { cwd: project })
  const { code } = await command.ended
  expect(code, command.output()).toBe(0)
}
