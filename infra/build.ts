import { execFileSync } from 'node:child_process'
import { chmodSync, copyFileSync, cpSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { basename } from 'node:path'
import { fileURLToPath } from 'node:url'
import { writeBundle } from './bundle.ts'
import { writePages } from './pages.ts'

/*
 * Makes dist: the programs as they ship to a server, where they need Node and no packages, and what other projects
 * import, as JavaScript with its types, since Node strips no types below a node_modules.
 */

/** What is installed on a server beside the programs. */
const serverFiles = [
  'README.md',
  'broker.config.jsonc',
  'default',
  'deploy.sh',
  'grafana.json',
  'init.d',
  'logrotate',
  'proxy',
  'release.sh',
  'server.config.jsonc',
  'supervisor',
  'systemd',
  'uninstall.sh',
]

const root = fileURLToPath(new URL('..', import.meta.url))
const dist = `${root}dist/`

rmSync(dist, { recursive: true, force: true })
execFileSync(`${root}node_modules/.bin/tsc`, ['--project', `${root}infra/tsconfig.client.json`], {
  stdio: 'inherit',
})

// Read only by those who keep messages in MariaDB or MySQL, and by those who take tokens.
const beside = { 'mysql2/promise': './mysql2.js', jose: './jose.js' }
await writeBundle({
  input: `${root}broker/main.ts`,
  file: `${dist}broker/main.js`,
  // A broker that runs does without what its commands need, and one that nobody asks without its figures.
  beside: { ...beside, './commands/index.ts': './commands.js', './metrics/door.ts': './metrics.js' },
})
await writeBundle({
  input: `${root}broker/commands/index.ts`,
  file: `${dist}broker/commands.js`,
  beside,
})
await writeBundle({ input: 'jose', file: `${dist}broker/jose.js` })
await writeBundle({ input: `${root}broker/metrics/door.ts`, file: `${dist}broker/metrics.js` })
await writeBundle({ input: 'mysql2/promise', file: `${dist}broker/mysql2.js` })
for (const worker of ['auth/password-worker', 'kept/sqlite-worker']) {
  await writeBundle({ input: `${root}broker/${worker}.ts`, file: `${dist}broker/${basename(worker)}.js` })
}
await writeBundle({
  input: `${root}functions/main.ts`,
  file: `${dist}functions/main.js`,
  // In files of their own: one is larger than all the rest, and production runs without it; the other is for whoever asks
  // for figures.
  beside: { listhen: './listhen.js', './readings.ts': './readings.js' },
})
await writeBundle({ input: `${root}functions/readings.ts`, file: `${dist}functions/readings.js` })
await writeBundle({ input: 'listhen', file: `${dist}functions/listhen.js` })
// What `npx postern` runs.
await writeBundle({
  input: `${root}infra/start.ts`,
  file: `${dist}start/main.js`,
  banner: '#!/usr/bin/env -S node --disable-warning=ExperimentalWarning',
})
chmodSync(`${dist}start/main.js`, 0o755)

copyFileSync(addonOfThisMachine(), `${dist}zeromq.node`)
writePages(`${root}site`, `${dist}site`)
for (const name of serverFiles) cpSync(`${root}infra/${name}`, `${dist}infra/${name}`, { recursive: true })
// Without it Node would read each program as CommonJS first.
writeFileSync(`${dist}package.json`, `${JSON.stringify({ private: true, type: 'module' })}\n`)

/** The addon that ZeroMQ itself chooses among those it brings. */
function addonOfThisMachine(): string {
  const require = createRequire(import.meta.url)
  require('zeromq')
  const addon = Object.keys(require.cache).find(path => /[\\/]zeromq[\\/].*\.node$/.test(path))
  if (addon === undefined) throw new Error('ZeroMQ has no addon for this machine.')
  return addon
}
