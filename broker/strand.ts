import type { Message } from './protocol/index.ts'
import type { TopicNode } from './topic-tree.ts'

/** A kept message between its neighbours. */
export interface Entry {
  readonly message: Message
  readonly strand: Strand
  readonly bytes: number
  /** The neighbours in the log. */
  previous: Entry | undefined
  next: Entry | undefined
  /** The neighbours in the topic. */
  older: Entry | undefined
  newer: Entry | undefined
}

/** The kept messages of one topic. Never empty between two calls. */
export interface Strand {
  readonly topic: string
  oldest: Entry | undefined
  newest: Entry | undefined
  count: number
  bytes: number
  /** The highest offset of the topic that is no longer here; 0 for none. */
  droppedThrough: number
  node: TopicNode<Strand> | undefined
}

/** The newest entries of some strands after an offset, the newest first, and whether none of them was dropped. */
export function gatherByTopic(
  strands: Strand[],
  after: number,
  count: number,
): { entries: Entry[]; complete: boolean } {
  strands.sort((a, b) => newestOffset(b) - newestOffset(a))
  // With so many topics that end later, what is older than this cannot be among the last.
  const limit = strands[count - 1]
  const floor = limit ? Math.max(after, newestOffset(limit) - 1) : after
  const entries: Entry[] = []
  let complete = true
  for (const strand of strands) {
    if (strand.droppedThrough > after) complete = false
    let left = count
    for (let entry = strand.newest; entry && entry.message.offset > floor && left > 0; entry = entry.older) {
      entries.push(entry)
      left--
    }
  }
  entries.sort((a, b) => b.message.offset - a.message.offset)
  return { entries: entries.slice(0, count), complete }
}

function newestOffset(strand: Strand): number {
  return strand.newest?.message.offset ?? 0
}

/** The messages of entries that are the newest first, in the order of the log. */
export function toMessages(entries: readonly Entry[]): Message[] {
  return entries.map(entry => entry.message).reverse()
}
