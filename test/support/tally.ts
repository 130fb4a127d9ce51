import type { Reporter, TestCase, TestModule, TestSuite } from 'vitest/node'

/**
 * Ends the run with one plain line of numbers, after the names of what was skipped. With `CI=true` a skipped test
 * fails the run: what is not tested there is tested nowhere.
 */
export default class Tally implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], unhandledErrors: readonly unknown[]): void {
    const counts = { passed: 0, failed: unhandledErrors.length, skipped: 0 }
    const skipped = new Map<string, number>()
    for (const module of modules) {
      counts.failed += failuresOutsideTests(module)
      for (const test of module.children.allTests()) {
        const result = test.result()
        if (result.state === 'passed' || result.state === 'failed') counts[result.state]++
        else {
          counts.skipped++
          const note = result.state === 'skipped' ? result.note : undefined
          const name = note === undefined ? outermostName(test) : `${outermostName(test)} (${note})`
          skipped.set(name, (skipped.get(name) ?? 0) + 1)
        }
      }
    }
    for (const [name, tests] of skipped) print(`Skipped: ${tests} × ${name}`)
    if (counts.skipped > 0 && process.env['CI'] === 'true') {
      print('With CI=true no test may be skipped.')
      process.exitCode = 1
    }
    print(`Tests: ${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`)
  }
}

/** A file that cannot be loaded, or a hook that fails, has no failed test to show for it. */
function failuresOutsideTests(module: TestModule): number {
  const suites: (TestModule | TestSuite)[] = [module, ...module.children.allSuites()]
  return suites.filter(suite => suite.errors().length > 0).length
}

/** The name that tells why: a suite that is skipped as a whole says so in its own. */
function outermostName(test: TestCase): string {
  let outermost: TestCase | TestSuite = test
  for (let parent = test.parent; parent.type === 'suite'; parent = parent.parent) outermost = parent
  return `${test.module.relativeModuleId}: ${outermost.name}`
}

function print(line: string): void {
  process.stdout.write(`${line}\n`)
}
