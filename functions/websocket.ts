import type { Duplex } from 'node:stream'
import type { Source } from '#limits'
import type { OpenStream, OpenStreams } from './open-streams.ts'
import { sentBytes } from './sent-bytes.ts'
import type { DoorTally } from './tally.ts'
import { closeCodes, encodeClose, encodeFrame, opcodes } from './websocket-frame.ts'
import { FrameFault, FrameReader, type FrameSink } from './websocket-reader.ts'

/** Whoever speaks through a WebSocket. */
export interface SocketOwner {
  /** A whole message of the peer, in order. Left out: what the peer sends is checked, and thrown away. */
  message?(payload: Uint8Array, binary: boolean): void
  /** What was waiting has gone: comes after a `write` that gave false. */
  drained(): void
  /**
   * Nothing can be sent any more: the peer has gone, is closing, or the connection was closed from here. Comes once.
   */
  gone(): void
  /** The peer wants to close. Its close is answered when this resolves, and until then it can be sent to. */
  settled?(): Promise<void> | undefined
}

/** Makes the owner of a connection that has just opened, which counts for somebody. */
export type SocketConnect = (connection: WebSocketConnection, source: Source) => SocketOwner

/** The same for all connections of a route, and shared by them. */
export interface WebSocketOptions {
  /** Pings it, and closes it when this process stops. */
  readonly sockets: OpenStreams
  /** After so many turns of `sockets` without a message in either direction the next ping closes it; 0: never. */
  readonly idleTurns: number
  readonly door: DoorTally
  /** The longest message that it takes; one byte more closes it. Asked at each frame. */
  readonly maxMessageBytes: () => number
}

/** How long a peer may take to read what is left, and to close. */
const closeMs = 1000

const ping = encodeFrame(opcodes.ping, new Uint8Array())

/** How many beats may go by without a sign of life of a peer that had nothing to do but to answer a ping. */
const maxQuietBeats = 1

/**
 * The same for one to which more is on its way than `crowdBytes`: its ping waits behind all that, and the system itself
 * tells of progress only when a third of its own buffer is free again.
 */
const maxCrowdedBeats = 4
const crowdBytes = 32 * 1024

/**
 * The server's end of a WebSocket (RFC 6455) on a bare socket, after the handshake.
 *
 * Of what carried the handshake nothing is kept, and of an idle connection little more than the socket itself:
 * measured at 10,000 subscribers each holds under 8 KB, as an event stream does, against 12 with the peer of crossws
 * before anything is subscribed.
 */
export class WebSocketConnection implements OpenStream, FrameSink {
  readonly #socket: ConnectedSocket
  readonly #options: WebSocketOptions
  readonly #reader: FrameReader
  /** Undefined when it is told that it is gone. */
  #owner: SocketOwner | undefined
  #state: 'open' | 'closing' | 'ended' = 'open'
  /** The peer has closed, and waits for the answer. */
  #isSettling = false
  #isPaused = false
  /** Beats since the last sign of life, and what had been sent by then. */
  #missedBeats = 0
  #sentByThen = 0
  /** The turn in which the last message came or went. */
  #quietSince: number
  /** The newest ping that could not be answered yet. One is enough (RFC 6455, section 5.5.3). */
  #unanswered: Uint8Array | undefined
  #closeTimer: NodeJS.Timeout | undefined

  /**
   * @param head what the peer has sent already.
   * @param source whom what it does is counted for.
   */
  constructor(
    socket: Duplex,
    head: Uint8Array,
    connect: SocketConnect,
    source: Source,
    options: WebSocketOptions,
  ) {
    this.#socket = socket
    this.#options = options
    this.#quietSince = options.sockets.turn
    options.door.enter()
    this.#owner = connect(this, source)
    this.#reader = new FrameReader(this, options.maxMessageBytes, this.#owner.message !== undefined)
    this.#socket[connectionOf] = this
    socket.on('data', onData).on('drain', onDrain).on('end', onEnd).on('close', onClose)
    if (this.#state === 'open') options.sockets.add(this)
    else this.#letGo()
    if (socket.destroyed) this.onLost()
    else if (head.length > 0) this.onData(head)
  }

  /**
   * Sends frames as they are.
   *
   * @param flushed called when they have left this process; never, when the connection is lost before.
   * @returns false when more is waiting than should: the owner's `drained` tells when it has gone.
   */
  write(frames: Uint8Array, flushed?: () => void): boolean {
    if (this.#state !== 'open') return true
    this.#quietSince = this.#options.sockets.turn
    if (!flushed) return this.#socket.write(frames)
    return this.#socket.write(frames, error => {
      if (!error) flushed()
    })
  }

