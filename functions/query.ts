import { PosternError } from '#protocol'
import { decodePercent } from './percent.ts'

/** The parameters of a query string, read strictly: what cannot be decoded is refused, never mangled. */
export class Query {
  readonly #pairs: readonly { readonly name: string; readonly value: string }[]

  /** @param search with or without its question mark. */
  constructor(search: string) {
    this.#pairs = search
      .replace(/^\?/, '')
      .split('&')
      .filter(pair => pair !== '')
      .map(pair => {
        const end = pair.indexOf('=')
        return end < 0 ? { name: pair, value: '' } : { name: pair.slice(0, end), value: pair.slice(end + 1) }
      })
  }

  /** Every value of a parameter, in order; undefined stands for one that is not percent-encoded UTF-8. */
  values(name: string): (string | undefined)[] {
    return this.#pairs
      .filter(pair => decodeQueryText(pair.name) === name)
      .map(pair => decodeQueryText(pair.value))
  }

  /** @throws PosternError `INVALID_REQUEST` when it is there twice or cannot be decoded. */
  text(name: string): string | undefined {
    const values = this.values(name)
    if (values.length === 0) return undefined
    if (values.length > 1) throw invalid(name, 'must be there only once')
    if (values[0] === undefined) throw invalid(name, 'must be percent-encoded UTF-8')
    return values[0]
  }

  /** A switch: `1` is on; `0` or its absence is off. @throws PosternError `INVALID_REQUEST` */
  flag(name: string): boolean {
    const text = this.text(name) ?? '0'
    if (text !== '0' && text !== '1') throw invalid(name, 'must be 0 or 1')
    return text === '1'
  }

  /** @throws PosternError `INVALID_REQUEST` when it is no whole number. */
  count(name: string): number | undefined {
    const text = this.text(name)
    if (text === undefined) return undefined
    if (!/^[0-9]{1,15}$/.test(text)) throw invalid(name, 'must be a whole number')
    return Number(text)
  }

  /** One of a few words. @throws PosternError `INVALID_REQUEST` */
  choice<Choice extends string>(name: string, choices: readonly Choice[]): Choice | undefined {
    const text = this.text(name)
    if (text === undefined) return undefined
    const chosen = choices.find(choice => choice === text)
    if (chosen === undefined)
      throw invalid(name, `must be ${choices.map(choice => `"${choice}"`).join(' or ')}`)
    return chosen
  }
}

function decodeQueryText(text: string): string | undefined {
  return decodePercent(text.replaceAll('+', ' '))
}

function invalid(name: string, rule: string): PosternError {
  return new PosternError('INVALID_REQUEST', `The parameter "${name}" ${rule}.`)
}
