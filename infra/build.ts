import { execFileSync } from 'node:child_process'
import { rmSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

/*
 * What other projects import, as JavaScript with its types: Node strips no types below a node_modules. Everything in
 * this project runs from its sources.
 */

const root = fileURLToPath(new URL('..', import.meta.url))

rmSync(`${root}dist`, { recursive: true, force: true })
execFileSync(`${root}node_modules/.bin/tsc`, ['--project', `${root}infra/tsconfig.client.json`], {
  stdio: 'inherit',
})
