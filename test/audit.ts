import { spawnSync } from 'node:child_process'
import { auditFindings } from './support/audit.ts'

/**
 * Fails when a package that is locked is known to be unsafe, and only then: a registry that does not answer says nothing
 * about packages.
 */
const { stdout } = spawnSync('npm', ['audit', '--json'], { encoding: 'utf8' })
const findings = auditFindings(stdout)
if (findings === undefined)
  process.stdout.write('npm audit: the registry has not answered. Nothing is known.\n')
else {
  process.stdout.write(
    `npm audit: ${findings.length} findings\n${findings.map(line => `  ${line}\n`).join('')}`,
  )
  if (findings.length > 0) process.exitCode = 1
}
