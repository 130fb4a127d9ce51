import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

setFlagsFromString('--expose-gc')
const collect: () => void = runInNewContext('gc')

/** Frees what nothing refers to. */
export async function collectGarbage(): Promise<void> {
  // A weak reference is kept alive until the turn of the loop in which it was made has ended.
  await new Promise(resolve => setImmediate(resolve))
  collect()
}
