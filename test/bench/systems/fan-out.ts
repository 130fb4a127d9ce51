/** What a connection speaks: Server-Sent Events, WebSocket, or socket.io on it. */
export type Protocol = 'sse' | 'websocket' | 'socketio'

/** A server that takes messages by POST and hands each to every connection, as the load sees it. */
export interface FanOut {
  readonly name: string
  /** `127.0.0.1:41234` */
  readonly address: string
  /** Where POST puts a message, and where it comes out again. */
  readonly publishPath: string
  readonly subscribePath: string
  readonly protocol: Protocol
  /** What tells that a connection gets everything from now on: the head of its answer, the first id, socket.io's word. */
  readonly begin: 'head' | 'id' | 'connect'
  /** The processes that write to the connections. */
  readonly pids: readonly number[]
  /** Those behind them that keep the log. */
  readonly brokerPids: readonly number[]
}
