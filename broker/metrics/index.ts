/** Figures for Prometheus. Loaded when they are asked for: what it needs takes megabytes. */
export { type Exposition, exposition } from './exposition.ts'
export { processReadings } from './process.ts'
export { counter, gauge, labelled, type Reading, type ReadingValue } from './reading.ts'
