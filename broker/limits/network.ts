/** An address of IPv4, or the network of one of IPv6: whoever has one of those has 2^64. */
export function networkOf(address: string): string {
  const ipv4 = address.replace(/^::ffff:/i, '')
  if (!ipv4.includes(':')) return ipv4
  const [head = '', tail] = ipv4.split('::')
  const groups = head === '' ? [] : head.split(':')
  const missing = tail === undefined ? 0 : 8 - groups.length - (tail === '' ? 0 : tail.split(':').length)
  return [...groups, ...Array.from({ length: missing }, () => '0')].slice(0, 4).join(':')
}

/** Whether an address is the machine's own. */
export function isLoopbackAddress(address: string): boolean {
  return address === '::1' || /^(::ffff:)?127\./i.test(address)
}
