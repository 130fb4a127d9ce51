const firstMs = 1_000
const longestMs = 15_000

/**
 * How long to wait before the next attempt to connect: 1 to 2 s after the first failure, then twice as long each
 * time, never more than 15 s. The random part keeps the browsers that one server lost from all coming back at once.
 *
 * @param failures how many attempts have failed before this one, from 0.
 * @param random a number from 0 up to 1.
 */
export function backoffMs(failures: number, random: number): number {
  const leastMs = Math.min(longestMs / 2, firstMs * 2 ** failures)
  return Math.round(leastMs * (1 + random))
}
