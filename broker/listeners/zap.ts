/** A question of libzmq whether a client may come in (ZeroMQ RFC 27). */
export interface ZapRequest {
  /** Frames that the answer begins with. */
  readonly envelope: readonly Uint8Array[]
  readonly id: Uint8Array
  /** As the socket names itself: ZMQ_ZAP_DOMAIN. */
  readonly domain: string
  /** The client's IP address. */
  readonly address: string
  /** The client's public key; undefined where it has come without CURVE. */
  readonly key: Uint8Array | undefined
}

/** Where libzmq asks, within the context of the socket. Another name, such as `zap.01.0`, is never asked. */
export const zapEndpoint = 'inproc://zeromq.zap.01'

const version = '1.0'
const keyBytes = 32

/** Reads a question, or gives undefined for something else. */
export function decodeZapRequest(frames: readonly Uint8Array[]): ZapRequest | undefined {
  const body = frames.findIndex(frame => frame.length === 0) + 1
  const [asked, id, domain, address, , mechanism, key] = frames.slice(body)
  if (body === 0 || !asked || textOf(asked) !== version || !id || !domain || !address || !mechanism)
    return undefined
  const isCurve = textOf(mechanism) === 'CURVE' && key?.length === keyBytes
  return {
    envelope: frames.slice(0, body),
    id,
    domain: textOf(domain),
    address: textOf(address),
    key: isCurve ? key : undefined,
  }
}

/** What a question is answered with: 200 lets in, 400 does not and tells the client so. */
export function encodeZapReply(
  { envelope, id }: ZapRequest,
  status: 200 | 400,
  name = '',
): (Uint8Array | string)[] {
  return [...envelope, version, id, String(status), '', name, '']
}

function textOf(frame: Uint8Array): string {
  return Buffer.from(frame).toString()
}
