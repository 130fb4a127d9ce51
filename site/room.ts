const maxTopicBytes = 255

// The server refuses them in a topic; lone surrogates have no UTF-8 form.
const forbidden = /[\p{Cc}\p{Cs}]/u
const utf8 = new TextEncoder()

/** Where a page's messages come from and go to. */
export interface Room {
  /** Empty for the room of the default topic. */
  readonly name: string
  readonly topic: string
}

/** Why a text cannot name a room, as a sentence for whoever typed it. */
export class InvalidRoom extends Error {
  override readonly name = 'InvalidRoom'
}

/**
 * The room of a name: the topic of that name below the default one. An empty name is the default topic alone.
 *
 * @throws InvalidRoom
 */
export function roomNamed(name: string, defaultTopic: string): Room {
  if (name === '') return { name, topic: defaultTopic }
  const canonical = name.endsWith('/') ? name.slice(0, -1) : name
  const topic = `${defaultTopic}/${canonical}`
  if (forbidden.test(canonical)) throw new InvalidRoom('A room name cannot hold control characters.')
  for (const segment of canonical.split('/')) {
    if (segment === '') throw new InvalidRoom('A room name cannot have an empty part between slashes.')
    if (segment === '.' || segment === '..')
      throw new InvalidRoom('A room name cannot have "." or ".." as a part.')
  }
  const spareBytes = maxTopicBytes - utf8.encode(topic).length
  if (spareBytes < 0) throw new InvalidRoom(`This room name is ${-spareBytes} bytes too long.`)
  return { name: canonical, topic }
}

/** The room that an address names with `?room=`. @throws InvalidRoom */
export function roomOfAddress(search: string, defaultTopic: string): Room {
  return roomNamed(new URLSearchParams(search).get('room') ?? '', defaultTopic)
}

/** The address of a room's page. */
export function addressOfRoom(name: string): string {
  return name === '' ? '/' : `/?room=${encodeURIComponent(name)}`
}

/** A topic as the path of a route. */
export function topicPath(topic: string): string {
  return topic.split('/').map(encodeURIComponent).join('/')
}
