/** How much of something anybody may have. Knows no clock and no socket. */
export * from './crowd.ts'
export * from './network.ts'
export * from './publish-limits.ts'
export * from './token-buckets.ts'
