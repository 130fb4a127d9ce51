import type { Random } from './random.ts'

/** What one connection has sent, in the pieces in which it was sent. */
export type Capture = readonly Buffer[]

/** Words and numbers at which parsers stumble, of every protocol that is spoken here. */
const words = [
  ...[
    '\0',
    '\r\n',
    '\r\n\r\n',
    '\n',
    '%00',
    '%2e%2e%2f',
    '%ff',
    '../',
    '$push/x',
    '$probe',
    '$dead/x',
    '\ufeff',
  ],
  ...['Content-Length: 0\r\n', 'Content-Length: 99999999999999999999\r\n', 'Content-Length: -1\r\n'],
  ...[
    'Transfer-Encoding: chunked\r\n',
    'Expect: 100-continue\r\n',
    'Upgrade: websocket\r\n',
    'Host: a\r\nHost: b\r\n',
    'Host: a.1\r\n',
    ':99999',
    'TRACE /',
    'http://',
    '*',
  ],
  ...['Authorization: Basic Og==\r\n', 'Authorization: Bearer a.b.c\r\n', 'X-Forwarded-For: 1.2.3.4\r\n'],
  ...['Last-Event-ID: aaaaaaaaaaaa-99999999999999999\r\n', 'Sec-WebSocket-Protocol: postern.v1\r\n'],
  ...[
    '{',
    '}',
    '[',
    ']',
    '"',
    '\\u0000',
    '\\ud800',
    'null',
    '-1',
    '1e999',
    '9007199254740993',
    '{"__proto__":{}}',
  ],
  ...[
    'READY',
    '\x04PING',
    '\x05ERROR',
    '\x09SUBSCRIBE',
    '\x05CURVE',
    'Identity',
    'Socket-Type',
    '\xffPB\x02',
  ],
].map(word => Buffer.from(word, 'latin1'))

/** The edges of what a field of 1, 2, 4 or 8 bytes can say. */
const edges = [0, 1, 0x7f, 0x80, 0xff]

type Step = (bytes: Buffer, random: Random, others: readonly Capture[]) => Buffer

const steps: readonly Step[] = [
  flipped,
  truncated,
  doubled,
  lengthened,
  spliced,
  worded,
  noised,
  reversed,
  reheaded,
]

/**
 * A capture that is wrong somewhere: as a whole, or in one piece only, so that what comes before it still opens the
 * door.
 */
export function mutated(capture: Capture, random: Random, others: readonly Capture[]): Buffer[] {
  const pieces = [...capture]
  const isWhole = random.oneIn(3)
  const at = isWhole ? 0 : random.below(pieces.length)
  const [target = Buffer.alloc(0)] = isWhole ? [Buffer.concat(pieces)] : pieces.slice(at)
  const wrong = mutatedBytes(target, random, others)
  if (isWhole) return cut(wrong, random)
  return [...pieces.slice(0, at), ...cut(wrong, random), ...pieces.slice(at + 1)]
}

/** Bytes after one to four steps. */
export function mutatedBytes(bytes: Buffer, random: Random, others: readonly Capture[] = []): Buffer {
  let wrong = Buffer.from(bytes)
  for (let step = random.below(4); step >= 0; step--)
    wrong = Buffer.from(random.pick(steps)(wrong, random, others))
  return wrong
}

/** The same bytes in up to four pieces. */
function cut(bytes: Buffer, random: Random): Buffer[] {
  const pieces: Buffer[] = []
  let from = 0
  for (let more = random.below(4); more > 0; more--) {
    const to = from + random.below(bytes.length - from + 1)
    pieces.push(bytes.subarray(from, to))
    from = to
  }
  return [...pieces, bytes.subarray(from)]
}

function flipped(bytes: Buffer, random: Random): Buffer {
  if (bytes.length === 0) return bytes
  for (let more = random.below(8); more >= 0; more--) {
    const at = random.below(bytes.length)
    bytes[at] = (bytes[at] ?? 0) ^ (1 << random.below(8))
  }
  return bytes
}

function truncated(bytes: Buffer, random: Random): Buffer {
  return bytes.subarray(0, random.below(bytes.length + 1))
}

