import { type AddressList, canonicalAddress } from './address-list.ts'

/** Who is at the other end of a connection, as the system says. */
export interface Peer {
  /** Undefined where the host does not tell. */
  readonly address: string | undefined
  readonly isEncrypted: boolean
}

/** Who a request comes from. */
export interface Client {
  /**
   * In canonical form. Where nobody can be believed, that of the last one who can. Undefined where the host does not
   * tell.
   */
  readonly address: string | undefined
  /** How the client has reached us or the first proxy. */
  readonly scheme: 'http' | 'https'
  /**
   * `direct`: nobody has passed the request on. `proxy`: proxies that are believed name this client. `unknown`: somebody
   * else may have passed it on, or what is said of the client is not clear. Nothing may then be granted to the address.
   */
  readonly via: 'direct' | 'proxy' | 'unknown'
}

interface Headers {
  get(name: string): string | null
}

/** What one proxy says of whom it was asked by. */
interface Hop {
  /** Undefined where it keeps that to itself. */
  readonly address: string | undefined
  readonly scheme: 'http' | 'https' | undefined
}

const nobody: Hop = { address: undefined, scheme: undefined }

/** What a proxy adds to a request, and a client has no reason to send. */
const marks = [
  'forwarded',
  'x-forwarded-for',
  'x-forwarded-proto',
  'x-forwarded-host',
  'x-forwarded-port',
  'x-real-ip',
  'via',
]

/** Whether somebody may have passed a request on. @param headers as Node has them. */
export function isPassedOn(headers: Readonly<Record<string, unknown>>): boolean {
  return marks.some(name => headers[name] !== undefined)
}

/**
 * Finds the client behind proxies, by `X-Forwarded-For` or `Forwarded` (RFC 7239). Each proxy adds to the right of what
 * it got, so the list is read from there: the client is the first that is not one of the trusted proxies.
 *
 * Threat: what stands further to the left, and all of it where the peer is no trusted proxy, anybody can write. Where two
 * headers tell of different clients, one of them came through a proxy that does not know it: neither is believed.
 */
export function clientOf(peer: Peer, headers: Headers, trusted: AddressList): Client {
  const address = peer.address === undefined ? undefined : canonicalAddress(peer.address)
  const scheme = peer.isEncrypted ? 'https' : 'http'
  const isMarked = marks.some(name => headers.get(name) !== null)
  if (!isMarked) return { address, scheme, via: 'direct' }
  const near: Client = { address, scheme, via: 'unknown' }
  if (address === undefined || !trusted.has(address)) return near
  const forwarded = headers.get('forwarded')
  const forwardedFor = headers.get('x-forwarded-for')
  const lists = [
    ...(forwarded === null ? [] : [readForwarded(forwarded)]),
    ...(forwardedFor === null ? [] : [readForwardedFor(forwardedFor, headers.get('x-forwarded-proto'))]),
  ]
  const [client = near, other = client] = lists.map(hops => follow(hops, near, trusted))
  const isOne = client.address === other.address && client.via === other.via
  return isOne ? { ...client, scheme: client.scheme === other.scheme ? client.scheme : 'http' } : near
}

/** Goes from hop to hop as long as each is trusted. */
function follow(hops: readonly Hop[], peer: Client, trusted: AddressList): Client {
  let last = peer
  for (const { address, scheme = 'http' } of hops.toReversed()) {
    if (address === undefined) return { ...last, via: 'unknown' }
    last = { address, scheme, via: 'proxy' }
    if (!trusted.has(address)) return last
  }
  return last
}

function readForwardedFor(text: string, protocols: string | null): Hop[] {
  const addresses = text.split(',').map(one => readNode(one.trim()))
  const schemes = protocols?.split(',').map(one => readScheme(one.trim())) ?? []
  // One for all is that of the client; of a list each belongs to its address.
  const schemeOf = (at: number) => (schemes.length === addresses.length ? schemes[at] : undefined)
  const all = schemes.length === 1 ? schemes[0] : undefined
  return addresses.map((address, at) => ({ address, scheme: all ?? schemeOf(at) }))
}

/** A name and its value, as a token or in quotes, and what comes after it (RFC 7239, section 4). */
const pair = /[ \t]*([\w!#$%&'*+.^`|~-]+)=(?:([\w!#$%&'*+.^`|~:[\]-]+)|"((?:[^"\\]|\\.)*)")[ \t]*(;|,|$)/y

/** What is not of that form names nobody. */
function readForwarded(text: string): Hop[] {
  const hops: Hop[] = []
  let parameters = new Map<string, string>()
  pair.lastIndex = 0
  for (let end = ';'; end !== ''; ) {
    const found = pair.exec(text)
    const name = found?.[1]?.toLowerCase()
    if (!found || name === undefined || parameters.has(name)) return [nobody]
    parameters.set(name, found[2] ?? found[3]?.replaceAll(/\\(.)/g, '$1') ?? '')
    end = found[4] ?? ''
    if (end === ';') continue
    hops.push({
      address: readNode(parameters.get('for') ?? ''),
      scheme: readScheme(parameters.get('proto') ?? ''),
    })
    parameters = new Map()
  }
  return hops
}

/** An address with a port behind it or without. Names that stand for one (RFC 7239, section 6.3) are none. */
function readNode(text: string): string | undefined {
  const [, bracketed, bare] =
    /^(?:\[([^\]]+)\](?::\d{1,5})?|(\d+\.\d+\.\d+\.\d+)(?::\d{1,5})?)$/.exec(text) ?? []
  return canonicalAddress(bracketed ?? bare ?? text)
}

function readScheme(text: string): 'http' | 'https' | undefined {
  const scheme = text.toLowerCase()
  return scheme === 'http' || scheme === 'https' ? scheme : undefined
}
