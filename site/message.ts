/** What a message says, as far as a chat can show it. */
export type Content =
  /** A chat message: `{"from", "text"}`. */
  | { readonly kind: 'said'; readonly from: string; readonly text: string }
  /** Any other text. */
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'binary'; readonly bytes: number }

/** A message of the log. */
export interface ChatMessage {
  /** Opaque: good for telling messages apart, and for resuming. */
  readonly id: string
  readonly topic: string
  /** When the broker accepted it, in Unix milliseconds. */
  readonly timeMs: number
  readonly content: Content
}

/** The newest messages of a room at one moment. */
export interface History {
  /** What a stream since this id brings is exactly what the history does not hold. */
  readonly id: string
  readonly messages: readonly ChatMessage[]
}

/** The payload that says a text. */
export function payloadOf(said: { readonly from: string; readonly text: string }): string {
  return JSON.stringify({ from: said.from, text: said.text })
}

/** Reads what the server says a message is, or gives undefined for what is none. */
export function readMessage(value: unknown): ChatMessage | undefined {
  if (!isObject(value)) return undefined
  const { id, topic, time, data, encoding } = value
  if (typeof id !== 'string' || typeof topic !== 'string') return undefined
  if (typeof time !== 'string' || typeof data !== 'string') return undefined
  const timeMs = Date.parse(time)
  if (Number.isNaN(timeMs)) return undefined
  const content: Content =
    encoding === 'base64' ? { kind: 'binary', bytes: base64Bytes(data) } : readContent(data)
  return { id, topic, timeMs, content }
}

/** Reads the answer of the history route, or gives undefined for what is none. */
export function readHistory(value: unknown): History | undefined {
  if (!isObject(value) || typeof value['id'] !== 'string' || !Array.isArray(value['messages']))
    return undefined
  return {
    id: value['id'],
    messages: value['messages'].map(readMessage).filter(message => message !== undefined),
  }
}

/** Reads a text as JSON, or gives undefined for what is none. */
export function readJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function readContent(payload: string): Content {
  const value = readJson(payload)
  if (isObject(value) && typeof value['from'] === 'string' && typeof value['text'] === 'string')
    return { kind: 'said', from: value['from'], text: value['text'] }
  return { kind: 'text', text: payload }
}

function base64Bytes(text: string): number {
  const padding = text.endsWith('==') ? 2 : text.endsWith('=') ? 1 : 0
  return (text.length / 4) * 3 - padding
}
