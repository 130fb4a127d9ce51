import { closing, type FrameOptions, frame, opcodes } from './websocket-wire.ts'

/**
 * What a client sends to an echo, and all that it hears until the connection has ended (RFC 6455).
 */
export type Case = readonly [name: string, sends: readonly Uint8Array[], hears: readonly string[]]

const { continuation, text, binary, close, ping, pong } = opcodes

/** A fragment that is not the last. */
export const part = (opcode: number, payload: string | Uint8Array = '', options: FrameOptions = {}) =>
  frame(opcode, payload, { ...options, fin: false })

export const hex = (digits: string) => Buffer.from(digits, 'hex')

export const goodbye = () => frame(close, closing(1000))

const payloads: Case[] = [
  ['an empty text', [frame(text)], ['text ', 'close 1000']],
  ['a text', [frame(text, 'Hello')], ['text Hello', 'close 1000']],
  ['an empty binary message', [frame(binary)], ['binary ', 'close 1000']],
  ['a binary message that is no UTF-8', [frame(binary, hex('00fffe'))], ['binary 00fffe', 'close 1000']],
  ['a text with a zero in it', [frame(text, 'a\0b')], ['text a\0b', 'close 1000']],
  ['a mask of zeros', [frame(text, 'plain', { mask: new Uint8Array(4) })], ['text plain', 'close 1000']],
  [
    'several messages in one segment, in their order',
    [Buffer.concat([frame(text, '1'), frame(binary, hex('02')), frame(text, '3'), frame(text)])],
    ['text 1', 'binary 02', 'text 3', 'text ', 'close 1000'],
  ],
]

const pings: Case[] = [
  ['a ping without a payload', [frame(ping)], ['pong ', 'close 1000']],
  ['a ping with a payload', [frame(ping, 'are you there')], ['pong are you there', 'close 1000']],
  ['a ping of 125 bytes', [frame(ping, 'x'.repeat(125))], [`pong ${'x'.repeat(125)}`, 'close 1000']],
  ['a ping of 126 bytes', [frame(ping, 'x'.repeat(126))], ['close 1002']],
  [
    'ten pings in one segment',
    [Buffer.concat(Array.from({ length: 10 }, (_, i) => frame(ping, `${i}`)))],
    [...Array.from({ length: 10 }, (_, i) => `pong ${i}`), 'close 1000'],
  ],
  ['a pong that nobody asked for', [frame(pong, 'here'), frame(text, 'a')], ['text a', 'close 1000']],
  ['a pong, and a ping after it', [frame(pong), frame(ping, 'b')], ['pong b', 'close 1000']],
  ['a pong of 126 bytes', [frame(pong, 'x'.repeat(126))], ['close 1002']],
]

const reserved: Case[] = [
  ...[1, 2, 3, 4, 5, 6, 7].flatMap((bits): Case[] => [
    [`the reserved bits ${bits} on a text`, [frame(text, 'a', { reserved: bits })], ['close 1002']],
    [
      `the reserved bits ${bits} after a good message`,
      [frame(text, 'good'), frame(binary, 'a', { reserved: bits }), frame(ping)],
      ['text good', 'close 1002'],
    ],
  ]),
  ['a reserved bit on a ping', [frame(ping, '', { reserved: 4 })], ['close 1002']],
  ['a reserved bit on a close', [frame(close, closing(1000), { reserved: 1 })], ['close 1002']],
  [
    'a reserved bit on a continuation',
    [part(text, 'a'), frame(continuation, 'b', { reserved: 4 })],
    ['close 1002'],
  ],
  ...[3, 4, 5, 6, 7, 11, 12, 13, 14, 15].flatMap((opcode): Case[] => [
    [`the opcode ${opcode}`, [frame(opcode)], ['close 1002']],
    [
      `the opcode ${opcode} with a payload, after a good message`,
      [frame(text, 'good'), frame(opcode, 'a'), frame(ping)],
      ['text good', 'close 1002'],
    ],
  ]),
]

const masks: Case[] = [
  ['a text without a mask', [frame(text, 'a', { mask: false })], ['close 1002']],
  ['an empty text without a mask', [frame(text, '', { mask: false })], ['close 1002']],
  ['a ping without a mask', [frame(ping, '', { mask: false })], ['close 1002']],
  ['a close without a mask', [frame(close, closing(1000), { mask: false })], ['close 1002']],
  [
    'a continuation without a mask',
    [part(text, 'a'), frame(continuation, 'b', { mask: false })],
    ['close 1002'],
  ],
]

