import { ChildProgram, type End } from './child-program.ts'

/** The programs use what older ones do not have. */
const leastNode = 24

/** Longer than either program takes to stop in order: what then still runs does not answer any more. */
const stopWithinMs = 10_000

/** Broker and functions, each a process of its own. They start one after the other, and stop the other way round. */
class Postern {
  readonly #running: ChildProgram[] = []
  #stopping: Promise<boolean> | undefined

  /** @returns the address of the functions, or undefined when a stop came first. */
  async start(): Promise<string | undefined> {
    const broker = await this.#run('broker', 'broker/main.ts', {})
    const functions =
      broker &&
      (await this.#run('functions', 'functions/main.ts', { POSTERN_BROKER: reachable(broker['requests']) }))
    return functions && String(functions['url'])
  }

  /** @returns whether everything has stopped in order. May be called twice. */
  stop(): Promise<boolean> {
    this.#stopping ??= this.#stopAll()
    return this.#stopping
  }

  async #run(name: string, file: string, env: Readonly<Record<string, string>>) {
    if (this.#stopping) return undefined
    const program = new ChildProgram(name, file, env)
    this.#running.push(program)
    program.ended.then(end => {
      if (this.#stopping) return
      // A program that could not start has said why.
      if (program.isUp || end.signal) tell(`${name} ended unexpectedly (${describe(end)})`)
      this.stop().then(() => process.exit(1))
    })
    return program.up
  }

  async #stopAll(): Promise<boolean> {
    let inOrder = true
    for (const program of this.#running.toReversed()) {
      if (await program.stop(stopWithinMs)) continue
      tell(`${program.name} did not stop within ${stopWithinMs / 1000} s and was killed`)
      inOrder = false
    }
    return inOrder
  }
}

/** The first address of a socket that may listen on several, or on every address of the machine. */
function reachable(addresses: unknown): string {
  const [first = ''] = String(addresses).split(';')
  return first
    .replace(/^tcp:\/\/(\*|0\.0\.0\.0)(?=:)/, 'tcp://127.0.0.1')
    .replace(/^tcp:\/\/\[::\]/, 'tcp://[::1]')
}

function describe({ code, signal }: End): string {
  return signal ?? `exit code ${code}`
}

function tell(line: string): void {
  process.stderr.write(`postern: ${line}\n`)
}

async function main(): Promise<void> {
  const { node } = process.versions
  if (Number.parseInt(node, 10) < leastNode) {
    tell(`Node ${leastNode} or newer is needed, and this is ${node}. With npm at hand:`)
    tell(`npx --package=node@${leastNode} --package=postern postern`)
    process.exit(1)
  }
  const postern = new Postern()
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, () => postern.stop().then(inOrder => process.exit(inOrder ? 0 : 1)))
  }
  const url = await postern.start()
  if (url === undefined) return
  const isInDevelopment = process.env['POSTERN_MODE'] === 'development'
  process.stdout.write(`
Postern is running. Ctrl-C stops it.

  The chat    ${url}/${isInDevelopment ? `\n  Playground  ${url}/playground` : ''}
  Publish     curl -d '{"from":"curl","text":"Hello"}' ${url}/message
  Subscribe   curl -N ${url}/event

`)
}

await main()
