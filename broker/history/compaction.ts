/** A segment as it lies in the archive. */
export interface StoredSegment {
  readonly name: string
  readonly from: number
  readonly through: number
  readonly byteLength: number
}

/**
 * Groups neighbours of which so little is still kept that together they fit one segment. Each group becomes one
 * segment over its whole range; the ranges stay without a hole.
 *
 * @param keptBytes what is still kept of each segment.
 */
export function neighboursToMerge(
  segments: readonly StoredSegment[],
  keptBytes: readonly number[],
  maxSegmentBytes: number,
): StoredSegment[][] {
  const groups: StoredSegment[][] = []
  let group: StoredSegment[] = []
  let groupBytes = 0
  for (const [i, segment] of segments.entries()) {
    const bytes = keptBytes[i] ?? 0
    if (groupBytes + bytes > maxSegmentBytes) {
      groups.push(group)
      group = []
      groupBytes = 0
    }
    group.push(segment)
    groupBytes += bytes
  }
  groups.push(group)
  // One alone would be written over itself, and a write that is cut short would lose it.
  return groups.filter(({ length }) => length > 1)
}
