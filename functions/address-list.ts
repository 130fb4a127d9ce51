import { BlockList, isIP, SocketAddress } from 'node:net'

const loopback = ['127.0.0.0/8', '::1']

/** Addresses that a setting names. */
export class AddressList {
  readonly #text: string
  readonly #list = new BlockList()

  /**
   * @param text addresses, networks as `10.0.0.0/8` and `loopback`, with commas between them; or `off`: none.
   * @throws Error for the first that is none of these.
   */
  constructor(text: string) {
    this.#text = text
    const names = text === 'off' ? [] : text.split(',').map(one => one.trim())
    for (const one of names.flatMap(one => (one === 'loopback' ? loopback : [one]))) this.#add(one)
  }

  toString(): string {
    return this.#text
  }

  get isEmpty(): boolean {
    return this.#text === 'off'
  }

  /** @param address canonical. */
  has(address: string): boolean {
    const family = familyOf(address)
    return family !== undefined && this.#list.check(address, family)
  }

  #add(text: string): void {
    const [address = '', prefix, ...rest] = text.split('/')
    const family = familyOf(address)
    const longest = family === 'ipv4' ? 32 : 128
    const isPrefix = prefix === undefined || (/^\d{1,3}$/.test(prefix) && Number(prefix) <= longest)
    if (family === undefined || !isPrefix || rest.length > 0)
      throw new Error(`${JSON.stringify(text)} is no address, and no network such as 10.0.0.0/8`)
    if (prefix === undefined) this.#list.addAddress(address, family)
    else this.#list.addSubnet(address, Number(prefix), family)
  }
}

/**
 * An address in the one form that it is compared and counted in, or undefined when it is none: an IPv4 one that came
 * over an IPv6 socket is the IPv4 one, and a zone says only by which way it came.
 */
export function canonicalAddress(text: string): string | undefined {
  const [address = ''] = text.split('%')
  const family = familyOf(address)
  if (family !== 'ipv6') return family && address
  const canonical = new SocketAddress({ address, family }).address
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/.exec(canonical)?.[1]
  return mapped ?? canonical
}

function familyOf(address: string): 'ipv4' | 'ipv6' | undefined {
  const version = address.includes('%') ? 0 : isIP(address)
  return version === 0 ? undefined : version === 4 ? 'ipv4' : 'ipv6'
}