  /** Sends frames in which there are so many messages. @returns as `write`. */
  deliver(messages: number, frames: Uint8Array, flushed?: () => void): boolean {
    if (this.#state === 'open') this.#options.door.send(messages, frames.length)
    return this.write(frames, flushed)
  }

  /** Sends one message. @returns as `write`. */
  send(payload: Uint8Array, binary: boolean): boolean {
    return this.deliver(1, encodeFrame(binary ? opcodes.binary : opcodes.text, payload))
  }

  /** Hands over nothing more. The peer's own buffers then fill. */
  pause(): void {
    this.#isPaused = true
    this.#reader.pause()
    this.#socket.pause()
  }

  resume(): void {
    if (!this.#isPaused) return
    this.#isPaused = false
    this.#read(() => this.#reader.resume())
    // What was there already may have been too much once more.
    if (this.#isPaused) return
    this.#missedBeats = 0
    this.#socket.resume()
    if (this.#socket.readableEnded) this.onEnd()
  }

  /** Says why, and ends. A peer that does not answer within a second is cut off. */
  close(code: number, reason: string): void {
    if (this.#state !== 'open') return
    this.#socket.write(encodeClose(code, reason))
    this.#beginClosing()
  }

  shutDown(): void {
    this.close(closeCodes.goingAway, 'going away')
  }

  beat(): void {
    if (!this.#isAlive()) {
      this.#socket.destroy()
      return
    }
    this.#missedBeats++
    // Whoever has not read so far must not be sent more. That it reads is seen without a ping.
    if (this.#socket.writableNeedDrain) return
    const { idleTurns, sockets } = this.#options
    if (idleTurns > 0 && sockets.turn - this.#quietSince >= idleTurns) this.close(closeCodes.normal, 'idle')
    else if (this.#state === 'open') this.#socket.write(ping)
  }

  onMessage(payload: Uint8Array, binary: boolean): void {
    this.#quietSince = this.#options.sockets.turn
    this.#options.door.receive(payload.length)
    this.#owner?.message?.(payload, binary)
  }

  onPing(payload: Uint8Array): void {
    if (this.#state !== 'open') return
    // Threat: pings without end of a peer that reads no pongs.
    if (this.#socket.writableNeedDrain) this.#unanswered = new Uint8Array(payload)
    else this.#answer(payload)
  }

  onClose(code: number | undefined): void {
    if (this.#state !== 'open') {
      this.#end()
      return
    }
    const settled = this.#owner?.settled?.()
    this.#isSettling = settled !== undefined
    if (settled) settled.then(() => this.#answerClose(code))
    else this.#answerClose(code)
  }

  /** Bytes of the peer. */
  onData(bytes: Uint8Array): void {
    this.#missedBeats = 0
    this.#sentByThen = sentBytes(this.#socket)
    this.#read(() => this.#reader.push(bytes))
  }

  /** The peer has taken what was waiting. */
  onDrained(): void {
    this.#missedBeats = 0
    // What the system has taken of it may still be on its way.
    this.#sentByThen = 0
    const ping = this.#unanswered
    this.#unanswered = undefined
    if (ping && this.#state === 'open') this.#answer(ping)
    this.#owner?.drained()
  }

  /** The peer says that it sends nothing any more. Without a close that counts as one, after all it has sent. */
  onEnd(): void {
    // What the reader still holds comes first: `resume` looks whether this was the end.
    if (!this.#isPaused && !this.#isSettling) this.onClose(undefined)
  }

  /** The socket is closed. */
  onLost(): void {
    clearTimeout(this.#closeTimer)
    this.#state = 'ended'
    this.#letGo()
  }

  #isAlive(): boolean {
    const isFull = this.#socket.writableNeedDrain
    const sent = sentBytes(this.#socket)
    const isCrowded = isFull || sent - this.#sentByThen > crowdBytes
    if (isFull && sent > this.#sentByThen) {
      this.#missedBeats = 0
      this.#sentByThen = sent
    }
    // Whoever is not read from cannot show anything.
    if (this.#isPaused && !isFull) this.#missedBeats = 0
    return this.#missedBeats < (isCrowded ? maxCrowdedBeats : maxQuietBeats)
  }

  #read(read: () => void): void {
    if (this.#state === 'ended') return
    this.#socket.cork()
    try {
      read()
    } catch (error) {
      const isFault = error instanceof FrameFault
      this.#fail(isFault ? error.closeCode : closeCodes.internal, isFault ? error.message : '')
    } finally {
      this.#socket.uncork()
    }
  }

  #answer(ping: Uint8Array): void {
    this.#socket.write(encodeFrame(opcodes.pong, ping))
  }

  #answerClose(code: number | undefined): void {
    if (this.#state !== 'open') {
      this.#end()
      return
    }
    this.#socket.write(encodeClose(code, ''))
    this.#beginClosing()
    this.#end()
  }

  #fail(code: number, reason: string): void {
    this.close(code, reason)
    this.#end()
  }

  #beginClosing(): void {
    this.#state = 'closing'
    this.#closeTimer = setTimeout(() => this.#socket.destroy(), closeMs)
    this.#letGo()
    // Whoever is still paused would never hear the peer's answer.
    this.resume()
  }

  /** Everything is said. What the peer still sends is read and thrown away: a reset would take our last words. */
  #end(): void {
    if (this.#state === 'ended') return
    this.#state = 'ended'
    this.#socket.end()
  }

  #letGo(): void {
    const owner = this.#owner
    if (owner) this.#options.door.leave()
    this.#owner = undefined
    this.#options.sockets.remove(this)
    owner?.gone()
  }
}

/** On the socket itself, since a closure for each event of each connection would cost more than all else here. */
const connectionOf = Symbol('connection')

type ConnectedSocket = Duplex & { [connectionOf]?: WebSocketConnection }

function onData(this: ConnectedSocket, bytes: Uint8Array): void {
  this[connectionOf]?.onData(bytes)
}

function onDrain(this: ConnectedSocket): void {
  this[connectionOf]?.onDrained()
}

function onEnd(this: ConnectedSocket): void {
  this[connectionOf]?.onEnd()
}

function onClose(this: ConnectedSocket): void {
  this[connectionOf]?.onLost()
}
