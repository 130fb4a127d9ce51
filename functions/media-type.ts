import { isUtf8 } from 'node:buffer'

const binaryKinds = new Set(['audio', 'font', 'image', 'model', 'video'])

const binaryTypes = new Set([
  'application/cbor',
  'application/gzip',
  'application/msgpack',
  'application/octet-stream',
  'application/pdf',
  'application/protobuf',
  'application/vnd.google.protobuf',
  'application/vnd.msgpack',
  'application/wasm',
  'application/x-gzip',
  'application/x-msgpack',
  'application/x-protobuf',
  'application/x-tar',
  'application/zip',
  'application/zstd',
])

/** The type and subtype of a Content-Type, in lower case, without its parameters. */
export function mediaType(contentType: string | null): string {
  return (contentType ?? '').split(';', 1)[0]?.trim().toLowerCase() ?? ''
}

/**
 * Whether a payload is bytes rather than text: because its Content-Type says so, or because it is not UTF-8. Any
 * other Content-Type says nothing: curl sends one of its own with whatever it is given.
 */
export function isBinary(contentType: string | null, payload: Uint8Array): boolean {
  const type = mediaType(contentType)
  return binaryTypes.has(type) || binaryKinds.has(type.split('/', 1)[0] ?? '') || !isUtf8(payload)
}
