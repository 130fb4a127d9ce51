import type { ChatMessage } from './message.ts'
import { isObject } from './message.ts'

/** How the stream of messages is doing. */
export type ConnectionState =
  | { readonly kind: 'connecting' }
  | { readonly kind: 'live' }
  | { readonly kind: 'reconnecting'; readonly atMs: number }
  /** The browser says that it has no network. It is tried all the same: the server may be on this machine. */
  | { readonly kind: 'offline' }

/** What a page tells the hub. */
export type ToHub =
  | { readonly kind: 'join'; readonly topic: string; readonly online: boolean }
  | { readonly kind: 'leave' }
  | { readonly kind: 'reconnect' }
  | { readonly kind: 'network'; readonly online: boolean }
  | { readonly kind: 'pong' }

/** What the hub tells a page. */
export type FromHub =
  | { readonly kind: 'state'; readonly state: ConnectionState }
  | {
      readonly kind: 'history'
      readonly messages: readonly ChatMessage[]
      /** Whether the stream goes on exactly where the history ends; otherwise it may bring older messages first. */
      readonly resumesAfter: boolean
    }
  | { readonly kind: 'message'; readonly message: ChatMessage }
  | { readonly kind: 'gap' }
  /** The server does not serve this topic, or only to those who have logged in. Nothing follows. */
  | { readonly kind: 'refused'; readonly reason: string; readonly asksForLogin: boolean }
  | { readonly kind: 'ping' }
  /** The page was silent for too long and has been let go: it has to join again. */
  | { readonly kind: 'dropped' }

const toHub: ReadonlySet<unknown> = new Set(['join', 'leave', 'reconnect', 'network', 'pong'])
const fromHub: ReadonlySet<unknown> = new Set([
  'state',
  'history',
  'message',
  'gap',
  'refused',
  'ping',
  'dropped',
])

// Both ends are of one version (it stands in the worker's name), so the kind tells all.
export function isToHub(value: unknown): value is ToHub {
  return isObject(value) && toHub.has(value['kind'])
}

export function isFromHub(value: unknown): value is FromHub {
  return isObject(value) && fromHub.has(value['kind'])
}
