/**
 * The load of the benchmark where there is no C compiler: the same commands on standard input, and the same answers,
 * as `main.c`, on bare sockets. It costs several times more, and less of the machine is left for what is measured.
 */
import { createInterface } from 'node:readline'
import { Command } from './command.ts'
import { clockUs } from './histogram.ts'
import { Ledger } from './ledger.ts'
import { Publishers } from './publishers.ts'
import { Subscribers } from './subscribers.ts'

/** When nothing has come for so long, what is missing will not come. In seconds, where a command says nothing else. */
const defaultPatience = 8

/** How often it is looked at whether something is due or done: a message that is due is late by so much. */
const lookMs = 1

const ledger = new Ledger()
let publishers: Publishers | undefined
const subscribers = new Subscribers(
  ledger,
  () => publishers?.progress(isDelivered()),
  reason => {
    print({ error: reason.replaceAll('\r\n', ' ') })
    process.exit(1)
  },
)
let openedUs = 0
let patienceUs = 0

async function run(command: Command): Promise<void> {
  patienceUs = 1e6 * command.number('patience', defaultPatience)
  switch (command.verb) {
    case 'open':
      if (subscribers.begun === 0 && command.number('missed', 0) === 0)
        ledger.reset(command.number('classes', 1))
      ledger.count()
      openedUs = clockUs()
      subscribers.open(command)
      await moving(() => subscribers.areOpen)
      return answer(openedUs)
    case 'settle':
      await moving(isDelivered)
      return answer(openedUs)
    case 'publish':
      return publish(command)
    case 'close':
      subscribers.close()
      return answer(clockUs())
    default:
      print({ error: `an unknown command: ${command.verb}` })
  }
}

async function publish(command: Command): Promise<void> {
  if (subscribers.begun === 0) ledger.reset(command.number('classes', 1))
  ledger.count()
  const started = new Publishers(ledger, command, () => started.progress(isDelivered()))
  publishers = started
  await moving(() => {
    started.progress(isDelivered())
    return started.areDone && isDelivered()
  })
  publishers = undefined
  answer(started.startedUs, started.lastAnswerUs)
  started.stop()
}

function isDelivered(): boolean {
  return ledger.delivered >= ledger.expected
}

/** Resolves when something is done, or nothing has moved for a while. */
async function moving(isDone: () => boolean): Promise<void> {
  let seen = -1
  let movedUs = clockUs()
  while (!isDone()) {
    const now = ledger.delivered + ledger.messages + ledger.refused + subscribers.begun
    if (now !== seen) movedUs = clockUs()
    if (clockUs() - movedUs > patienceUs) return
    seen = now
    await new Promise(resolve => setTimeout(resolve, lookMs))
  }
}

function answer(fromUs: number, lastAnswerUs = fromUs): void {
  const { messages, refused, delivered, expected, repeated, disordered, strange, gaps, latency } = ledger
  print({
    connections: subscribers.begun,
    seconds: (clockUs() - fromUs) / 1e6,
    messages,
    refused,
    deliveries: delivered,
    expected,
    missing: Math.max(0, expected - delivered),
    repeated,
    disordered,
    strange,
    gaps,
    ended: subscribers.ended,
    answeredSeconds: (lastAnswerUs - fromUs) / 1e6,
    p50Us: latency.quantileUs(0.5),
    p99Us: latency.quantileUs(0.99),
    p999Us: latency.quantileUs(0.999),
    maxUs: latency.maxUs,
    lastId: subscribers.lastId,
  })
}

function print(answer: object): void {
  process.stdout.write(`${JSON.stringify(answer)}\n`)
}

// Its harness waits for a word from every program of Node.
process.send?.({})
process.on('disconnect', () => process.exit())
for await (const line of createInterface(process.stdin)) await run(new Command(line))
process.exit()
