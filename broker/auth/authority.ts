import { type Access, type Credential, type Login, openRights, type Rights } from '../protocol/index.ts'

/** Says what clients may do. */
export interface Authority {
  /** Whether there are rules, and which version of them holds. */
  readonly access: Access
  /**
   * @param address where the client comes from: too many failures from there are no longer looked at.
   * @throws PosternError `UNAUTHORIZED`, saying what is wrong; `LOGIN_UNAVAILABLE` when it cannot be looked at now.
   */
  authorize(credential: Credential, address: string): Promise<Rights>
  /** As `authorize`, with a token that stands for the name and the password; without one where there are no rules. */
  login(
    credential: Credential & { readonly kind: 'password' },
    address: string,
  ): Promise<Omit<Login, 'token'> & Partial<Login>>
}

/** Where there are no rules, everybody may do everything. */
export const openAuthority: Authority = {
  access: { isOpen: true, version: 'open' },
  authorize: () => Promise.resolve(openRights),
  login: () => Promise.resolve({ rights: openRights }),
}
