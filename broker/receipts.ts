import type { Flow } from './flow.ts'
import type { ReceiptEntry } from './protocol/index.ts'

/** What a receipt takes while it is withheld, beside its message. */
const receiptBytes = 256

/** A publish with receipts that is under way. */
export interface ReceiptRequest {
  readonly receipts: ReceiptEntry[]
  readonly reply: (receipts: readonly ReceiptEntry[]) => void
  /** Entries that are not settled, and one until it is closed. */
  open: number
  weight: number
}

/** Gives publishers their receipts: all of a request at once, when the functions can follow. */
export class Receipts {
  #withheldBytes = 0
  readonly #flow: Pick<Flow, 'whenFollowed'>

  constructor(flow: Pick<Flow, 'whenFollowed'>) {
    this.#flow = flow
  }

  get withheldBytes(): number {
    return this.#withheldBytes
  }

  begin(count: number, reply: (receipts: readonly ReceiptEntry[]) => void): ReceiptRequest {
    return { receipts: new Array(count), reply, open: 1, weight: 0 }
  }

  /** A message of the request has been taken: its size counts while its receipt is withheld. */
  weigh(request: ReceiptRequest, bytes: number): void {
    request.weight += receiptBytes + bytes
  }

  /** An entry is settled later. */
  await(request: ReceiptRequest): void {
    request.open++
  }

  settle(request: ReceiptRequest, index: number, entry: ReceiptEntry): void {
    request.receipts[index] = entry
    this.close(request)
  }

  /** Everything of the request has been taken, or an entry that was awaited is settled. */
  close(request: ReceiptRequest): void {
    request.open--
    if (request.open > 0) return
    // Where nothing was taken there is nothing to follow, and a refusal that is withheld would not be one.
    if (request.weight === 0) return request.reply(request.receipts)
    this.#withheldBytes += request.weight
    this.#flow.whenFollowed(() => {
      this.#withheldBytes -= request.weight
      request.reply(request.receipts)
    })
  }
}
