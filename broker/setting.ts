import * as v from 'valibot'

/** The environment that settings are read from. */
export type Env = Readonly<Record<string, string | undefined>>

export const text = v.pipe(v.string('allowed is a text'), v.nonEmpty('allowed is a text that is not empty'))

export const mebibyte = 1024 * 1024
export const gibibyte = 1024 * mebibyte
export const dayMs = 24 * 60 * 60 * 1000

/** A whole number within bounds. */
export const whole = (from: number, to: number) =>
  v.pipe(
    v.number(`allowed is a whole number from ${from} to ${to}`),
    v.check(
      value => Number.isInteger(value) && value >= from && value <= to,
      `allowed is a whole number from ${from} to ${to}`,
    ),
  )

/** An object in which nothing but these settings may stand. */
export const settings = <Entries extends v.ObjectEntries>(entries: Entries) =>
  v.strictObject(entries, ({ expected }) =>
    expected === 'never'
      ? `it is not known; known are ${Object.keys(entries).join(', ')}`
      : 'allowed is an object',
  )

/** What a pattern is, for the operator. */
export const patternForm =
  'a topic in which * stands for a segment, or ** at the end for itself and all below'

/** What is thrown by a check, as part of a sentence. */
export function whatIsWrong(check: () => void): string | undefined {
  try {
    check()
    return undefined
  } catch (error) {
    return messageOf(error)
  }
}

/** What an error says, as part of a sentence. */
export function messageOf(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).replace(/\.$/, '')
}
