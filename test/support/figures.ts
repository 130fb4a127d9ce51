/** A figure as it stands in Prometheus' text format. */
export interface Figure {
  readonly type: string
  readonly help: string
  readonly samples: readonly Sample[]
}

export interface Sample {
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

const sampleLine = /^([a-z_]+)(?:\{([^}]*)\})? (\S+)$/
const labelPart = /^([a-z_]+)="([^"]*)"$/

/** Figures by their names. @throws Error for a line that Prometheus would not read as one of them. */
export function readFigures(text: string): Map<string, Figure> {
  const figures = new Map<string, { type: string; help: string; samples: Sample[] }>()
  let name = ''
  for (const line of text.split('\n')) {
    if (line === '') continue
    const [, word, of = '', rest = ''] = /^# (HELP|TYPE) (\S+) (.+)$/.exec(line) ?? []
    if (word === 'HELP') {
      if (figures.has(of)) throw new Error(`${of} is there twice`)
      name = of
      figures.set(name, { type: '', help: rest, samples: [] })
      continue
    }
    const figure = figures.get(name)
    if (word === 'TYPE' && of === name && figure) {
      figure.type = rest
      continue
    }
    const sample = readSample(line)
    if (!sample.name.startsWith(name)) throw new Error(`${line} does not stand below ${name}`)
    figure?.samples.push(sample)
  }
  return figures
}

function readSample(line: string): Sample {
  const [, name, labels, value] = sampleLine.exec(line) ?? []
  if (name === undefined || !Number.isFinite(Number(value))) throw new Error(`${line} is no sample`)
  const parts = labels ? labels.split(',') : []
  return {
    name,
    value: Number(value),
    labels: Object.fromEntries(
      parts.map(part => {
        const [, label, text] = labelPart.exec(part) ?? []
        if (label === undefined || text === undefined) throw new Error(`${line} has a label that is none`)
        return [label, text]
      }),
    ),
  }
}

/** The value of a sample that is named as Prometheus names it: `name`, or `name{label="value"}`. */
export function sampleOf(figures: ReadonlyMap<string, Figure>, name: string): number | undefined {
  const wanted = readSample(`${name} 0`)
  return figures
    .get(wanted.name)
    ?.samples.find(({ labels }) =>
      Object.entries(wanted.labels).every(([label, text]) => labels[label] === text),
    )?.value
}
