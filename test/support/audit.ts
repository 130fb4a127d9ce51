import * as v from 'valibot'

const report = v.object({
  vulnerabilities: v.record(v.string(), v.object({ severity: v.string(), range: v.string() })),
})

/**
 * What `npm audit --json` has found, a line each.
 *
 * @returns undefined where it has found nothing out: the registry did not answer, or answered something else.
 */
export function auditFindings(json: string): string[] | undefined {
  const read = v.safeParse(report, parse(json))
  if (!read.success) return undefined
  return Object.entries(read.output.vulnerabilities).map(
    ([name, { severity, range }]) => `${severity}: ${name} ${range}`,
  )
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
