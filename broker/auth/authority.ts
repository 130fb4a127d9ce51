import { type Access, type Credential, openRights, type Rights } from '../protocol/index.ts'

/** Says what clients may do. */
export interface Authority {
  /** Whether there are rules, and which version of them holds. */
  readonly access: Access
  /**
   * @param address where the client comes from: too many failures from there are no longer looked at.
   * @throws PosternError `UNAUTHORIZED`, saying what is wrong; `LOGIN_UNAVAILABLE` when it cannot be looked at now.
   */
  authorize(credential: Credential, address: string): Promise<Rights>
}

/** Where there are no rules, everybody may do everything. */
export const openAuthority: Authority = {
  access: { isOpen: true, version: 'open' },
  authorize: () => Promise.resolve(openRights),
}
