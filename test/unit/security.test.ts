import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'

const root = fileURLToPath(new URL('../..', import.meta.url))
const paper = readFileSync(join(root, 'SECURITY.md'), 'utf8')

const proofs = [...paper.matchAll(/\[([^\]]+)\]\((test\/[^)]+)\)/g)].map(([, name = '', file = '']) => ({
  name,
  file,
}))

describe('what the paper promises of security', () => {
  it('is proved by at least one test each', () => {
    const [, ...tables] = paper.split(/^.*Proved by *\|$/m)
    expect(tables).toHaveLength(3)
    for (const table of tables) {
      const rows =
        table
          .trim()
          .split(/\n(?!\|)/)[0]
          ?.split('\n')
          .slice(1) ?? []
      expect(rows.length).toBeGreaterThan(5)
      for (const row of rows) expect(row).toMatch(/\(test\/.*\|$/)
    }
  })

  it.each(proofs)('is proved by a test that is there: $name', ({ name, file }) => {
    expect(existsSync(join(root, file)), file).toBe(true)
    const source = readFileSync(join(root, file), 'utf8')
    expect(source).toMatch(new RegExp(`['"\`]${escaped(name)}['"\`]`))
  })
})

function escaped(text: string): string {
  return text.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&')
}
