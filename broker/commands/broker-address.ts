import { parseBrokerAddress } from '../client/address.ts'
import { type CurveKeys, readCurveKeys } from '../client/curve.ts'
import { loadConfig } from '../config.ts'
import { endpointAddress } from '../listeners/dsn.ts'
import { WrongUse } from './command.ts'

/** What every command takes that talks to a broker. */
export const brokerArgument = {
  broker: {
    type: 'string',
    valueHint: 'tcp://host:port',
    description:
      'Its requests socket. Else POSTERN_BROKER, else as the config file has it. POSTERN_CURVE names the file of keys.',
  },
} as const

const allAddresses: Readonly<Record<string, string>> = {
  '*': '127.0.0.1',
  '0.0.0.0': '127.0.0.1',
  '::': '::1',
}

/**
 * Where the broker is: as given, else as the environment says, else where the config file has it listen.
 *
 * @throws WrongUse, ConfigError
 */
export function findBroker(
  given: string | undefined,
  env: Readonly<Record<string, string | undefined>>,
): string {
  if (given !== undefined) return checked('--broker', given)
  if (env['POSTERN_BROKER']) return checked('POSTERN_BROKER', env['POSTERN_BROKER'])
  const [endpoint] = loadConfig(env).requests.endpoints
  if (!endpoint || endpoint.port === 0)
    throw new WrongUse(
      'The config leaves the port of the requests socket to the system: say it with --broker.',
    )
  return endpointAddress({ ...endpoint, host: allAddresses[endpoint.host] ?? endpoint.host })
}

/**
 * The keys for a broker that asks for some.
 *
 * @throws WrongUse
 */
export function findKeys(env: Readonly<Record<string, string | undefined>>): CurveKeys | undefined {
  const source = env['POSTERN_CURVE']
  if (!source) return undefined
  try {
    return readCurveKeys(source)
  } catch (error) {
    const shown = source.startsWith('{') ? '{…}' : JSON.stringify(source)
    throw new WrongUse(
      `POSTERN_CURVE is ${shown}: ${error instanceof Error ? error.message : String(error)}.`,
    )
  }
}

function checked(name: string, address: string): string {
  try {
    return parseBrokerAddress(address)
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    throw new WrongUse(`${name} is ${JSON.stringify(address)}: ${reason}.`)
  }
}
