import { expect, it } from 'vitest'
import { startBrokerProcess, startFunctionsProcess } from '../support/processes.ts'
import { ResidentWatch } from '../support/resident.ts'
import { closing, frame, opcodes, WebsocketWire } from '../support/websocket-wire.ts'

const { text, close } = opcodes

/** What one that was never let go of would hold: its socket, and its subscription to the longest topic. */
const leakBytes = 8 * 1024

/** How many come and go in a round. */
const atOnce = 250

/** How one leaves: as it should, without a word, by a reset, and while it breaks a rule. */
const leave: readonly ((wire: WebsocketWire) => void)[] = [
  wire => wire.send(frame(close, closing(1000))),
  wire => void wire.socket.end(),
  wire => void wire.socket.resetAndDestroy(),
  wire => wire.send(frame(15)),
]

it.each(['sub', 'bus', 'pub'])(
  '/%s leaves nothing behind of those who have left, however they left',
  async route => {
    const broker = await startBrokerProcess()
    const server = await startFunctionsProcess(broker.requests, {
      POSTERN_PING_MS: '600000',
      // What is garbage must not look like what is kept.
      NODE_OPTIONS: '--max-old-space-size=32',
    })
    const stays = await WebsocketWire.open(`${server.url}/sub/stays`)
    const publisher = await WebsocketWire.open(`${server.url}/pub/stays`)
    const before = await server.openFiles()
    let opened = 0
    /** Some come and go, and a message shows that nobody else is hurt. */
    const round = async () => {
      const wires = await Promise.all(
        Array.from({ length: atOnce }, () =>
          WebsocketWire.open(`${server.url}/${route}/${`${++opened}`.padEnd(240, 'x')}`),
        ),
      )
      for (const [i, wire] of wires.entries()) leave[i % leave.length]?.(wire)
      await Promise.all(wires.map(wire => wire.over()))
      const messages = stays.frames.length + 1
      publisher.send(frame(text, 'x'))
      await stays.until(() => stays.frames.length === messages)
      await expect.poll(() => server.openFiles(), { timeout: 20_000 }).toBeLessThan(before + atOnce / 10)
    }
    for (let i = 0; i < 8; i++) await round()
    const warm = opened
    const memory = await ResidentWatch.of(server.program.child.pid)
    for (let i = 0; i < 12; i++) await round()
    expect(await memory.grown()).toBeLessThan(((opened - warm) * leakBytes) / 2)
  },
  120_000,
)
