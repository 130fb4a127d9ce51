/** The words and the wire that broker and clients share. Imports nothing from outside and runs in a browser too. */
export * from './batch.ts'
export * from './codes.ts'
export * from './id.ts'
export * from './message.ts'
export * from './request.ts'
export * from './tail.ts'
export * from './topic.ts'
export * from './type.ts'
