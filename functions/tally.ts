import { Refusals } from '#protocol'

/** The ways in and out of a functions process: the routes. */
export const doors = [
  'message',
  'event',
  'history',
  'receive',
  'sub',
  'pub',
  'bus',
  'push',
  'pull',
  'echo',
] as const
export type Door = (typeof doors)[number]

/** The settings that bound what a client may have. */
const limits = [
  'maxPayloadBytes',
  'POSTERN_BODY_MS',
  'POSTERN_HEAD_MS',
  'POSTERN_MAX_ADDRESS_CONNECTIONS',
  'POSTERN_MAX_CONNECTIONS',
  'POSTERN_MAX_HEAD_BYTES',
  'POSTERN_MAX_IDENTITY_CONNECTIONS',
  'POSTERN_MAX_LEASES',
  'POSTERN_MAX_TOPICS',
  'POSTERN_MAX_URL_BYTES',
  'POSTERN_PUBLISHED_BYTES_PER_S',
  'POSTERN_PUBLISHES_PER_S',
]

/** What went through one door. */
export class DoorTally {
  /** Connections that are open: event streams, WebSockets, and requests that wait for messages. */
  open = 0
  opened = 0
  receivedMessages = 0
  /** Of payloads. */
  receivedBytes = 0
  /** Once for each connection that they went to. */
  sentMessages = 0
  /** As they were written, with what is around the payloads. */
  sentBytes = 0

  enter(): void {
    this.open++
    this.opened++
  }

  leave(): void {
    this.open--
  }

  receive(bytes: number): void {
    this.receivedMessages++
    this.receivedBytes += bytes
  }

  send(messages: number, bytes: number): void {
    this.sentMessages += messages
    this.sentBytes += bytes
  }
}

/**
 * What this process has done since it began. Plain numbers: a message goes to thousands of connections, and counting it
 * must cost next to nothing.
 */
export class Tally {
  readonly refused = new Refusals(limits)
  /** Subscribers that were let go because they did not read. */
  slow = 0
  /** Subscribers that were told, or closed because they could not be told, that messages are missing for them. */
  gaps = 0
  /** Times that something was missing on the broker's stream and was fetched again, and how many messages that was. */
  repairs = 0
  repairedMessages = 0
  /** How many messages of the log had not come here when the broker last told where it stands. */
  lagMessages = 0
  readonly #doors = new Map(doors.map(door => [door, new DoorTally()] as const))

  door(name: Door): DoorTally {
    const door = this.#doors.get(name)
    if (!door) throw new Error(`there is no door ${name}`)
    return door
  }
}
