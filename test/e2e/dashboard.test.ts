import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import * as v from 'valibot'
import { describe, expect, it } from 'vitest'
import { type Figure, readFigures } from '../support/figures.ts'
import { startBrokerProcess, startFunctionsProcess } from '../support/processes.ts'

const panel = v.object({
  id: v.number(),
  title: v.pipe(v.string(), v.nonEmpty()),
  type: v.picklist(['row', 'stat', 'timeseries']),
  description: v.optional(v.pipe(v.string(), v.nonEmpty())),
  gridPos: v.object({ h: v.number(), w: v.number(), x: v.number(), y: v.number() }),
  targets: v.optional(
    v.array(v.object({ refId: v.string(), expr: v.string(), legendFormat: v.string() })),
    [],
  ),
})

const file = fileURLToPath(new URL('../../infra/grafana.json', import.meta.url))
const { panels } = v.parse(v.object({ panels: v.array(panel) }), JSON.parse(readFileSync(file, 'utf8')))
const queries = panels.flatMap(({ title, targets }) =>
  targets.map(({ expr, legendFormat }) => ({ title, expr, legendFormat })),
)

/** The labels that Prometheus gives to whatever it asks. */
const ownLabels = ['job', 'instance']

/** What a query names: each metric with the labels that it is chosen or summed by. */
function namedIn(expr: string): { readonly metrics: readonly string[]; readonly labels: readonly string[] } {
  const labels = [
    ...[...expr.matchAll(/by \(([^)]*)\)/g)].flatMap(([, list = '']) =>
      list.split(',').map(one => one.trim()),
    ),
    ...[...expr.matchAll(/\{([a-z_]+)=/g)].flatMap(([, name = '']) => name),
  ]
  return {
    metrics: [...expr.matchAll(/\b(?:postern|process|nodejs)_[a-z_]+\b/g)].map(([name]) => name),
    labels,
  }
}

/** The figure that a name in a query belongs to: that of a histogram has three. */
function figureOf(figures: ReadonlyMap<string, Figure>, name: string): Figure | undefined {
  return figures.get(name) ?? figures.get(name.replace(/_(bucket|sum|count)$/, ''))
}

describe('the dashboard', () => {
  it('asks for figures that there are, by labels that they have', async () => {
    const broker = await startBrokerProcess({ POSTERN_METRICS: 'http://127.0.0.1:0' })
    const functions = await startFunctionsProcess(broker.requests)
    const told = await Promise.all(
      [String(broker.program.told['metrics']), `${functions.url}/metrics`].map(async url =>
        (await fetch(url)).text(),
      ),
    )
    const [ofBroker, ofFunctions] = told.map(readFigures)
    const figures = new Map([...(ofBroker ?? []), ...(ofFunctions ?? [])])
    expect(queries.length).toBeGreaterThan(30)
    for (const { title, expr, legendFormat } of queries) {
      const { metrics, labels } = namedIn(expr)
      expect(metrics.length, expr).toBeGreaterThan(0)
      const shown = [...legendFormat.matchAll(/\{\{(\w+)\}\}/g)].map(([, name = '']) => name)
      for (const name of metrics) {
        const figure = figureOf(figures, name)
        expect(figure, `${title}: ${name}`).toBeDefined()
        const has = new Set([
          ...ownLabels,
          ...(figure?.samples ?? []).flatMap(one => Object.keys(one.labels)),
        ])
        for (const label of [...labels, ...shown]) expect(has, `${title}: ${expr}`).toContain(label)
        // What only grows says nothing by itself, and what goes up and down has no rate.
        const isRated = expr.includes(`rate(${name}[`) || expr.includes(`rate(${name}{`)
        expect(isRated, `${title}: ${name}`).toBe(figure?.type !== 'gauge')
      }
    }
  })

  it('chooses by values of labels that there are', async () => {
    const broker = await startBrokerProcess({ POSTERN_METRICS: 'http://127.0.0.1:0' })
    const figures = readFigures(await (await fetch(String(broker.program.told['metrics']))).text())
    for (const { expr } of queries) {
      for (const [, name = '', label = '', value = ''] of expr.matchAll(/(postern_\w+)\{(\w+)="([^"]*)"\}/g))
        expect(
          figures.get(name)?.samples.map(({ labels }) => labels[label]),
          expr,
        ).toContain(value)
    }
  })

  it('has its parentheses and brackets in pairs', () => {
    for (const { expr } of queries) {
      const open: string[] = []
      for (const character of expr.replaceAll(/"[^"]*"/g, '')) {
        if ('([{'.includes(character)) open.push(character)
        if (')]}'.includes(character)) expect(`${open.pop()}${character}`, expr).toMatch(/^(\(\)|\[\]|\{\})$/)
      }
      expect(open, expr).toEqual([])
    }
  })

  it('has panels that do not overlap, each with its own number, and a line on what it shows', () => {
    const ids = panels.map(({ id }) => id)
    expect(new Set(ids).size).toBe(ids.length)
    const taken = new Set<string>()
    for (const { title, type, description, gridPos } of panels) {
      if (type !== 'row') expect(description, title).toBeDefined()
      for (let x = gridPos.x; x < gridPos.x + gridPos.w; x++) {
        expect(x, title).toBeLessThan(24)
        for (let y = gridPos.y; y < gridPos.y + gridPos.h; y++) {
          expect(taken, title).not.toContain(`${x} ${y}`)
          taken.add(`${x} ${y}`)
        }
      }
    }
  })
})
