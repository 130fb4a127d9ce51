/**
 * A place in the log. Offsets are compared only within one epoch: after a power loss the same offset may
 * stand for another message, and the epoch is what tells the two apart.
 */
export interface Position {
  /** 12 hexadecimal digits, drawn at random when the log could not be carried on. */
  readonly epoch: string
  /** 0 is the place before the first message. */
  readonly offset: number
}

/** The bytes of an epoch in a batch header. */
export const epochBytes = 6

/** The largest offset: what 48 bits of a batch header hold, 89 years at 100,000 messages a second. */
export const maxOffset = 2 ** 48 - 1

const pattern = /^([0-9a-f]{12})-(0|[1-9][0-9]{0,14})$/

/** The id of a message: opaque to everybody outside, and free of anything that could break an event's framing. */
export function formatId({ epoch, offset }: Position): string {
  return `${epoch}-${offset}`
}

/** Reads an id back, or gives undefined for a text that no broker has ever given out. */
export function parseId(text: string): Position | undefined {
  const found = pattern.exec(text)
  if (!found?.[1] || !found[2]) return undefined
  const offset = Number(found[2])
  return offset <= maxOffset ? { epoch: found[1], offset } : undefined
}
