/** What decides by rights, without knowing rules, users or keys. Runs wherever functions run. */
export * from './rights.ts'
