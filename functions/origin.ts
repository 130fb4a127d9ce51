/** Which pages may use the sockets. */
export interface OriginRule {
  /**
   * Hosts as `example.com`, of any port, or `example.com:8080`; `*.example.com` is every host below it. An Origin must
   * be there and be one of them. None: an Origin that is there must be the host that is asked.
   */
  readonly allowOrigins: readonly string[]
  /** Any Origin will do. */
  readonly allowsAny: boolean
}

/**
 * Whether a request may come from where it says. A browser names the page that it comes from, and lets that page use
 * a WebSocket of any host: only the host can refuse.
 *
 * @param origin the Origin header, or null.
 * @param host the Host header, or null.
 */
export function allowsOrigin(
  { allowOrigins, allowsAny }: OriginRule,
  origin: string | null,
  host: string | null,
): boolean {
  if (allowsAny) return true
  if (origin === null) return allowOrigins.length === 0
  const page = pageOf(origin)
  if (!page) return false
  if (allowOrigins.length > 0) return allowOrigins.some(allowed => isAllowed(page, allowed))
  // A port that is the default of the page's scheme may be said or not.
  return host !== null && page.host === pageOf(`${page.protocol}//${host}`)?.host
}

/** Whether a text can stand in a list of allowed hosts. */
export function isOriginPattern(text: string): boolean {
  return /^(\*\.)?[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:[0-9]{1,5})?$|^\[[0-9a-f:]+\](:[0-9]{1,5})?$/.test(text)
}

function isAllowed(page: URL, allowed: string): boolean {
  const host = /:[0-9]+$/.test(allowed) ? `${page.hostname}:${portOf(page)}` : page.hostname
  return allowed.startsWith('*.') ? host.endsWith(allowed.slice(1)) : host === allowed
}

function pageOf(origin: string): URL | undefined {
  const url = URL.canParse(origin) ? new URL(origin) : undefined
  return url && url.hostname !== '' ? url : undefined
}

function portOf({ port, protocol }: URL): string {
  return port || (protocol === 'https:' ? '443' : '80')
}