/** Section 5.2: the shortest form alone, and at most 63 bits. */
const lengths: Case[] = [
  ['no bytes in 16 bits', [frame(text, '', { lengthForm: 16 })], ['close 1002']],
  ['125 bytes in 16 bits', [frame(text, 'x'.repeat(125), { lengthForm: 16 })], ['close 1002']],
  ['126 bytes in 64 bits', [frame(text, 'x'.repeat(126), { lengthForm: 64 })], ['close 1002']],
  ['65,535 bytes in 64 bits', [frame(binary, Buffer.alloc(65_535), { lengthForm: 64 })], ['close 1002']],
  ['a ping in 16 bits', [frame(ping, 'x', { lengthForm: 16 })], ['close 1002']],
  ['a length of 64 bits', [frame(binary, '', { claims: 2n ** 63n })], ['close 1002']],
]

const fragments: Case[] = [
  ['two fragments', [part(text, 'a'), frame(continuation, 'b')], ['text ab', 'close 1000']],
  [
    'binary fragments that are no UTF-8',
    [part(binary, hex('ff')), part(continuation, hex('fe')), frame(continuation, hex('00'))],
    ['binary fffe00', 'close 1000'],
  ],
  ['empty fragments', [part(text), part(continuation), frame(continuation)], ['text ', 'close 1000']],
  [
    'empty fragments around one that is not',
    [part(text), part(continuation, 'a'), frame(continuation)],
    ['text a', 'close 1000'],
  ],
  [
    'fragments with pings between them, answered at once',
    [part(text, 'a'), frame(ping, '1'), part(continuation, 'b'), frame(ping, '2'), frame(continuation, 'c')],
    ['pong 1', 'pong 2', 'text abc', 'close 1000'],
  ],
  [
    'a ping and a pong before the message is complete',
    [part(text, 'a'), frame(pong, 'x'), frame(ping, 'y'), frame(continuation, 'b')],
    ['pong y', 'text ab', 'close 1000'],
  ],
  [
    'a second fragmented message',
    [part(text, 'a'), frame(continuation, 'b'), part(binary, 'c'), frame(continuation, 'd')],
    ['text ab', 'binary 6364', 'close 1000'],
  ],
  ['a ping in fragments', [part(ping, 'a'), frame(continuation, 'b')], ['close 1002']],
  ['a pong in fragments', [part(pong, 'a'), frame(continuation, 'b')], ['close 1002']],
  ['a close in fragments', [part(close, closing(1000))], ['close 1002']],
  ['a continuation of nothing', [frame(continuation, 'a')], ['close 1002']],
  ['an unfinished continuation of nothing', [part(continuation, 'a')], ['close 1002']],
  [
    'a continuation of a message that has ended',
    [part(text, 'a'), frame(continuation, 'b'), frame(continuation, 'c')],
    ['text ab', 'close 1002'],
  ],
  [
    'a continuation of a whole message',
    [frame(text, 'a'), frame(continuation, 'b')],
    ['text a', 'close 1002'],
  ],
  ['a text amid a fragmented text', [part(text, 'a'), frame(text, 'b')], ['close 1002']],
  ['a binary message amid a fragmented text', [part(text, 'a'), frame(binary, 'b')], ['close 1002']],
  ['a new fragmented message amid another', [part(text, 'a'), part(text, 'b')], ['close 1002']],
]

/** Characters at the edges of each length, and others that trip decoders. */
const validTexts = [
  'Hello-µ@ßöäüàá-UTF-8!!',
  'κόσμε',
  ...[
    0x0, 0x7f, 0x80, 0x7ff, 0x800, 0xd7ff, 0xe000, 0xfffd, 0xfffe, 0xffff, 0xfeff, 0x10000, 0x1fffe, 0xfffff,
    0x10fffe, 0x10ffff,
  ].map(point => String.fromCodePoint(point)),
]

/** What is no UTF-8 (RFC 3629), each with a reason. */
const invalidTexts: readonly [reason: string, digits: string][] = [
  ['a continuation byte alone', '80'],
  ['the last continuation byte alone', 'bf'],
  ['continuation bytes alone', '80bf80bf'],
  ['a first byte of two without a second', 'c320'],
  ['a first byte of three without a second', 'e220'],
  ['a first byte of four without a second', 'f020'],
  ['a sequence of three that breaks off', 'e28220'],
  ['a sequence of four that breaks off', 'f0909020'],
  ['a slash in two bytes', 'c0af'],
  ['a slash in three bytes', 'e080af'],
  ['a slash in four bytes', 'f08080af'],
  ['the highest overlong of two bytes', 'c1bf'],
  ['the highest overlong of three bytes', 'e09fbf'],
  ['the highest overlong of four bytes', 'f08fbfbf'],
  ['a zero in two bytes', 'c080'],
  ['the first surrogate', 'eda080'],
  ['the last surrogate', 'edbfbf'],
  ['a pair of surrogates', 'eda080edb080'],
  ['the first code point past the last', 'f4908080'],
  ['a sequence of five bytes', 'f888808080'],
  ['a sequence of six bytes', 'fc8480808080'],
  ['the byte FE', 'fe'],
  ['the byte FF', 'ff'],
]

