/**
 * Checks the name of a user.
 *
 * @throws Error when a line of an htpasswd file cannot hold it.
 */
export function assertUserName(name: string): void {
  if (/^[^\s:#\p{Cc}]([^:\p{Cc}]*[^\s:\p{Cc}])?$/u.test(name)) return
  throw new Error(
    `The name ${JSON.stringify(name)} cannot be that of a user: allowed is a text without ":" and control characters that does not begin with "#" or a space, nor end with one.`,
  )
}

/**
 * Puts a user's line into the text of an htpasswd file, in the place of the one that was there, or at the end. All other
 * lines stay as they are, byte for byte.
 */
export function withUser(text: string, name: string, hash: string): string {
  const lines = text.split('\n')
  const isOfUser = (line: string) => line.trim().startsWith(`${name}:`)
  const at = lines.findIndex(isOfUser)
  const line = `${name}:${hash}`
  if (at < 0) return `${text}${text === '' || text.endsWith('\n') ? '' : '\n'}${line}\n`
  // Of two lines with one name only the first counts: the other would come to life if somebody removed it.
  return lines.flatMap((old, index) => (index === at ? [line] : isOfUser(old) ? [] : [old])).join('\n')
}
