import { parseArgs as parseStrictly, stripVTControlCharacters, styleText } from 'node:util'
import { type ArgsDef, type CommandDef, type ParsedArgs, parseArgs, renderUsage } from 'citty'
import packageJson from '../../package.json' with { type: 'json' }

/** The command was used wrongly: the message says how. Its exit code is 2. */
export class WrongUse extends Error {
  override readonly name = 'WrongUse'

  constructor(message: string) {
    super(/[.?!]$/.test(message) ? message : `${message}.`)
  }
}

/** A command of the program `broker`. */
export interface Command {
  readonly description: string
  /** What it does and takes, with examples. */
  usage(): Promise<string>
  /**
   * @param words what stands behind its name.
   * @throws WrongUse, or any Error whose message says what has failed.
   */
  run(words: readonly string[]): Promise<void>
}

interface Spec<Args extends ArgsDef> {
  readonly name: string
  readonly description: string
  readonly args: Args
  /** Whether the last of the positional arguments may be followed by more of its kind, which are in `args._`. */
  readonly isVariadic?: boolean
  /** What else the usage says. */
  readonly notes?: string
  /** As somebody would type them. */
  readonly examples: readonly string[]
  run(args: ParsedArgs<Args>): void | Promise<void>
}

export function defineCommand<const Args extends ArgsDef>(spec: Spec<Args>): Command {
  const { name, description, args, notes, examples } = spec
  return {
    description,
    async usage() {
      const definition: CommandDef<Args> = { meta: { name: `broker ${name}`, description }, args }
      const title = heading(examples.length > 1 ? 'EXAMPLES' : 'EXAMPLE')
      const shown = examples.map(example => `  ${example}`).join('\n')
      return paragraphs(await renderUsage(definition), notes, `${title}\n\n${shown}`)
    },
    async run(words) {
      await spec.run(parse(words, spec))
    },
  }
}

/** The usage of the whole program. */
export async function programUsage(commands: ReadonlyMap<string, Command>): Promise<string> {
  const meta = { name: 'broker', version: packageJson.version, description: 'The broker of Postern' }
  const subCommands = Object.fromEntries(
    [...commands].map(([name, { description }]) => [name, { meta: { name, description } }]),
  )
  return paragraphs(await renderUsage({ meta, subCommands }))
}

function parse<Args extends ArgsDef>(
  words: readonly string[],
  { args, isVariadic }: Spec<Args>,
): ParsedArgs<Args> {
  const options = Object.entries(args).filter(([, { type }]) => type !== 'positional')
  const positionals = Object.keys(args).length - options.length
  try {
    // citty itself passes over what it does not know.
    parseStrictly({
      args: [...words],
      allowPositionals: true,
      options: Object.fromEntries(
        options.map(([name, { type }]) => [name, { type: type === 'boolean' ? 'boolean' : 'string' }]),
      ),
    })
    const parsed = parseArgs<Args>([...words], args)
    const extra = isVariadic ? undefined : parsed._[positionals]
    if (extra !== undefined) throw new Error(`There is one argument too many: ${extra}.`)
    return parsed
  } catch (error) {
    throw new WrongUse(stripVTControlCharacters(error instanceof Error ? error.message : String(error)))
  }
}

function paragraphs(...texts: readonly (string | undefined)[]): string {
  const lines = texts.flatMap(text => (text === undefined ? [] : [...text.trim().split('\n'), '']))
  const text = lines
    .map(line => line.trimEnd())
    .join('\n')
    .trimEnd()
  return `${isColourful() ? text : stripVTControlCharacters(text)}\n`
}

function heading(text: string): string {
  return styleText(['underline', 'bold'], text, { validateStream: false })
}

/** Only where somebody looks, and as https://no-color.org has it. */
function isColourful(): boolean {
  return process.stdout.isTTY === true && !process.env['NO_COLOR'] && process.env['TERM'] !== 'dumb'
}
