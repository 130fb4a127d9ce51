/** Where a broker's requests socket listens by default. */
export const defaultBroker = 'tcp://127.0.0.1:5001'

const pattern = /^tcp:\/\/((?:\[[0-9a-fA-F:.]+\])|[^\s:/[\]]+):(\d{1,5})$/

/**
 * Checks the address of a broker: `tcp://host:port`.
 *
 * @throws Error that says what is allowed.
 */
export function parseBrokerAddress(text: string): string {
  const [, host, port] = pattern.exec(text) ?? []
  if (!host || !(Number(port) > 0 && Number(port) <= 65_535)) throw new Error('allowed is tcp://host:port')
  return text
}

/**
 * An address that the broker has told, as it is reached from here: a broker that listens everywhere, or behind a
 * tunnel, is where its requests socket was found.
 */
export function seenFrom(broker: string, told: string): string {
  const host = pattern.exec(broker)?.[1]
  const port = told.slice(told.lastIndexOf(':') + 1)
  return host ? `tcp://${host}:${port}` : told
}
