import { type Figure, type Run, summarise, type Way } from './trial.ts'

export interface Column {
  /** The figure of a run that it shows. */
  readonly key: string
  readonly title: string
  /** Digits after the point. */
  readonly digits: number
  /** Shows the slowest and the fastest run too. */
  readonly hasSpread?: boolean
  /** Shows how this figure compares with that of the row's control, too. */
  readonly hasRatio?: boolean
}

export interface Row {
  readonly name: string
  readonly control?: string
  readonly isOwn: boolean
  readonly runs: number
  readonly figures: Readonly<Record<string, Figure>>
  /** Medians as shares of the control's. */
  readonly ratios: Readonly<Record<string, number>>
  /** Messages lost, doubled, out of order or broken, in all runs. */
  readonly wrong: number
  readonly wrongs: readonly string[]
}

/** A group's results. */
export interface Table {
  readonly group: string
  readonly title: string
  readonly columns: readonly Column[]
  readonly rows: readonly Row[]
  /** Rows that could not be had, runs that would take long, and why. */
  readonly leftOut: readonly string[]
}

export function toRows(columns: readonly Column[], trials: ReadonlyMap<Way, readonly Run[]>): Row[] {
  const rows: Row[] = []
  for (const [{ name, control, isOwn }, runs] of trials) {
    const figures: Record<string, Figure> = {}
    for (const key of new Set(runs.flatMap(run => Object.keys(run.figures)))) {
      const values = runs.flatMap(run => run.figures[key] ?? [])
      if (values.length > 0) figures[key] = summarise(values)
    }
    rows.push({
      name,
      ...(control === undefined ? {} : { control }),
      isOwn,
      runs: runs.length,
      figures,
      ratios: {},
      wrong: runs.reduce((sum, run) => sum + (run.figures['wrong'] ?? 0), 0),
      wrongs: runs.map(run => run.wrongs).filter(Boolean),
    })
  }
  return rows.map(row => ({ ...row, ratios: ratiosOf(row, rows, columns) }))
}

function ratiosOf(
  { control, figures }: Row,
  rows: readonly Row[],
  columns: readonly Column[],
): Row['ratios'] {
  const base = rows.find(({ name }) => name === control)
  const ratios: Record<string, number> = {}
  for (const { key, hasRatio } of columns) {
    const own = figures[key]
    const other = base?.figures[key]
    if (hasRatio && own && other && other.median > 0) ratios[key] = own.median / other.median
  }
  return ratios
}

/** The table as text. */
export function formatTable({ group, title, columns, rows, leftOut }: Table): string {
  const shown = columns.filter(({ key }) => rows.some(({ figures }) => figures[key]))
  const heads = shown.flatMap(({ title: name, hasSpread, hasRatio }) => [
    name,
    ...(hasSpread ? ['(range)'] : []),
    ...(hasRatio ? ['of control'] : []),
  ])
  const lines = rows.map(row => {
    const cells = shown.flatMap(({ key, digits, hasSpread, hasRatio }) => {
      const figure = row.figures[key]
      const ratio = row.ratios[key]
      return [
        figure ? format(figure.median, digits) : '',
        ...(hasSpread
          ? [figure ? `(${format(figure.low, digits)}–${format(figure.high, digits)})` : '']
          : []),
        ...(hasRatio ? [ratio === undefined ? '' : `× ${ratio.toFixed(2)}`] : []),
      ]
    })
    return [row.name, ...cells, row.wrong === 0 ? '0' : `${row.wrong} !`]
  })
  const all = [[title, ...heads, 'wrong'], ...lines]
  const widths = (all[0] ?? []).map((_, i) => Math.max(...all.map(line => line[i]?.length ?? 0)))
  const text = all.map(line =>
    line
      .map((cell, i) => (i === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart((widths[i] ?? 0) + 2)))
      .join(''),
  )
  const wrongs = rows.flatMap(row => row.wrongs.map(what => `  wrong in ${row.name}: ${what}`))
  const missing = leftOut.map(what => `  left out: ${what}`)
  return [`\n${group}`, ...text, ...wrongs, ...missing, ''].join('\n')
}

function format(value: number, digits: number): string {
  return value.toLocaleString('en', { minimumFractionDigits: digits, maximumFractionDigits: digits })
}
