import type { H3Event } from 'h3'
import { mayReadHistory, maySubscribe } from '#auth'
import type { PublishOptions, Start } from '#client'
import type { PosternError, Rights, Selection } from '#protocol'
import type { Context } from './context.ts'
import { credentialOf } from './credential.ts'
import { refuseForeignPage } from './cross-origin.ts'
import { openPass, type Pass } from './pass.ts'
import { clientOfEvent } from './routes.ts'

/**
 * Lets the client of a request in: at once where there are no rules, else when the broker has said what it may do.
 *
 * @throws PosternError `UNAUTHORIZED`, `LOGIN_UNAVAILABLE`, `FOREIGN_PAGE` for what changes something
 */
export function admit(event: H3Event, context: Context): Pass | Promise<Pass> {
  if (event.req.method === 'POST') refuseForeignPage(event, context)
  // Whatever else a request shows there is for somebody else, such as a proxy.
  if (context.gate.isOpen) return openPass
  const { address = '' } = clientOfEvent(event, context)
  return context.gate.enter(credentialOf(event.req.headers), address)
}

/**
 * Lets the client of a request in for something that it may do now. Asked before a body is read, and again when it has come.
 * Threat: a body that takes its time, and outlives the right to send it.
 *
 * @throws PosternError as {@link admit} does, and what `refusal` gives
 */
export async function admitFor(
  event: H3Event,
  context: Context,
  refusal: (rights: Rights) => PosternError | undefined,
): Promise<Pass> {
  const pass = await admit(event, context)
  demand(refusal(pass.rights))
  return pass
}

/** Goes on where nothing speaks against it. */
export function demand(refusal: PosternError | undefined): void {
  if (refusal) throw refusal
}

/** Why a client may not be subscribed from there on. What it missed is a part of the past like any other. */
export function refusalToStart(
  rights: Rights,
  selection: Selection,
  { since, history = 0 }: Start,
): PosternError | undefined {
  const isPast = since !== undefined || history > 0
  return isPast ? mayReadHistory(rights, selection) : maySubscribe(rights, selection)
}

/** Keys of different clients are different keys. */
export function publishingAs({ rights }: Pass, options: PublishOptions = {}): PublishOptions {
  return rights.isOpen ? options : { ...options, identity: rights.identity }
}
