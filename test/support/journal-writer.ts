/**
 * Appends `COUNT` batches to the journal in `FOLDER`, each under a key of its own, and then kills itself with SIGKILL,
 * without closing anything.
 */
import { FileJournal } from '../../broker/journal/file.ts'
import { KeyTable } from '../../broker/keys.ts'
import { journalOptions, keyEntry, keyed } from './journals.ts'

const keys = new KeyTable({ idempotencyMs: 60_000, maxIdempotencyKeys: 1000 })
const journal = new FileJournal({
  ...journalOptions(process.env['FOLDER'] ?? ''),
  fileBytes: 500,
  currentKeys: () => keys.current(0),
})
for (const entry of journal.recovery.keys) keys.remember(entry)
const { epoch, last } = journal.recovery
for (let offset = last + 1; offset <= last + Number(process.env['COUNT']); offset++) {
  keys.remember(keyEntry(epoch, offset))
  journal.append(...keyed(epoch, offset))
}
process.send?.({ epoch, last }, () => process.kill(process.pid, 'SIGKILL'))
