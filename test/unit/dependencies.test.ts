import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import * as v from 'valibot'
import { describe, expect, it } from 'vitest'
import { auditFindings } from '../support/audit.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const read = (name: string): unknown => JSON.parse(readFileSync(join(root, name), 'utf8'))

const locked = v.object({
  integrity: v.optional(v.string()),
  resolved: v.optional(v.string()),
  dev: v.optional(v.boolean(), false),
  inBundle: v.optional(v.boolean(), false),
  hasInstallScript: v.optional(v.boolean(), false),
})
const { packages } = v.parse(v.object({ packages: v.record(v.string(), locked) }), read('package-lock.json'))
const { '': _project, ...dependencies } = packages

const { allowScripts } = v.parse(
  v.object({ allowScripts: v.record(v.string(), v.literal(true)) }),
  read('package.json'),
)
const mayRun = Object.keys(allowScripts).map(name => `node_modules/${name}`)

const manifest = v.object({ scripts: v.optional(v.record(v.string(), v.string()), {}) })

/** Whether npm runs something of it when it is installed: a script, or the build of an addon. */
function runsSomething(folder: string): boolean {
  const { scripts } = v.parse(manifest, read(`${folder}/package.json`))
  const isBuilt = existsSync(join(root, folder, 'binding.gyp'))
  return isBuilt || ['preinstall', 'install', 'postinstall'].some(name => name in scripts)
}

describe('a package that is locked', () => {
  it('runs nothing when it is installed, but for the named ones', () => {
    expect(mayRun).toEqual(['node_modules/node', 'node_modules/zeromq'])
    const saysSo = Object.entries(dependencies).filter(([, { hasInstallScript }]) => hasInstallScript)
    expect(saysSo.map(([folder]) => folder)).toEqual(mayRun)
    const installed = Object.keys(dependencies).filter(folder =>
      existsSync(join(root, folder, 'package.json')),
    )
    expect(installed.length).toBeGreaterThan(50)
    expect(installed.filter(runsSomething)).toEqual(mayRun)
  })

  it('is the one that was locked, where it ships, and no lock names a server', () => {
    const shipped = Object.entries(dependencies).filter(([, { dev, inBundle }]) => !dev && !inBundle)
    expect(shipped.length).toBeGreaterThan(20)
    for (const [folder, { integrity }] of shipped)
      expect([folder, integrity]).toEqual([folder, expect.stringMatching(/^sha512-/)])
    expect(Object.values(dependencies).filter(({ resolved }) => resolved !== undefined)).toEqual([])
  })
})

describe('the audit', () => {
  it('names what is known to be unsafe', () => {
    const found = { vulnerabilities: { h3: { severity: 'high', range: '<2.0.9', via: [] } }, metadata: {} }
    expect(auditFindings(JSON.stringify(found))).toEqual(['high: h3 <2.0.9'])
    expect(auditFindings('{"auditReportVersion":2,"vulnerabilities":{}}')).toEqual([])
  })

  it('knows nothing where the registry has not answered', () => {
    for (const answer of [
      '',
      'null',
      '{"message":"405 Method Not Allowed","error":{"summary":"","detail":""}}',
    ])
      expect(auditFindings(answer)).toBeUndefined()
  })
})
