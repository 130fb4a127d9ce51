import { readFileSync } from 'node:fs'
import { findNodeAtLocation, type ParseError, parse, parseTree, printParseErrorCode } from 'jsonc-parser'

/** A setting is wrong: the message names it, its value and what is allowed, and is all that the operator needs. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError'
  /** All that is wrong, each with its place where it has one: `broker.config.jsonc:12: The setting …`. */
  readonly problems: readonly [string, ...string[]]

  constructor(message: string, problems: readonly [string, ...string[]] = [message]) {
    super(message)
    this.problems = problems
  }
}

/** The file that is read when no other is named. It may be missing. */
export const defaultConfigFile = 'broker.config.jsonc'

/** A config file: JSON with comments, and commas at the end of lists. */
export class ConfigFile {
  readonly path: string
  readonly settings: Readonly<Record<string, unknown>>
  readonly #content: string

  private constructor(path: string, content: string, settings: Record<string, unknown>) {
    this.path = path
    this.settings = settings
    this.#content = content
  }

  /**
   * @param named undefined for the default one.
   * @returns undefined when there is no default one.
   * @throws ConfigError
   */
  static read(named: string | undefined): ConfigFile | undefined {
    const path = named ?? defaultConfigFile
    let content: string
    try {
      content = readFileSync(path, 'utf8').replace(/^\uFEFF/, '')
    } catch (error) {
      if (named === undefined && isMissing(error)) return undefined
      const reason = error instanceof Error ? error.message : String(error)
      throw new ConfigError(`The config file ${path} cannot be read: ${reason}`)
    }
    const errors: ParseError[] = []
    const value: unknown = parse(content, errors, { allowTrailingComma: true })
    const [first] = errors
    if (first) throw new ConfigError(`${path}:${lineAt(content, first.offset)}: ${inWords(first)}.`)
    if (!isObject(value)) throw new ConfigError(`${path} must hold one object.`)
    return new ConfigFile(path, content, value)
  }

  /** Where a setting stands, as `broker.config.jsonc:12`. One that does not: where what it would be in does. */
  placeOf(path: readonly (string | number)[]): string {
    const tree = parseTree(this.#content, [], { allowTrailingComma: true })
    for (let known = [...path]; tree && known.length > 0; known = known.slice(0, -1)) {
      const node = findNodeAtLocation(tree, known)
      // With its name, which may stand on a line above its value.
      const property = node?.parent?.type === 'property' ? node.parent : node
      if (property) return `${this.path}:${lineAt(this.#content, property.offset)}`
    }
    return this.path
  }
}

/** Such as `Comma expected`. */
function inWords({ error }: ParseError): string {
  return printParseErrorCode(error).replaceAll(/(?<=[a-z])[A-Z]/g, letter => ` ${letter.toLowerCase()}`)
}

function lineAt(content: string, offset: number): number {
  return content.slice(0, offset).split('\n').length
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT'
}
