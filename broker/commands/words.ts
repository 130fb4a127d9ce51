import { parsePublicTopic } from '../protocol/index.ts'
import { WrongUse } from './command.ts'

/** @throws WrongUse */
export function topicOf(word: string): string {
  return accepted(() => parsePublicTopic(word))
}

/** @throws WrongUse with the reason that `read` throws. */
export function accepted<Value>(read: () => Value): Value {
  try {
    return read()
  } catch (error) {
    throw new WrongUse(error instanceof Error ? error.message : String(error))
  }
}

/** @throws WrongUse when the option is given and is no whole number of the range. */
export function wholeOf(
  option: string,
  word: string | undefined,
  from: number,
  to: number,
): number | undefined {
  if (word === undefined) return undefined
  const value = /^\d{1,15}$/.test(word) ? Number(word) : Number.NaN
  if (value >= from && value <= to) return value
  throw new WrongUse(`${option} is ${JSON.stringify(word)}: allowed is a whole number from ${from} to ${to}.`)
}
