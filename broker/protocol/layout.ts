/*
 * The wire of a batch. Header, 32 bytes, numbers big-endian:
 *    0  magic
 *    3  u8   version
 *    4  u8   flags: bit 0 sparse
 *    5  u8   0
 *    6  u16  records
 *    8  u32  bytes of the records
 *   12  6 B  epoch
 *   18  u48  offset of the first record (sparse: 0)
 *   24  u48  time in Unix milliseconds (sparse: 0)
 *   30  u16  0
 * Record: only when sparse u48 offset, u48 time; then
 *    0  u8   flags: bit 0 binary, bit 1 the topic is 128 bytes longer, bit 2 the type is
 *    1  u7   bytes of the topic
 *    2  u7   bytes of the type
 *    3  u8   0
 *    4  u28  bytes of the payload, 7 bits in each byte
 *    8  topic, type, payload
 * No byte of a record's head has its top bit set: records of texts, one after the other, are one text in UTF-8, so
 * that a single check proves all of them.
 */

/** What a batch begins with. 0xFF never occurs in UTF-8, so that no text can be taken for one. */
export const magic: readonly number[] = [0xff, 0x50, 0x42]

/** The byte after it. */
export const batchVersion = 2

export const headerBytes = 32
export const recordBytes = 8
export const placeBytes = 12
export const sparseFlag = 1

/** A record's flags. */
export const binaryFlag = 1
export const longTopicFlag = 2
export const longTypeFlag = 4

/** What a long topic or type has beyond the seven bits of its length. */
export const longBytes = 128

/** The bit that no byte of a record's head has. */
export const topBit = 0x80

export function readUint48(view: DataView, at: number): number {
  return view.getUint16(at) * 2 ** 32 + view.getUint32(at + 2)
}

export function writeUint48(view: DataView, at: number, value: number): void {
  view.setUint16(at, Math.floor(value / 2 ** 32))
  view.setUint32(at + 2, value % 2 ** 32)
}
