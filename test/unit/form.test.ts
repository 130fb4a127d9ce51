import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseForm } from '../../functions/form.ts'

const urlencoded = 'application/x-www-form-urlencoded'
const bytesOf = (text: string) => new TextEncoder().encode(text)
const latin1 = (text: string) => Uint8Array.from(text, sign => sign.charCodeAt(0))

describe('an urlencoded form', () => {
  const parse = async (body: string | Uint8Array, type: string | null = urlencoded) =>
    Object.fromEntries(await parseForm(typeof body === 'string' ? bytesOf(body) : body, type))

  it('is read as browsers write it', () =>
    fc.assert(
      fc.asyncProperty(fc.string({ unit: 'binary' }), fc.string({ unit: 'binary' }), async (from, text) => {
        expect(await parse(new URLSearchParams({ from, text }).toString())).toEqual({
          from: from.toWellFormed(),
          text: text.toWellFormed(),
        })
      }),
    ))

  it.each([
    ['text=a+b', 'a b'],
    ['text=100%', '100%'],
    ['text=%zz%4', '%zz%4'],
    ['text=raw ä', 'raw ä'],
    ['text', ''],
    ['text=a&text=b', 'b'],
    ['&&text=a&', 'a'],
    ['text=%EF%BB%BFmark', '﻿mark'],
  ])('%j has the text %j', async (body, text) => {
    expect(await parse(body)).toEqual({ text })
  })

  it('is what a form without a Content-Type is', async () => {
    expect(await parse('a=1', null)).toEqual({ a: '1' })
  })

  it.each([
    ['percent-encoded', 'text=%ff'],
    ['cut off in the middle of a sign', 'text=%c3'],
    ['an encoded surrogate', 'text=%ed%a0%80'],
    ['in a name', '%ff=1'],
  ])('is refused when it is not UTF-8: %s', async (_, body) => {
    await expect(parse(body)).rejects.toMatchObject({ code: 'INVALID_UTF8' })
  })

  it('is refused when its raw bytes are not UTF-8', async () => {
    await expect(parse(latin1('text=\xe4'))).rejects.toMatchObject({ code: 'INVALID_UTF8' })
  })
})

describe('a multipart form', () => {
  const boundary = 'multipart/form-data; boundary=xx'
  const part = (name: string, value: string, extra = '') =>
    `--xx\r\nContent-Disposition: form-data; name="${name}"${extra}\r\n\r\n${value}\r\n`

  it('is read', async () => {
    const body = bytesOf(`${part('from', 'amy')}${part('text', 'hi\r\nthere ä')}--xx--\r\n`)
    expect(Object.fromEntries(await parseForm(body, boundary))).toEqual({
      from: 'amy',
      text: 'hi\r\nthere ä',
    })
  })

  it('has no fields of files', async () => {
    const body = bytesOf(`${part('text', 'x', '; filename="a.txt"')}--xx--\r\n`)
    expect(Object.fromEntries(await parseForm(body, boundary))).toEqual({})
  })

  it('is refused when it is not UTF-8', async () => {
    const body = latin1(`${part('text', '\xff')}--xx--\r\n`)
    await expect(parseForm(body, boundary)).rejects.toMatchObject({ code: 'INVALID_UTF8' })
  })

  it.each([
    ['nonsense', boundary],
    ['--xx--', 'multipart/form-data'],
  ])('is refused when it is none: %j', async (body, type) => {
    await expect(parseForm(bytesOf(body), type)).rejects.toMatchObject({ code: 'INVALID_REQUEST' })
  })
})

it('anything else is no form', async () => {
  await expect(parseForm(bytesOf('{}'), 'application/json')).rejects.toMatchObject({
    code: 'INVALID_REQUEST',
  })
})
