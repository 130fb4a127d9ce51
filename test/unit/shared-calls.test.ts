import { expect, it } from 'vitest'
import { SharedCalls } from '../../broker/client/shared-calls.ts'
import { settled } from '../support/model-log.ts'

function begin(atOnce: number) {
  const calls = new SharedCalls<string>(atOnce)
  const started: { readonly key: string; readonly finish: (answer: string) => void }[] = []
  const run = (key: string) =>
    calls.run(key, () => new Promise<string>(finish => started.push({ key, finish })))
  return { run, started }
}

it('gives those who ask for the same while it is under way the same answer', async () => {
  const { run, started } = begin(2)
  const answers = [run('a'), run('a'), run('a')]
  await settled()
  expect(started.map(({ key }) => key)).toEqual(['a'])
  started[0]?.finish('one')
  expect(await Promise.all(answers)).toEqual(['one', 'one', 'one'])

  const later = run('a')
  await settled()
  started[1]?.finish('two')
  expect(await later).toBe('two')
})

it('makes no more calls at once than it may, and each in its turn', async () => {
  const { run, started } = begin(2)
  const answers = ['a', 'b', 'c', 'd'].map(run)
  await settled()
  expect(started.map(({ key }) => key)).toEqual(['a', 'b'])
  started[1]?.finish('b')
  await settled()
  expect(started.map(({ key }) => key)).toEqual(['a', 'b', 'c'])
  started[0]?.finish('a')
  await settled()
  started[2]?.finish('c')
  started[3]?.finish('d')
  expect(await Promise.all(answers)).toEqual(['a', 'b', 'c', 'd'])
})

it('goes on after a call that has failed', async () => {
  const calls = new SharedCalls<string>(1)
  await expect(calls.run('a', () => Promise.reject(new Error('away')))).rejects.toThrow('away')
  expect(await calls.run('a', () => Promise.resolve('one'))).toBe('one')
})
