import { describe, expect, it } from 'vitest'
import { allowsOrigin, isOriginPattern } from '../../functions/origin.ts'

const ownHost = { allowOrigins: [], allowsAny: false }
const listed = (...allowOrigins: string[]) => ({ allowOrigins, allowsAny: false })

describe('an Origin', () => {
  it.each([
    [null, 'chat.example', true],
    ['http://chat.example', 'chat.example', true],
    ['https://chat.example', 'chat.example:443', true],
    ['http://chat.example:3000', 'chat.example:3000', true],
    ['http://CHAT.example', 'Chat.Example', true],
    ['http://[::1]:3000', '[::1]:3000', true],
    ['http://chat.example:3000', 'chat.example', false],
    ['http://evil.example', 'chat.example', false],
    ['http://chat.example.evil.example', 'chat.example', false],
    ['null', 'chat.example', false],
    ['', 'chat.example', false],
    ['http://chat.example', null, false],
  ])('%s at the host %s by default: %s', (origin, host, allowed) => {
    expect(allowsOrigin(ownHost, origin, host)).toBe(allowed)
  })

  it.each([
    ['example.com', 'https://example.com', true],
    ['example.com', 'http://example.com:8080', true],
    ['example.com', 'https://a.example.com', false],
    ['example.com', 'https://badexample.com', false],
    ['example.com', 'https://example.com.evil.org', false],
    ['example.com:8080', 'http://example.com:8080', true],
    ['example.com:8080', 'http://example.com', false],
    ['example.com:443', 'https://example.com', true],
    ['*.example.com', 'https://a.example.com', true],
    ['*.example.com', 'https://a.b.example.com', true],
    ['*.example.com', 'https://example.com', false],
    ['*.example.com', 'https://badexample.com', false],
    ['*.example.com', 'https://a.example.com.evil.org', false],
    ['*.example.com:8080', 'http://a.example.com:8080', true],
    ['*.example.com:8080', 'http://a.example.com', false],
    ['[::1]', 'http://[::1]:3000', true],
  ])('where %s is allowed, from %s: %s', (allowed, origin, is) => {
    expect(allowsOrigin(listed('other.org', allowed), origin, 'page.example')).toBe(is)
  })

  it('must be there where some are listed, and the own host is none of them by itself', () => {
    expect(allowsOrigin(listed('example.com'), null, 'page.example')).toBe(false)
    expect(allowsOrigin(listed('example.com'), 'http://page.example', 'page.example')).toBe(false)
  })

  it('may be any where any may', () => {
    expect(allowsOrigin({ allowOrigins: [], allowsAny: true }, 'http://any.example', 'x')).toBe(true)
  })
})

it.each([
  ['example.com', true],
  ['*.example.com', true],
  ['localhost:3000', true],
  ['[::1]:3000', true],
  ['*', false],
  ['a.*.com', false],
  ['*example.com', false],
  ['http://example.com', false],
  ['example.com/', false],
  ['', false],
])('%s can be listed: %s', (text, can) => {
  expect(isOriginPattern(text)).toBe(can)
})
