import { isUtf8 } from 'node:buffer'
import { PosternError } from '#protocol'
import { mediaType } from './media-type.ts'
import { decodeFormText } from './percent.ts'

const urlencoded = 'application/x-www-form-urlencoded'
const multipart = 'multipart/form-data'

const utf8 = new TextDecoder('utf-8', { ignoreBOM: true })

/**
 * Reads the text fields of a form, urlencoded (also when nothing says what it is) or multipart. Of a field that is
 * there twice the last counts; files are left out.
 *
 * @throws PosternError `INVALID_UTF8` for a text that is not UTF-8; `INVALID_REQUEST` for what is no form.
 */
export async function parseForm(
  body: Uint8Array,
  contentType: string | null,
): Promise<ReadonlyMap<string, string>> {
  const type = mediaType(contentType)
  // The markup of either form is ASCII: the whole is UTF-8 exactly if each of its texts is.
  if (!isUtf8(body)) throw new PosternError('INVALID_UTF8')
  if (type === multipart) return parseMultipart(body, contentType ?? '')
  if (type === urlencoded || type === '') return parseUrlencoded(utf8.decode(body))
  throw new PosternError('INVALID_REQUEST', `A form must be ${urlencoded} or ${multipart}.`)
}

function parseUrlencoded(body: string): Map<string, string> {
  const fields = new Map<string, string>()
  for (const pair of body.split('&')) {
    if (pair === '') continue
    const end = pair.indexOf('=')
    const name = decodeFormText(end < 0 ? pair : pair.slice(0, end))
    const value = decodeFormText(end < 0 ? '' : pair.slice(end + 1))
    if (name === undefined || value === undefined) throw new PosternError('INVALID_UTF8')
    fields.set(name, value)
  }
  return fields
}

async function parseMultipart(body: Uint8Array, contentType: string): Promise<Map<string, string>> {
  const fields = new Map<string, string>()
  for (const [name, value] of await readFormData(body, contentType)) {
    if (typeof value === 'string') fields.set(name, value)
  }
  return fields
}

async function readFormData(body: Uint8Array, contentType: string): Promise<FormData> {
  try {
    return await new Response(new Uint8Array(body), { headers: { 'content-type': contentType } }).formData()
  } catch {
    throw new PosternError('INVALID_REQUEST', 'The multipart form cannot be read.')
  }
}
