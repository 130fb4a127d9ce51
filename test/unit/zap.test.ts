import { describe, expect, it } from 'vitest'
import { decodeZapRequest, encodeZapReply } from '../../broker/listeners/zap.ts'

const key = Buffer.alloc(32, 7)
const frames = (...parts: (string | Buffer)[]) => parts.map(part => Buffer.from(part))
const asked = (mechanism = 'CURVE', credentials: Buffer[] = [key]) =>
  frames('peer', '', '1.0', '1', 'ingest', '10.0.0.7', '', mechanism, ...credentials)

describe('a question whether a client may come in', () => {
  it('says at which socket, from where, and with which key', () => {
    const request = decodeZapRequest(asked())
    expect(request).toEqual({
      envelope: frames('peer', ''),
      id: Buffer.from('1'),
      domain: 'ingest',
      address: '10.0.0.7',
      key,
    })
  })

  it('has no key where there is none', () => {
    expect(decodeZapRequest(asked('NULL', []))?.key).toBeUndefined()
    expect(decodeZapRequest(asked('PLAIN', frames('amy', 'secret')))?.key).toBeUndefined()
    expect(decodeZapRequest(asked('CURVE', frames('short')))?.key).toBeUndefined()
  })

  it.each([
    ['nothing', []],
    ['no envelope', frames('1.0', '1', 'ingest', '10.0.0.7', 'x', 'CURVE')],
    ['another version', frames('peer', '', '2.0', '1', 'ingest', '10.0.0.7', '', 'CURVE', key)],
    ['too little', frames('peer', '', '1.0', '1', 'ingest')],
  ])('is none when there is %s', (_, parts) => expect(decodeZapRequest(parts)).toBeUndefined())

  it('is answered to whom has asked', () => {
    const request = decodeZapRequest(asked())
    const reply = request && encodeZapReply(request, 200, 'web').map(String)
    expect(reply).toEqual(['peer', '', '1.0', '1', '200', '', 'web', ''])
  })
})
