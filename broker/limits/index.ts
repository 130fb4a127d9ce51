/** How much of something anybody may have. Knows no clock, no socket and no setting. */
export * from './crowd.ts'
export * from './network.ts'
export * from './token-buckets.ts'
