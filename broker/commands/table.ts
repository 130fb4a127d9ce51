/** A row of a table, with a text or a number in each column. */
export type Row = readonly (string | number)[]

const number = new Intl.NumberFormat('en')

/** Columns side by side: numbers to the right, all others to the left. */
export function tableOf(head: readonly string[], rows: readonly Row[]): string {
  const cells = [head, ...rows].map(row =>
    row.map(cell => (typeof cell === 'number' ? number.format(cell) : cell)),
  )
  const widths = head.map((_, column) => Math.max(...cells.map(row => row[column]?.length ?? 0)))
  const isNumber = head.map((_, column) => rows.every(row => typeof row[column] === 'number'))
  const lines = cells.map(row =>
    row.map((cell, column) =>
      isNumber[column] ? cell.padStart(widths[column] ?? 0) : cell.padEnd(widths[column] ?? 0),
    ),
  )
  return lines.map(line => `${line.join('  ').trimEnd()}\n`).join('')
}
