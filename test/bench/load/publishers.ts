import { connect, type Socket } from 'node:net'
import { type Command, expand } from './command.ts'
import { clockUs } from './histogram.ts'
import type { Ledger } from './ledger.ts'

/** Connections that publish by POST, each waiting for its answer before it sends the next. */
export class Publishers {
  readonly #ledger: Ledger
  readonly #plan: Command
  readonly #all: Publisher[]
  #sent = 0
  startedUs = 0
  lastAnswerUs = 0

  constructor(ledger: Ledger, plan: Command, onAnswer: () => void) {
    this.#ledger = ledger
    this.#plan = plan
    this.#all = Array.from(
      { length: plan.number('under', 1) },
      () =>
        new Publisher(plan.address, (number, isAccepted) => {
          ledger.answered(number, isAccepted)
          this.lastAnswerUs = clockUs()
          onAnswer()
        }),
    )
  }

  get areDone(): boolean {
    return this.startedUs > 0 && this.#isOver && this.#all.every(({ isBusy }) => !isBusy)
  }

  /** Sends what is due. */
  progress(isDelivered: boolean): void {
    if (!this.#all.every(({ isConnected }) => isConnected)) return
    if (this.startedUs === 0) this.startedUs = clockUs()
    const rate = this.#plan.number('rate', 0)
    const takesTurns = this.#plan.number('turns', 0) > 0
    for (const [index, publisher] of this.#all.entries()) {
      if (publisher.isBusy || publisher.isBroken) continue
      if (this.#isOver || (takesTurns && !(isDelivered && this.#all.every(({ isBusy }) => !isBusy)))) return
      const nowUs = clockUs()
      const dueUs = rate > 0 ? this.startedUs + (this.#sent * 1e6) / rate : nowUs
      if (dueUs > nowUs) return
      this.#publish(publisher, index, Math.round(dueUs))
    }
  }

  stop(): void {
    for (const publisher of this.#all) publisher.stop()
  }

  get #isOver(): boolean {
    const count = this.#plan.number('count', 0)
    const forUs = this.#plan.number('seconds', 0) * 1e6
    if (count > 0 && this.#sent >= count) return true
    return forUs > 0 && this.startedUs > 0 && clockUs() - this.startedUs >= forUs
  }

  #publish(publisher: Publisher, index: number, dueUs: number): void {
    const topic = this.#sent % this.#plan.number('topics', 1)
    const audience = topic % this.#plan.number('classes', 1)
    const { number, payload } = this.#ledger.send(audience, index, this.#plan.number('bytes', 100), dueUs)
    publisher.post(expand(this.#plan.text('path', '/'), { c: audience, t: topic }), number, payload)
    this.#sent++
  }
}

class Publisher {
  readonly #socket: Socket
  readonly #onAnswer: (number: number, isAccepted: boolean) => void
  #number = 0
  #answer = ''
  isConnected = false
  isBusy = false
  isBroken = false

  constructor(
    address: { readonly host: string; readonly port: number },
    onAnswer: (number: number, isAccepted: boolean) => void,
  ) {
    this.#onAnswer = onAnswer
    this.#socket = connect({ ...address, noDelay: true }, () => {
      this.isConnected = true
    })
    this.#socket.setEncoding('latin1')
    this.#socket.on('data', text => this.#read(String(text)))
    this.#socket.on('error', () => {})
    this.#socket.on('close', () => {
      this.isBroken = true
      if (this.isBusy) this.#answered(false)
    })
  }

  post(path: string, number: number, payload: Buffer): void {
    this.#number = number
    this.#answer = ''
    this.isBusy = true
    const head = `POST ${path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\nContent-Length: ${payload.length}\r\n\r\n`
    this.#socket.write(Buffer.concat([Buffer.from(head), payload]))
  }

  stop(): void {
    this.#socket.removeAllListeners('close').resetAndDestroy()
  }

  #read(text: string): void {
    this.#answer += text
    const end = this.#answer.indexOf('\r\n\r\n')
    if (end < 0 || !this.isBusy) return
    const head = this.#answer.slice(0, end)
    const length = /\r\ncontent-length: *(\d+)/i.exec(head)?.[1]
    const isWhole = length
      ? this.#answer.length >= end + 4 + Number(length)
      : !/\r\ntransfer-encoding:/i.test(head) || this.#answer.endsWith('0\r\n\r\n')
    if (isWhole) this.#answered(/^HTTP\/1.1 2/.test(head))
  }

  #answered(isAccepted: boolean): void {
    this.isBusy = false
    this.#onAnswer(this.#number, isAccepted)
  }
}
