import { connect } from 'node:net'
import type { Random } from './random.ts'

/** A stranger waits so long for an answer that may never come. */
const patienceMs = 40

/** What one connection was answered. */
export interface Answered {
  readonly text: string
}

/**
 * Connects from an address of its own, writes pieces, listens for a moment, and leaves in one of the ways in which one
 * can leave.
 */
export function intrude(port: number, pieces: readonly Uint8Array[], random: Random): Promise<Answered> {
  // Any address of 127.0.0.0/8 is this machine: what one stranger gets wrong must not shut out the next.
  const localAddress = `127.${1 + random.below(250)}.${random.below(250)}.${1 + random.below(250)}`
  const leaves = random.pick(['end', 'reset', 'destroy'])
  const socket = connect({ port, host: '127.0.0.1', localAddress, noDelay: true })
  let text = ''
  return new Promise(resolve => {
    const leave = () => {
      if (leaves === 'end') socket.end(() => socket.destroy())
      else if (leaves === 'reset') socket.resetAndDestroy()
      else socket.destroy()
    }
    const timer = setTimeout(leave, patienceMs)
    socket.on('data', bytes => {
      if (text.length < 100_000) text += bytes.toString('latin1')
    })
    socket.on('error', () => {})
    socket.on('close', () => {
      clearTimeout(timer)
      resolve({ text })
    })
    socket.on('connect', async () => {
      for (const piece of pieces) {
        if (socket.destroyed) return
        socket.write(piece)
        await new Promise(next => setImmediate(next))
      }
      if (leaves === 'end' && random.oneIn(2)) socket.end()
    })
  })
}
