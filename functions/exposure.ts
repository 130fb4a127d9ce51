import { AddressList, canonicalAddress } from './address-list.ts'
import type { Settings } from './settings.ts'

const loopback = new AddressList('loopback')
const nobody = new AddressList('off')

/** Whether an address is that of this machine alone. */
export function isLoopback(hostname: string): boolean {
  return hostname === 'localhost' || loopback.has(canonicalAddress(hostname) ?? '')
}

/**
 * Why functions must not be reached as they are set while the broker has no rules; undefined where they may. Threat: what
 * was open to one machine becomes open to everybody by a setting that says nothing of it.
 */
export function exposure({
  HOST,
  POSTERN_TRUST_PROXY,
}: Pick<Settings, 'HOST' | 'POSTERN_TRUST_PROXY'>): string | undefined {
  if (!isLoopback(HOST)) return withoutRules(`HOST is "${HOST}", which others can reach`)
  if (`${POSTERN_TRUST_PROXY}` !== `${nobody}`)
    return withoutRules(`POSTERN_TRUST_PROXY is "${POSTERN_TRUST_PROXY}", so that others come by a proxy`)
  return undefined
}

function withoutRules(why: string): string {
  return (
    `${why}, and the broker has no rules of who may do what. ` +
    'Its setting access: [{"who": "user:*", "publish": ["**"], "subscribe": ["**"]}] lets users do everything, ' +
    'and "who": "*" lets everybody.'
  )
}
