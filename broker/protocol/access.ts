/** How a client shows who it is. */
export type Credential =
  | { readonly kind: 'none' }
  | { readonly kind: 'password'; readonly name: string; readonly password: string }
  | { readonly kind: 'token'; readonly token: string }

/** The identity of whoever shows no credential. */
export const anonymous = 'anonymous'

/** Topics that may be published on, and subscribed to, by patterns. */
export interface TopicScope {
  readonly publish: readonly string[]
  readonly subscribe: readonly string[]
}

/** What one rule allows to those for whom it is. */
export interface Grant extends TopicScope {
  /** Whether what may be subscribed to may be read from the past too. */
  readonly history: boolean
}

/** What a client may do, until it changes or expires. Functions decide by it, and so never see a rule of others. */
export interface Rights {
  /** `anonymous`, `user:<name>` or `token:…`. Names the client in logs, and owns its idempotency keys. */
  readonly identity: string
  /** There are no rules: everything is allowed. */
  readonly isOpen: boolean
  /** Of the rules, those that are for this client, in their order. */
  readonly grants: readonly Grant[]
  /** What a token says that it is for: nothing beyond it is allowed, whatever the rules say. */
  readonly scope?: TopicScope
  /** Unix time after which there are no rights any more. Without it they do not end by themselves. */
  readonly expiresMs?: number
}

/** A user who has logged in for a while. */
export interface Login {
  /** Stands for the name and the password until the rights expire. */
  readonly token: string
  readonly rights: Rights
}

/** What holds for all clients at one time. */
export interface Access {
  /** There are no rules, and nobody has to be asked for rights. */
  readonly isOpen: boolean
  /** Another one means that rules, users or keys have changed, and that all rights are to be asked for again. */
  readonly version: string
}

/** The rights of everybody where there are no rules. */
export const openRights: Rights = { identity: anonymous, isOpen: true, grants: [] }
