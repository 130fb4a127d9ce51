/** One line of standard input: a verb and `name=value` words. */
export class Command {
  readonly verb: string
  readonly #words: ReadonlyMap<string, string>

  constructor(line: string) {
    const [verb = '', ...words] = line.trim().split(' ')
    this.verb = verb
    this.#words = new Map(
      words.map((word): [string, string] => {
        const at = word.indexOf('=')
        return [word.slice(0, at), word.slice(at + 1)]
      }),
    )
  }

  text(name: string, otherwise: string): string {
    return this.#words.get(name) ?? otherwise
  }

  number(name: string, otherwise: number): number {
    return Number(this.#words.get(name) ?? otherwise)
  }

  /** `host:port`. */
  get address(): { readonly host: string; readonly port: number } {
    const [host = '', port = ''] = this.text('address', '').split(':')
    return { host, port: Number(port) }
  }
}

/** The numbers that stand for %c, %t, %i and %j in a path. */
export interface Places {
  readonly c: number
  readonly t?: number
  readonly i?: number
  readonly j?: number
}

export function expand(template: string, places: Places): string {
  return template.replaceAll(/%([ctij])/g, (_, name: keyof Places) => String(places[name] ?? 0))
}
