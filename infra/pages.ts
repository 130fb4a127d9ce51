import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { stripTypeScriptTypes } from 'node:module'
import { dirname, extname, join, relative } from 'node:path'

/** How one script refers to another: an import, the address of a worker, the `src` of a page. */
const reference = /(["'])([\w./-]+)\.ts\1/g

/** Writes the pages with their scripts as JavaScript, so that nothing is left to be stripped when they are served. */
export function writePages(from: string, to: string): void {
  for (const entry of readdirSync(from, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue
    const source = join(entry.parentPath, entry.name)
    const target = join(to, relative(from, source))
    mkdirSync(dirname(target), { recursive: true })
    writeFileSync(target.replace(/\.ts$/, '.js'), shipped(source))
  }
}

function shipped(file: string): Buffer | string {
  const content = readFileSync(file)
  switch (extname(file)) {
    case '.ts':
      return withScripts(stripTypeScriptTypes(content.toString()))
    case '.html':
      return withScripts(content.toString())
    default:
      return content
  }
}

function withScripts(text: string): string {
  return text.replaceAll(reference, '$1$2.js$1')
}
