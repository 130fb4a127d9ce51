import {
  type Batch,
  type BrokerStatus,
  decodeBatch,
  formatId,
  type Message,
  type Position,
  PosternError,
  parseId,
  type ReplayRequest,
  type Selection,
  type TopicSummary,
} from '../protocol/index.ts'
import type { Snapshot, Start } from './backbone.ts'
import type { LogPage } from './chain.ts'
import type { Link } from './link.ts'
import { SharedCalls } from './shared-calls.ts'
import type { PastPage } from './subscriptions.ts'

/** An answer is read from memory: one that takes longer will not come. */
const answerTimeoutMs = 5000

/** Replays that are asked for at once: more would only wait in the broker, before the publishers of others. */
const maxReplays = 16

/** What can be asked of a broker: its past, its topics, its figures. */
export class Inquiries {
  readonly #link: Pick<Link, 'ready' | 'request'>
  readonly #replays = new SharedCalls<PastPage>(maxReplays)

  constructor(link: Pick<Link, 'ready' | 'request'>) {
    this.#link = link
  }

  /** @throws PosternError `BROKER_UNAVAILABLE` */
  async status(): Promise<BrokerStatus> {
    await this.#link.ready()
    const { head } = await this.#link.request({ op: 'status' }, answerTimeoutMs)
    if (head.op !== 'status') throw new PosternError('INTERNAL')
    return head.status
  }

  /**
   * All topics of which there is something, in the order of their names.
   *
   * @throws PosternError `BROKER_UNAVAILABLE`
   */
  async *topics(): AsyncGenerator<TopicSummary> {
    await this.#link.ready()
    for (let after: string | undefined; ; ) {
      const ask = { op: 'topics' as const, ...(after === undefined ? {} : { after }) }
      const { head } = await this.#link.request(ask, answerTimeoutMs)
      if (head.op !== 'topics') throw new PosternError('INTERNAL')
      yield* head.topics
      after = head.topics.at(-1)?.topic
      if (!head.more || after === undefined) return
    }
  }

  /** As `Backbone.history`. */
  async history(selection: Selection, count: number): Promise<Snapshot> {
    await this.#link.ready()
    const messages: Message[] = []
    let page = await this.past(selection, { history: count })
    messages.push(...page.messages)
    while (page.more) {
      page = await this.past(selection, { since: formatId(page.through) })
      messages.push(...page.messages)
    }
    return { position: page.through, messages: messages.slice(Math.max(0, messages.length - count)) }
  }

  /** A page of the past of some topics. Who asks for one that is under way shares it. */
  past({ topics, exact }: Selection, { since, history }: Start): Promise<PastPage> {
    const start = since === undefined ? { last: history ?? 0 } : { since }
    const query = { topics, exact, ...start }
    return this.#replays.run(JSON.stringify(query), async () => {
      const { batches, ...page } = await this.#replay(query)
      return { ...page, messages: batches.flatMap(batch => batch.messages) }
    })
  }

  /** A page of the whole log, as far as the broker's tail reaches. */
  log(since: Position): Promise<LogPage> {
    return this.#replay({ topics: null, exact: false, since: formatId(since) })
  }

  async #replay(
    query: Omit<ReplayRequest, 'op' | 'seq'>,
  ): Promise<Omit<PastPage, 'messages'> & { readonly batches: Batch[] }> {
    const { head, batches } = await this.#link.request({ op: 'replay', ...query }, answerTimeoutMs)
    if (head.op !== 'replay') throw new PosternError('INTERNAL')
    const from = parseId(head.from)
    const through = parseId(head.through)
    if (!from || !through) throw new PosternError('INTERNAL')
    const { gap, more } = head
    return { gap, more, from, through, batches: batches.flatMap(bytes => decodeBatch(bytes) ?? []) }
  }
}
