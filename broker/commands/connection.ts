import { Inquiries } from '../client/inquiries.ts'
import { Link } from '../client/link.ts'
import { Outbox } from '../client/outbox.ts'
import { PosternError } from '../protocol/index.ts'
import { findBroker, findKeys } from './broker-address.ts'

/** A way to a running broker that does not follow its log, and so is no burden to it. */
export interface Connection {
  readonly address: string
  readonly inquiries: Inquiries
  readonly outbox: Outbox
}

/**
 * Connects for as long as something is done.
 *
 * @param given the option --broker.
 * @throws Error that says so when no broker answers.
 */
export async function withBroker<Result>(
  given: string | undefined,
  use: (connection: Connection) => Promise<Result>,
): Promise<Result> {
  const address = findBroker(given, process.env)
  const refusal = new Refusal()
  const { onRefused } = refusal
  const curve = findKeys(process.env)
  const link = new Link({ address, curve, onRefused, onUp() {}, onHand() {}, onDeliver() {}, onSign() {} })
  try {
    await reached(link, address, refusal)
    return await use({ address, inquiries: new Inquiries(link), outbox: new Outbox(link) })
  } finally {
    link.close()
  }
}

/** Why a broker does not take a connection, if it does not. */
export class Refusal {
  reason: string | undefined
  readonly onRefused = (reason: string): void => {
    this.reason = reason
  }
}

/** @throws Error that says so when no broker answers, or it does not let us in. */
export async function reached(
  way: { ready(): Promise<void> },
  address: string,
  refusal: Refusal,
): Promise<void> {
  try {
    await way.ready()
  } catch (error) {
    if (!(error instanceof PosternError)) throw error
    const { reason } = refusal
    throw new Error(
      reason === undefined
        ? `No broker answers at ${address}. --broker or POSTERN_BROKER names another one.`
        : `${address} does not let us in: ${reason}. POSTERN_CURVE names the file of keys.`,
    )
  }
}
