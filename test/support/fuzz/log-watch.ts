import { isUtf8 } from 'node:buffer'
import { onTestFinished } from 'vitest'
import { Subscriber } from 'zeromq'
import { decodeBatch, type Message, parseTopic, parseType } from '#protocol'
import type { Target } from './target.ts'

/** Reads the whole log as functions do, and notes what must not be in it. */
export class LogWatch {
  readonly wrong: string[] = []
  messages = 0
  readonly #mayBe: (topic: string) => boolean

  private constructor(mayBe: (topic: string) => boolean) {
    this.#mayBe = mayBe
  }

  /** @param mayBe whether something may be published on this topic. */
  static async of(target: Target, mayBe: (topic: string) => boolean): Promise<LogWatch> {
    const watch = new LogWatch(mayBe)
    const socket = new Subscriber({ linger: 0, ...target.curveOptions })
    onTestFinished(() => socket.close())
    socket.subscribe()
    const connected = new Promise(resolve => socket.events.on('handshake', resolve))
    socket.connect(target.broker.stream)
    await connected
    void watch.#read(socket)
    return watch
  }

  async #read(socket: Subscriber): Promise<void> {
    for await (const [frame, ...more] of socket) {
      const batch = frame && decodeBatch(frame)
      if (!batch || more.length > 0) this.wrong.push('what is no batch')
      else for (const message of batch.messages) this.#look(message)
    }
  }

  #look({ topic, type, binary, payload }: Message): void {
    this.messages++
    if (topic === '$probe') return
    const bare = topic.replace(/^\$(?:bus|push)\//, '')
    if (!isValid(bare, type))
      this.wrong.push(`the topic ${JSON.stringify(topic)}, the type ${JSON.stringify(type)}`)
    else if (!this.#mayBe(bare)) this.wrong.push(`a message on ${topic}`)
    if (!binary && !isUtf8(payload)) this.wrong.push(`a text on ${topic} that is not UTF-8`)
  }
}

function isValid(topic: string, type: string): boolean {
  try {
    return parseTopic(topic) === topic && !topic.startsWith('$') && parseType(type) === type
  } catch {
    return false
  }
}
