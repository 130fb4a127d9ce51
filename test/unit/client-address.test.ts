import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { AddressList, canonicalAddress } from '../../functions/address-list.ts'
import { clientOf } from '../../functions/client-address.ts'

const loopback = new AddressList('loopback')
const nobody = new AddressList('off')
const chain = new AddressList('loopback, 10.0.0.0/8,2001:db8:1::/48')

const peer = (address: string | undefined, isEncrypted = false) => ({ address, isEncrypted })

/** What is made of a request, as `address scheme via`. */
function seen(
  address: string,
  headers: Record<string, string>,
  trusted = loopback,
  isEncrypted = false,
): string {
  const client = clientOf(peer(address, isEncrypted), new Headers(headers), trusted)
  return `${client.address} ${client.scheme} ${client.via}`
}

describe('the client of a request', () => {
  it('is the peer where nobody has passed it on', () => {
    expect(seen('192.0.2.1', {})).toBe('192.0.2.1 http direct')
    expect(seen('127.0.0.1', {}, loopback, true)).toBe('127.0.0.1 https direct')
    expect(clientOf(peer(undefined), new Headers(), loopback)).toMatchObject({ address: undefined })
  })

  it('is whom a trusted proxy names', () => {
    expect(seen('127.0.0.1', { 'x-forwarded-for': '203.0.113.7' })).toBe('203.0.113.7 http proxy')
    expect(seen('::ffff:127.0.0.1', { 'x-forwarded-for': '2001:DB8::0:7' })).toBe('2001:db8::7 http proxy')
    expect(seen('::1', { forwarded: 'for=203.0.113.7;proto=https;by=203.0.113.43' })).toBe(
      '203.0.113.7 https proxy',
    )
  })

  it('is the right-most one that is no trusted proxy', () => {
    const forged = '127.0.0.1, 198.51.100.9, 203.0.113.7, 10.1.2.3, 10.9.9.9'
    expect(seen('127.0.0.1', { 'x-forwarded-for': forged }, chain)).toBe('203.0.113.7 http proxy')
    const forwarded = 'for=127.0.0.1, for=203.0.113.7;proto=https, for="[2001:db8:1::5]:4711"'
    expect(seen('127.0.0.1', { forwarded }, chain)).toBe('203.0.113.7 https proxy')
  })

  it('is the first proxy where all of them are trusted', () => {
    expect(seen('127.0.0.1', { 'x-forwarded-for': '10.0.0.5, 10.0.0.6' }, chain)).toBe('10.0.0.5 http proxy')
  })

  it('is not whom a stranger names', () => {
    expect(seen('192.0.2.1', { 'x-forwarded-for': '127.0.0.1' })).toBe('192.0.2.1 http unknown')
    expect(seen('127.0.0.1', { 'x-forwarded-for': '203.0.113.7' }, nobody)).toBe('127.0.0.1 http unknown')
    expect(seen('192.0.2.1', { 'x-forwarded-proto': 'https' })).toBe('192.0.2.1 http unknown')
  })

  it.each(['via', 'x-real-ip', 'x-forwarded-host', 'x-forwarded-proto'])(
    'is unknown where %s alone shows that a proxy was there',
    name => expect(seen('127.0.0.1', { [name]: '1.1 somebody' })).toBe('127.0.0.1 http unknown'),
  )

  it.each([
    ['', 'nothing'],
    ['unknown', 'a proxy that does not know'],
    ['_hidden', 'a name that stands for one'],
    ['203.0.113.7, ', 'an empty place'],
    ['203.0.113.999', 'no address'],
    ['localhost', 'a name'],
  ])('is unknown with X-Forwarded-For: %s (%s)', text => {
    expect(seen('127.0.0.1', { 'x-forwarded-for': text })).toBe('127.0.0.1 http unknown')
  })

  it.each([
    ['for=203.0.113.7;for=127.0.0.1'],
    ['for=203.0.113.7, '],
    ['for="203.0.113.7'],
    ['for="unknown"'],
    ['proto=https'],
    ['203.0.113.7'],
    ['for=203.0.113.7 extra'],
  ])('is unknown with Forwarded: %s', forwarded => {
    expect(seen('127.0.0.1', { forwarded })).toBe('127.0.0.1 http unknown')
  })

  it('stays with the last proxy that is believed where a name hides the next', () => {
    expect(seen('127.0.0.1', { 'x-forwarded-for': 'unknown, 10.0.0.5' }, chain)).toBe('10.0.0.5 http unknown')
  })

  it('is unknown where two headers name different ones: a proxy has let one of them through', () => {
    const headers = { 'x-forwarded-for': '203.0.113.7', forwarded: 'for=198.51.100.1' }
    expect(seen('127.0.0.1', headers)).toBe('127.0.0.1 http unknown')
    expect(seen('127.0.0.1', { ...headers, forwarded: 'for=203.0.113.7' })).toBe('203.0.113.7 http proxy')
    expect(seen('127.0.0.1', { ...headers, forwarded: 'nonsense' })).toBe('127.0.0.1 http unknown')
  })

  it('came by https where its own proxy says so', () => {
    const by = (protocols: string) =>
      seen('127.0.0.1', { 'x-forwarded-for': '203.0.113.7, 10.0.0.5', 'x-forwarded-proto': protocols }, chain)
    expect(by('https')).toBe('203.0.113.7 https proxy')
    expect(by('https, http')).toBe('203.0.113.7 https proxy')
    expect(by('http, https')).toBe('203.0.113.7 http proxy')
    expect(by('http, https, https')).toBe('203.0.113.7 http proxy')
    expect(by('gopher')).toBe('203.0.113.7 http proxy')
  })

  it('is never chosen by what stands left of the first stranger', () => {
    const octet = fc.integer({ min: 0, max: 255 })
    const anything = fc.oneof(fc.ipV4(), fc.ipV6(), fc.string(), fc.constant('127.0.0.1'))
    fc.assert(
      fc.property(fc.array(anything), fc.tuple(octet, octet), (forged, [a, b]) => {
        const list = [...forged.map(one => one.replaceAll(/[^\x21-\x7e]/g, '')), `203.0.${a}.${b}`]
        expect(seen('127.0.0.1', { 'x-forwarded-for': list.join(', ') })).toBe(`203.0.${a}.${b} http proxy`)
      }),
    )
  })
})

describe('a list of addresses', () => {
  it('has addresses, networks and loopback', () => {
    const list = new AddressList('loopback, 192.0.2.7, 10.0.0.0/8, 2001:db8::/32')
    for (const one of ['127.0.0.1', '127.9.9.9', '::1', '192.0.2.7', '10.255.0.1', '2001:db8:5::1'])
      expect(list.has(one), one).toBe(true)
    for (const one of ['192.0.2.8', '11.0.0.1', '2001:db9::1', '::2', 'loopback', ''])
      expect(list.has(one), one).toBe(false)
  })

  it.each([
    'localhost',
    '10.0.0.0/33',
    '10.0.0.0/',
    '10.0.0.0/8/8',
    '2001:db8::/129',
    '*',
    '10.0.0',
    '',
    'fe80::1%eth0',
  ])('refuses %s', text => expect(() => new AddressList(text)).toThrow(JSON.stringify(text)))
})

it.each([
  ['::ffff:192.0.2.1', '192.0.2.1'],
  ['2001:0DB8:0:0::1', '2001:db8::1'],
  ['fe80::1%eth0', 'fe80::1'],
  ['192.0.2.1', '192.0.2.1'],
  ['192.0.2', undefined],
  ['', undefined],
])('the address %s is %s', (text, canonical) => expect(canonicalAddress(text)).toBe(canonical))
