import { type Access, type AuthorizeReply, type AuthorizeRequest, PosternError } from '../protocol/index.ts'
import type { Link } from './link.ts'
import { SharedCalls } from './shared-calls.ts'

/** A password takes its time to be checked. */
const timeoutMs = 10_000

/**
 * Clients that are asked about at once, of each kind. Thousands of them come with one change of the rules: more at once
 * would shut out what others ask of the broker, and its answers. Those whose passwords are checked wait for each other
 * alone.
 */
const maxAtOnce = 32

type Question = Omit<AuthorizeRequest, 'op' | 'seq'>

/** Asks a broker what clients may do. */
export class Authorizations {
  readonly #link: Pick<Link, 'ready' | 'request'>
  readonly #onAccess: (access: Access) => void
  readonly #calls = {
    none: new SharedCalls<AuthorizeReply>(maxAtOnce),
    password: new SharedCalls<AuthorizeReply>(maxAtOnce),
    token: new SharedCalls<AuthorizeReply>(maxAtOnce),
  }

  /**
   * @param onAccess told, in the order of all that the broker says, under which rules it has answered. Threat: rules that
   * hold for a moment, between two positions, would give rights that nobody ever takes back.
   */
  constructor(link: Pick<Link, 'ready' | 'request'>, onAccess: (access: Access) => void) {
    this.#link = link
    this.#onAccess = onAccess
  }

  /**
   * @param access what was asked under other rules is another question.
   * @throws PosternError as `Backbone.authorize` does.
   */
  async ask(question: Question, access: Access | undefined): Promise<AuthorizeReply> {
    const key = JSON.stringify([access?.version, question])
    try {
      await this.#link.ready()
      return await this.#calls[question.credential.kind].run(key, () => this.#request(question))
    } catch (error) {
      throw error instanceof PosternError && isUnreached(error)
        ? new PosternError(
            'LOGIN_UNAVAILABLE',
            'Who may do what cannot be checked now: the broker does not answer.',
          )
        : error
    }
  }

  #request(question: Question): Promise<AuthorizeReply> {
    return this.#link.request({ op: 'authorize', ...question }, timeoutMs).then(({ head }) => {
      if (head.op !== 'authorize') throw new PosternError('INTERNAL')
      this.#onAccess(head.access)
      return head
    })
  }
}

function isUnreached({ code }: PosternError): boolean {
  return code === 'BROKER_UNAVAILABLE' || code === 'RECEIPT_UNKNOWN'
}
