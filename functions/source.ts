import type { H3Event } from 'h3'
import { isLoopbackAddress, networkOf, type Source } from '#limits'
import { anonymous, type Rights } from '#protocol'
import { isPassedOn } from './client-address.ts'
import type { Context } from './context.ts'
import { clientOfEvent } from './routes.ts'

/**
 * Threat: where it is not clear whom a proxy has passed a request on for, the address is that of the proxy. That counts as
 * one client, also on this machine.
 */
export function sourceOf(event: H3Event, context: Pick<Context, 'trustProxy'>, rights: Rights): Source {
  const isNobody = rights.isOpen || rights.identity === anonymous
  if (isNobody && comesFromHere(event)) return uncounted
  const { address, via } = clientOfEvent(event, context)
  const isOwn = address === undefined || (via !== 'unknown' && isLoopbackAddress(address))
  return { ...(!isOwn && { network: networkOf(address) }), ...(!isNobody && { identity: rights.identity }) }
}

/** Whether a program on this machine has sent a request itself: found sooner than whom a proxy has passed one on for. */
function comesFromHere({ runtime }: H3Event): boolean {
  const request = runtime?.node?.req
  const address = request?.socket?.remoteAddress
  return address !== undefined && isLoopbackAddress(address) && !isPassedOn(request?.headers ?? {})
}

/** What is not counted at all. */
export const uncounted: Source = {}