function doubled(bytes: Buffer, random: Random): Buffer {
  const from = random.below(bytes.length + 1)
  const part = bytes.subarray(from, from + 1 + random.below(64))
  const times = random.oneIn(8) ? 256 : 1 + random.below(4)
  return Buffer.concat([
    bytes.subarray(0, from),
    ...Array.from({ length: times }, () => part),
    bytes.subarray(from),
  ])
}

function lengthened(bytes: Buffer, random: Random): Buffer {
  const width = random.pick([1, 2, 4, 8])
  const at = random.below(Math.max(1, bytes.length - width))
  const edge = random.pick(edges)
  return Buffer.concat([bytes.subarray(0, at), Buffer.alloc(width, edge), bytes.subarray(at + width)])
}

function spliced(bytes: Buffer, random: Random, others: readonly Capture[]): Buffer {
  if (others.length === 0) return bytes
  const other = Buffer.concat(random.pick(others))
  return Buffer.concat([
    bytes.subarray(0, random.below(bytes.length + 1)),
    other.subarray(random.below(other.length + 1)),
  ])
}

function worded(bytes: Buffer, random: Random): Buffer {
  const at = random.below(bytes.length + 1)
  const replaced = random.oneIn(2) ? random.below(16) : 0
  return Buffer.concat([bytes.subarray(0, at), random.pick(words), bytes.subarray(at + replaced)])
}

function noised(bytes: Buffer, random: Random): Buffer {
  const at = random.below(bytes.length + 1)
  const noise = random.bytes(random.oneIn(8) ? 20_000 : 1 + random.below(64))
  return Buffer.concat([bytes.subarray(0, at), noise, bytes.subarray(at)])
}

function reversed(bytes: Buffer, random: Random): Buffer {
  const from = random.below(bytes.length + 1)
  bytes.subarray(from, from + 2 + random.below(8)).reverse()
  return bytes
}

/** Values that a header, or the target of a request, should not have. */
const headValues = [
  '',
  'a.1',
  'a:99999',
  '[::',
  'a/b',
  '\xff',
  '-1',
  '9'.repeat(30),
  ',',
  '"',
  '/a`b',
  '//a/../%',
  '*',
  'http://',
]

/** A line of a head says something else. */
function reheaded(bytes: Buffer, random: Random): Buffer {
  const text = bytes.toString('latin1')
  const end = text.indexOf('\r\n\r\n')
  if (end < 0) return bytes
  const lines = text.slice(0, end).split('\r\n')
  // Two at once: what is wrong with the one may show only where the other is unusual.
  for (let more = 0; more < 2; more++) {
    const host = lines.findIndex(line => /^host:/i.test(line))
    const at = random.pick([0, Math.max(0, host), random.below(lines.length)])
    const value = random.pick(headValues)
    lines[at] = (lines[at] ?? '').replace(at === 0 ? / \S+/ : /: .*$/, at === 0 ? ` ${value}` : `: ${value}`)
  }
  return Buffer.from(lines.join('\r\n') + text.slice(end), 'latin1')
}

const strange: readonly unknown[] = [
  ...[
    null,
    true,
    false,
    0,
    -1,
    1.5,
    1e308,
    2 ** 53,
    -(2 ** 53),
    '',
    'x',
    '\0',
    '\ud800',
    '$push/x',
    '$dead/sms',
  ],
  ...[[], {}, [[]], [null], [{}], { toString: 1 }, ['a'], 'x'.repeat(70_000), 'aaaaaaaaaaaa-99999999999'],
]

/** A JSON value in which one member, at any depth, is missing or another. */
export function mutatedValue(value: unknown, random: Random): unknown {
  if (typeof value !== 'object' || value === null || random.oneIn(6)) return random.pick(strange)
  if (Array.isArray(value)) {
    if (value.length === 0 || random.oneIn(4)) return [...value, ...value, random.pick(strange)]
    const at = random.below(value.length)
    return value.map((item, i) => (i === at ? mutatedValue(item, random) : item))
  }
  const entries = Object.entries(value)
  const [name] = entries.length === 0 || random.oneIn(10) ? ['__proto__'] : random.pick(entries)
  if (random.oneIn(6)) return Object.fromEntries(entries.filter(([key]) => key !== name))
  const changed = mutatedValue(Object.fromEntries(entries)[name], random)
  return Object.fromEntries([...entries.filter(([key]) => key !== name), [name, changed]])
}
