/** The types of ZeroMQ socket that a data source name may name. */
export const socketTypes = ['REQ', 'REP', 'PUSH', 'PULL', 'PUB', 'SUB', 'ROUTER', 'DEALER'] as const
export type SocketType = (typeof socketTypes)[number]

/** A ZeroMQ socket as Temma's data sources name it: `zmq-bind://PULL@127.0.0.1:5000`. */
export interface Dsn {
  /** `zmq-bind://` binds, `zmq://` connects. */
  readonly mode: 'bind' | 'connect'
  readonly type: SocketType
  readonly endpoints: readonly Endpoint[]
}

export interface Endpoint {
  /** A name or an address; `*` is every address of the machine. IPv6 without its brackets. */
  readonly host: string
  /** 0 lets the system choose. */
  readonly port: number
}

const pattern = /^(zmq|zmq-bind):\/\/([A-Z]+)@(.+)$/s
const endpointPattern = /^(?:\[([0-9a-fA-F:.]+)\]|([^\s:;@/[\]]+)):(\d{1,5}|\*)$/

/**
 * Reads a data source name. Several endpoints are split by `;`. `env://NAME` stands for the value of an environment
 * variable.
 *
 * @throws Error that says what is wrong, as the end of a sentence about the setting.
 */
export function parseDsn(text: string, env: Readonly<Record<string, string | undefined>>): Dsn {
  if (text.startsWith('env://')) {
    const name = text.slice('env://'.length)
    const value = env[name]
    if (value === undefined) throw new Error(`the environment variable ${name || '(no name)'} is not set`)
    if (value.startsWith('env://')) throw new Error(`the environment variable ${name} names another one`)
    return parseDsn(value, env)
  }
  const [, scheme, typeText, rest] = pattern.exec(text) ?? []
  const type = socketTypes.find(known => known === typeText)
  if (!scheme || !rest || !type) {
    throw new Error(
      `allowed is zmq-bind://TYPE@host:port or zmq://TYPE@host:port, TYPE one of ${socketTypes.join(', ')}`,
    )
  }
  return {
    mode: scheme === 'zmq-bind' ? 'bind' : 'connect',
    type,
    endpoints: rest.split(';').map(parseEndpoint),
  }
}

/**
 * Reads an address of plain TCP: `tcp://127.0.0.1:8887`.
 *
 * @throws Error that says what is wrong, as the end of a sentence about the setting.
 */
export function parseTcpAddress(text: string): Endpoint {
  const scheme = 'tcp://'
  if (!text.startsWith(scheme)) throw new Error('allowed is tcp://host:port, or off')
  return parseEndpoint(text.slice(scheme.length))
}

/**
 * Reads an address of HTTP: `http://127.0.0.1:9464`.
 *
 * @throws Error that says what is wrong, as the end of a sentence about the setting.
 */
export function parseHttpAddress(text: string): Endpoint {
  const [, address] = /^http:\/\/([^/]+)\/?$/.exec(text) ?? []
  if (address === undefined) throw new Error('allowed is http://host:port, or off')
  return parseEndpoint(address)
}

function parseEndpoint(text: string): Endpoint {
  const [, address, name, portText] = endpointPattern.exec(text.trim()) ?? []
  const host = address ?? name
  const port = portText === '*' ? 0 : Number(portText)
  if (!host || !(port <= 65_535)) throw new Error(`"${text.trim()}" is not host:port with a port up to 65535`)
  return { host, port }
}

/** The endpoint in libzmq's form. */
export function endpointAddress(endpoint: Endpoint): string {
  return `tcp://${hostPort(endpoint)}`
}

/** The endpoint as {@link parseHttpAddress} reads it. */
export function httpAddress(endpoint: Endpoint): string {
  return `http://${hostPort(endpoint)}`
}

function hostPort({ host, port }: Endpoint): string {
  return `${host.includes(':') ? `[${host}]` : host}:${port === 0 ? '*' : port}`
}

/** Whether only this machine can reach an endpoint. */
export function isLoopback({ host }: Endpoint): boolean {
  return host === 'localhost' || host === '::1' || /^127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(host)
}
