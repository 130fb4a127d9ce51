/** A server that takes messages by POST and hands each to every connection, as the load sees it. */
export interface FanOut {
  readonly name: string
  /** `127.0.0.1:41234` */
  readonly address: string
  /** Where POST puts a message, and where it comes out again. */
  readonly publishPath: string
  readonly subscribePath: string
  /**
   * What tells that a connection gets everything from now on: the head of its answer, the first id, or socket.io's own
   * word, which then also is its protocol.
   */
  readonly begin: 'head' | 'id' | 'connect'
  /** The processes that write to the connections. */
  readonly pids: readonly number[]
  /** Those behind them that keep the log. */
  readonly brokerPids: readonly number[]
}
