import { describe, expect, it } from 'vitest'
import { credentialOf } from '../../functions/credential.ts'

const of = (headers: Record<string, string>) => credentialOf(new Headers(headers))
const basic = (text: string) => `Basic ${Buffer.from(text).toString('base64')}`

describe('what a request shows', () => {
  it('is nothing without a header and a cookie of ours', () => {
    expect(of({})).toEqual({ kind: 'none' })
    expect(of({ cookie: 'theme=dark; postern_token=' })).toEqual({ kind: 'none' })
  })

  it('is a token after Bearer, in any case', () => {
    expect(of({ authorization: 'bearer a.b.c' })).toEqual({ kind: 'token', token: 'a.b.c' })
  })

  it('is a name and a password after Basic: the name ends at the first colon', () => {
    expect(of({ authorization: basic('amy:a:b ü') })).toEqual({
      kind: 'password',
      name: 'amy',
      password: 'a:b ü',
    })
  })

  it('is the token of the cookie, among others', () => {
    expect(of({ cookie: 'a=1; postern_token=x.y=; b=2' })).toEqual({ kind: 'token', token: 'x.y=' })
  })

  it('is what the header says, where there is a cookie too', () => {
    expect(of({ authorization: 'Bearer h', cookie: 'postern_token=c' })).toEqual({
      kind: 'token',
      token: 'h',
    })
  })

  it.each(['Bearer', 'Digest x', basic('no colon'), 'Bearer a b', ''])(
    'is refused where it cannot be read: %s',
    authorization => {
      expect(() => of({ authorization, cookie: 'postern_token=c' })).toThrow(
        expect.objectContaining({ code: 'UNAUTHORIZED' }),
      )
    },
  )
})
