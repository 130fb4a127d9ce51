/** A fenced code block of a paper. */
export interface CodeBlock {
  /** The text behind the fence, of which readers see only the colours. */
  readonly info: string
  readonly code: string
}

/** The fenced code blocks of a Markdown text. */
export function codeBlocks(markdown: string): CodeBlock[] {
  const blocks = markdown.matchAll(/^```([^\n]*)\n([\s\S]*?)^```$/gm)
  return [...blocks].map(([, info = '', code = '']) => ({ info: info.trim(), code }))
}

/** The code of the blocks whose info is exactly this. */
export function codeOf(markdown: string, info: string): string[] {
  return codeBlocks(markdown).flatMap(block => (block.info === info ? [block.code] : []))
}

/** What stands under each heading of the second level, by its title; before the first one, under the first level's. */
export function sectionsOf(markdown: string): Map<string, string> {
  const sections = new Map<string, string>()
  let title = ''
  let isCode = false
  for (const line of markdown.split('\n')) {
    if (line.startsWith('```')) isCode = !isCode
    const heading = isCode ? undefined : /^##? (.+)$/.exec(line)?.[1]
    if (heading !== undefined) title = heading
    sections.set(title, `${sections.get(title) ?? ''}${line}\n`)
  }
  return sections
}

/** The rows of the first table under a heading of the second level, each as its cells, without the head. */
export function tableUnder(markdown: string, title: string): string[][] {
  const lines = sectionsOf(markdown).get(title)?.split('\n') ?? []
  const start = lines.findIndex(line => line.startsWith('|'))
  const rows: string[][] = []
  for (const line of lines.slice(start)) {
    if (!line.startsWith('|')) break
    rows.push(
      line
        .slice(1, line.lastIndexOf('|'))
        .split('|')
        .map(cell => cell.trim().replaceAll('`', '')),
    )
  }
  return rows.slice(2)
}
