import packageJson from '../../package.json' with { type: 'json' }
import { type Command, programUsage, WrongUse } from './command.ts'

/** Each in a file of its own, of which nothing is read before it is asked for. */
const commands: Readonly<Record<string, () => Promise<{ readonly command: Command }>>> = {
  run: () => import('./run.ts'),
  check: () => import('./check.ts'),
  status: () => import('./status.ts'),
  publish: () => import('./publish.ts'),
  subscribe: () => import('./subscribe.ts'),
  topics: () => import('./topics.ts'),
  history: () => import('./history.ts'),
  token: () => import('./token.ts'),
  passwd: () => import('./passwd.ts'),
  keys: () => import('./keys.ts'),
  bench: () => import('./bench.ts'),
  install: () => import('./install.ts'),
}

const exitCodes = { failed: 1, usedWrongly: 2 } as const

/** Runs a command, and sets the exit code: 1 when it has failed, 2 when it was used wrongly. */
export async function main(words: readonly string[]): Promise<void> {
  // Whoever reads may have enough: `broker subscribe news | head -1`.
  process.stdout.on('error', error => {
    if (!('code' in error) || error.code !== 'EPIPE') throw error
    process.exit()
  })
  try {
    await run(words)
  } catch (error) {
    const isWrongUse = error instanceof WrongUse
    const hint = isWrongUse ? ' Try --help.' : ''
    process.stderr.write(`broker: ${error instanceof Error ? error.message : String(error)}${hint}\n`)
    process.exitCode = isWrongUse ? exitCodes.usedWrongly : exitCodes.failed
  }
}

async function run([name = '', ...words]: readonly string[]): Promise<void> {
  if (isHelp(name)) return void process.stdout.write(await programUsage(await allCommands()))
  if (name === '--version') return void process.stdout.write(`${packageJson.version}\n`)
  const load = Object.hasOwn(commands, name) ? commands[name] : undefined
  if (!load) {
    const known = Object.keys(commands).join(', ')
    throw new WrongUse(`The command ${JSON.stringify(name)} is not known; known are ${known}.`)
  }
  const { command } = await load()
  if (optionsOf(words).some(isHelp)) process.stdout.write(await command.usage())
  else await command.run(words)
}

async function allCommands(): Promise<ReadonlyMap<string, Command>> {
  const loaded = Object.entries(commands).map(async ([name, load]) => [name, (await load()).command] as const)
  return new Map(await Promise.all(loaded))
}

function isHelp(word: string): boolean {
  return word === '--help' || word === '-h'
}

/** What stands behind `--` is no option, whatever it looks like. */
function optionsOf(words: readonly string[]): readonly string[] {
  const end = words.indexOf('--')
  return end < 0 ? words : words.slice(0, end)
}
