import type { FileJournalOptions } from '../../broker/journal/file.ts'
import type { KeyEntry } from '../../broker/journal/journal.ts'
import type { Batch } from '../../broker/protocol/index.ts'
import { batchOf, publication } from './publications.ts'

/** Options of a file journal; each epoch that it draws is another one. */
export function journalOptions(folder: string): FileJournalOptions {
  return {
    folder,
    fileBytes: 1_000_000,
    boot: 'this boot',
    newEpoch: () => Buffer.from(crypto.getRandomValues(new Uint8Array(6))).toString('hex'),
    after: 0,
    currentKeys: () => [],
    onRotated: () => {},
  }
}

/** A batch of one message. */
export function batchAt(epoch: string, offset: number): Batch {
  return batchOf([publication({ payload: `message ${offset}` })], { epoch, first: offset, timeMs: offset })
}

export function keyEntry(epoch: string, offset: number): KeyEntry {
  const key = `key ${offset}`
  return {
    identity: 'amy',
    topic: 'chat',
    key,
    fingerprint: `print ${offset}`,
    epoch,
    offset,
    timeMs: offset,
  }
}

/** What a journal is handed for a message under a key. */
export function keyed(epoch: string, offset: number): [batch: Batch, keys: KeyEntry[]] {
  return [batchAt(epoch, offset), [keyEntry(epoch, offset)]]
}
