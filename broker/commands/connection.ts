import { Inquiries } from '../client/inquiries.ts'
import { Link } from '../client/link.ts'
import { Outbox } from '../client/outbox.ts'
import { PosternError } from '../protocol/index.ts'
import { findBroker } from './broker-address.ts'

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
  const link = new Link({ address, onUp() {}, onHand() {}, onDeliver() {}, onSign() {} })
  try {
    await reached(link, address)
    return await use({ address, inquiries: new Inquiries(link), outbox: new Outbox(link) })
  } finally {
    link.close()
  }
}

/** @throws Error that says so when no broker answers. */
export async function reached(way: { ready(): Promise<void> }, address: string): Promise<void> {
  try {
    await way.ready()
  } catch (error) {
    if (!(error instanceof PosternError)) throw error
    throw new Error(`No broker answers at ${address}. --broker or POSTERN_BROKER names another one.`)
  }
}
