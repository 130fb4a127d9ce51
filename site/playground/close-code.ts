/** What the codes mean that the server, the browser or this page close with (RFC 6455, section 7.4.1). */
const meanings: Readonly<Record<number, string>> = {
  1000: 'normal',
  1001: 'the server stops',
  1002: 'protocol error',
  1003: 'kind of data not taken',
  1005: 'no code',
  1006: 'refused or lost',
  1007: 'not UTF-8',
  1008: 'against the rules',
  1009: 'message too large',
  1011: 'error in the server',
  1013: 'try again later',
}

/** A close code and what it means, in a few words. @param reason what the server says beside. */
export function wordsOf(code: number, reason = ''): string {
  const meaning = reason || meanings[code]
  return meaning === undefined ? String(code) : `${code}, ${meaning}`
}
