import { symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { startCommand } from '../support/command.ts'
import { temporaryFolder } from '../support/processes.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))

const passing = `it('passes', () => {})`
const skipped = `describe.skipIf(true)('a suite (needs a part that is missing)', () => { it('a', () => {}); it('b', () => {}) })`
const failing = `it('fails', () => { throw new Error('so') })`
const brokenHook = `describe('x', () => { beforeAll(() => { throw new Error('so') }); it('a', () => {}) })`

describe('a run of the tests', () => {
  it('ends with one plain line of numbers', async () => {
    const { code, lines } = await runTests(passing)
    expect(lines.at(-1)).toBe('Tests: 1 passed, 0 failed, 0 skipped')
    expect(code).toBe(0)
  })

  it('names what was skipped, with its reason', async () => {
    const { code, lines } = await runTests(passing, skipped)
    expect(lines.at(-2)).toMatch(/^Skipped: 2 × .*a suite \(needs a part that is missing\)$/)
    expect(lines.at(-1)).toBe('Tests: 1 passed, 0 failed, 2 skipped')
    expect(code).toBe(0)
  })

  it('fails with CI=true when a test was skipped', async () => {
    const { code, lines } = await runTests(passing, skipped, { CI: 'true' })
    expect(lines.at(-1)).toBe('Tests: 1 passed, 0 failed, 2 skipped')
    expect(code).toBe(1)
  })

  it('counts what fails, hooks too', async () => {
    const { code, lines } = await runTests(`${failing}; ${brokenHook}`)
    expect(lines.at(-1)).toBe('Tests: 0 passed, 2 failed, 1 skipped')
    expect(code).toBe(1)
  })
})

async function runTests(...args: (string | Record<string, string>)[]) {
  const env = args.find(arg => typeof arg !== 'string') ?? {}
  const source = args.filter(arg => typeof arg === 'string').join('\n')
  const folder = await temporaryFolder()
  await symlink(join(root, 'node_modules'), join(folder, 'node_modules'))
  await writeFile(
    join(folder, 'some.test.ts'),
    `import { beforeAll, describe, it } from 'vitest'\n${source}\n`,
  )
  const command = startCommand(
    process.execPath,
    [
      join(root, 'node_modules/vitest/vitest.mjs'),
      'run',
      '--reporter=default',
      `--reporter=${join(root, 'test/support/tally.ts')}`,
    ],
    { cwd: folder, env },
  )
  const { code } = await command.ended
  return { code, lines: command.output().trim().split('\n') }
}
