import { anonymous, type Grant, type Rights } from '../protocol/index.ts'
import { type Identity, identityText } from './identity.ts'

/** A rule of the setting `access`. */
export interface AccessRule extends Grant {
  /** For whom it is: any of these. */
  readonly who: readonly string[]
}

const everybody = '*'

/** What may stand in `who`, for the operator. */
export const whoForms = '"anonymous", "user:NAME", "user:*", "token:ROLE", "token:*" or "*"'

/** Whether a text is one of the {@link whoForms}. */
export function isWho(text: string): boolean {
  return text === everybody || text === anonymous || /^(user|token):./su.test(text)
}

/** The rights of a client by the rules. Without any rule, everything. */
export function rightsOf(identity: Identity, rules: readonly AccessRule[]): Rights {
  const { scope, expiresMs } = identity.kind === 'token' ? identity : {}
  return {
    identity: identityText(identity),
    isOpen: rules.length === 0,
    grants: rules
      .filter(({ who }) => who.some(one => isFor(one, identity)))
      .map(({ publish, subscribe, history }) => ({ publish, subscribe, history })),
    ...(scope && { scope }),
    ...(expiresMs !== undefined && { expiresMs }),
  }
}

function isFor(who: string, identity: Identity): boolean {
  if (who === everybody) return true
  switch (identity.kind) {
    case 'anonymous':
      return who === anonymous
    case 'user':
      return who === 'user:*' || who === `user:${identity.name}`
    case 'token':
      return who === 'token:*' || identity.roles.some(role => who === `token:${role}`)
  }
}
