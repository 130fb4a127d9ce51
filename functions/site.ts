import { readdir, readFile, stat } from 'node:fs/promises'
import { extname, join } from 'node:path'

/** A file as a browser gets it. */
export interface SiteFile {
  readonly contentType: string
  readonly body: Uint8Array
  /** With its quotes. */
  readonly etag: string
}

const contentTypes: Readonly<Record<string, string>> = {
  '.css': 'text/css; charset=utf-8',
  '.html': 'text/html; charset=utf-8',
  '.ico': 'image/x-icon',
  '.js': 'text/javascript; charset=utf-8',
  '.png': 'image/png',
  '.svg': 'image/svg+xml',
  '.ts': 'text/javascript; charset=utf-8',
  '.webmanifest': 'application/manifest+json',
}

/** The files of a folder, by names that were read from it: no path of a request ever reaches the file system. */
export class Site {
  readonly #folder: string
  readonly #files = new Map<string, { readonly modifiedMs: number; readonly file: SiteFile }>()
  #names: Promise<ReadonlySet<string>> | undefined

  constructor(folder: string) {
    this.#folder = folder
  }

  /**
   * A file by its path below the folder, with `/` between its parts; TypeScript comes as JavaScript. It is read
   * again when it has changed.
   */
  async file(name: string): Promise<SiteFile | undefined> {
    this.#names ??= this.#list()
    if (!(await this.#names).has(name)) return undefined
    const path = join(this.#folder, name)
    const { mtimeMs } = await stat(path)
    const known = this.#files.get(name)
    if (known?.modifiedMs === mtimeMs) return known.file
    const file = await readSiteFile(path)
    this.#files.set(name, { modifiedMs: mtimeMs, file })
    return file
  }

  async #list(): Promise<ReadonlySet<string>> {
    const names = await readdir(this.#folder, { recursive: true })
    return new Set(
      names.map(name => name.replaceAll('\\', '/')).filter(name => extname(name) in contentTypes),
    )
  }
}

async function readSiteFile(path: string): Promise<SiteFile> {
  const extension = extname(path)
  const source = await readFile(path)
  const body = extension === '.ts' ? await toJavaScript(source.toString()) : source
  return toSiteFile(contentTypes[extension] ?? 'application/octet-stream', body)
}

export function toSiteFile(contentType: string, body: Uint8Array): SiteFile {
  const digest = process.getBuiltinModule('node:crypto').createHash('sha256').update(body).digest('base64url')
  return { contentType, body, etag: `"${digest.slice(0, 22)}"` }
}

async function toJavaScript(typescript: string): Promise<Uint8Array> {
  // Only where it is needed: what ships is JavaScript already, and may run where this is not there.
  const { stripTypeScriptTypes } = await import('node:module')
  return Buffer.from(stripTypeScriptTypes(typescript))
}
