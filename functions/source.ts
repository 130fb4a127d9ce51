import type { H3Event } from 'h3'
import { isLoopbackAddress, networkOf } from '#limits'
import { anonymous, type Rights } from '#protocol'
import { isPassedOn } from './client-address.ts'
import type { Context } from './context.ts'
import { clientOfEvent } from './routes.ts'

/** Whom something is counted for. */
export interface Source {
  /** The address, or of IPv6 the network. Undefined for this machine itself: a program here, or a proxy. */
  readonly network?: string
  /** The user or the bearer of a token. Undefined for everybody else, who are known by their addresses alone. */
  readonly identity?: string
}

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
