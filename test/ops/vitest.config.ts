import { defineConfig } from 'vitest/config'

/* Apart from the other tests: these boot machines, need root, and take minutes. */
export default defineConfig({
  test: {
    include: ['test/ops/**/*.test.ts'],
    globalSetup: ['test/ops/support/prepare.ts'],
    testTimeout: 120_000,
    // The first one makes the files of a machine.
    hookTimeout: 600_000,
    pool: 'forks',
    maxWorkers: 1,
    reporters: ['default', './test/support/tally.ts'],
  },
})