const bytewise = (payload: Uint8Array): Buffer[] => [
  part(text),
  ...Array.from(payload, byte => part(continuation, Buffer.of(byte))),
  frame(continuation),
]

const utf8: Case[] = [
  ...validTexts.flatMap((valid): Case[] => [
    [`the text ${JSON.stringify(valid)}`, [frame(text, valid)], [`text ${valid}`, 'close 1000']],
    [
      `the text ${JSON.stringify(valid)}, each byte a fragment`,
      bytewise(Buffer.from(valid)),
      [`text ${valid}`, 'close 1000'],
    ],
  ]),
  ...invalidTexts.flatMap(([reason, digits]): Case[] => [
    [reason, [frame(text, hex(digits))], ['close 1007']],
    [
      `${reason}, after good text`,
      [frame(text, Buffer.concat([Buffer.from('κόσμε'), hex(digits)]))],
      ['close 1007'],
    ],
    [`${reason}, each byte a fragment`, bytewise(hex(digits)), ['close 1007']],
  ]),
  ['a text that ends within a character', [frame(text, hex('ce'))], ['close 1007']],
  [
    'fragments that end within a character',
    [part(text, 'a'), frame(continuation, hex('f09f92'))],
    ['close 1007'],
  ],
  [
    'a bad text after a good one',
    [frame(text, 'good'), frame(text, hex('ff')), frame(text, 'late')],
    ['text good', 'close 1007'],
  ],
  [
    'a bad fragment, without waiting for the end of the message',
    [part(text, 'good'), part(continuation, hex('f4908080'))],
    ['close 1007'],
  ],
  [
    'a bad first fragment, without waiting for the end of the message',
    [part(text, hex('cebae1bdb9cf83cebcceb5f4'.concat('90')))],
    ['close 1007'],
  ],
]

const closes: Case[] = [
  ['a close with a code', [frame(close, closing(1000))], ['close 1000']],
  ['a close without a code', [frame(close)], ['close']],
  ['a close with a reason', [frame(close, closing(1000, 'done'))], ['close 1000']],
  ['a close with a reason of 123 bytes', [frame(close, closing(1000, 'x'.repeat(123)))], ['close 1000']],
  ['a close of 126 bytes', [frame(close, closing(1000, 'x'.repeat(124)))], ['close 1002']],
  ['a close of one byte', [frame(close, 'x')], ['close 1002']],
  [
    'a close whose reason is no UTF-8',
    [frame(close, closing(1000, hex('cebae1bdb9cff4908080')))],
    ['close 1007'],
  ],
  ['a text after the close', [frame(close, closing(1001)), frame(text, 'late')], ['close 1001']],
  ['a ping after the close', [frame(close, closing(1001)), frame(ping)], ['close 1001']],
  ['a second close', [frame(close, closing(1001)), frame(close, closing(1002))], ['close 1001']],
  [
    'a bad frame after the close',
    [frame(close, closing(1001)), frame(15, 'x', { mask: false })],
    ['close 1001'],
  ],
  ['a close amid a fragmented message', [part(text, 'a'), frame(close, closing(1001))], ['close 1001']],
  ...[1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999].map(
    (code): Case => [`the code ${code}`, [frame(close, closing(code))], [`close ${code}`]],
  ),
  ...[0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535].map(
    (code): Case => [
      `the code ${code}, which nobody may send`,
      [frame(close, closing(code))],
      ['close 1002'],
    ],
  ),
]

/** Everything that a server may hear once hands are shaken, by what it is about. */
export const cases = { payloads, pings, reserved, masks, lengths, fragments, utf8, closes }

/** Whether the client is to end such a conversation itself; in any other one the server does, or the case has done so. */
export const needsGoodbye = ([, sends, hears]: Case) =>
  hears.at(-1) === 'close 1000' && !sends.some(bytes => ((bytes[0] ?? 0) & 0x0f) === close)
