import { anonymous, type TopicScope } from '../protocol/index.ts'

/** Who a client has been found to be. */
export type Identity =
  | { readonly kind: 'anonymous' }
  | { readonly kind: 'user'; readonly name: string }
  | {
      readonly kind: 'token'
      /** What tells its bearer from others, as the issuer has it. */
      readonly name: string
      readonly roles: readonly string[]
      /** What the token itself says that it is for. */
      readonly scope?: TopicScope
      /** Unix time at which it expires. */
      readonly expiresMs?: number
    }

/** Its one text: `anonymous`, `user:amy`, `token:amy`. */
export function identityText(identity: Identity): string {
  return identity.kind === 'anonymous' ? anonymous : `${identity.kind}:${identity.name}`
}
