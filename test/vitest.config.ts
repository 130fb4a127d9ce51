import { configDefaults, defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // Those boot machines, by test/ops/vitest.config.ts.
    exclude: [...configDefaults.exclude, 'test/ops/**'],
    // Real processes share two processors with a browser: a rule that is broken must fail, not a busy machine.
    testTimeout: 30_000,
    hookTimeout: 60_000,
    pool: 'forks',
    maxWorkers: 2,
    reporters: ['default', './test/support/tally.ts'],
  },
})
