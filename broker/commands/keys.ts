import { type CurveRole, curveRoles } from '../auth/curve-access.ts'
import {
  addClientKey,
  addServerKey,
  brokerName,
  listKeys,
  removeClient,
  retireKey,
} from '../auth/curve-keys.ts'
import { ConfigFile } from '../config-file.ts'
import { defineCommand, WrongUse } from './command.ts'

/** Where the keys are when nothing says so. */
const defaultFolder = 'keys'

const roleNames = Object.keys(curveRoles).join(', ')

export const command = defineCommand({
  name: 'keys',
  description: 'Makes keys for ZeroMQ: those of the broker, and of each client that it lets in',
  args: {
    name: {
      type: 'positional',
      required: false,
      description: `The client, or ${brokerName} for the broker itself. Without it those who are let in are listed.`,
    },
    for: { type: 'string', valueHint: 'roles', description: `What a new client may: some of ${roleNames}` },
    retire: { type: 'boolean', description: 'Takes the older of two keys away' },
    remove: { type: 'boolean', description: 'Lets the client in no more' },
    folder: {
      type: 'string',
      valueHint: 'path',
      description: `Else POSTERN_CURVE_KEYS, else curveKeys of the config file, else ${defaultFolder}`,
    },
  },
  notes: `The broker asks for keys when curveKeys names the folder. A client that has a key gets a second one, and both let it in
until the older is retired. A running broker learns of its clients by SIGHUP, and of its own keys by a restart.`,
  examples: [
    'broker keys web --for functions',
    'broker keys temma --for publisher,subscriber',
    'broker keys web && systemctl reload broker',
    'broker keys web --retire && systemctl reload broker',
  ],
  run({ name, for: roles, retire, remove, folder: given }) {
    const folder = given ?? folderOf(process.env)
    const lines = change({ folder, name, roles: rolesOf(roles), retire, remove })
    process.stdout.write(lines.map(line => `${line}\n`).join(''))
  },
})

interface Change {
  readonly folder: string
  readonly name: string | undefined
  readonly roles: readonly CurveRole[]
  readonly retire: boolean | undefined
  readonly remove: boolean | undefined
}

function change({ folder, name, roles, retire, remove }: Change): string[] {
  if (name === undefined) {
    if (roles.length > 0 || retire || remove) throw new WrongUse('Whose keys is not said.')
    return listKeys(folder)
  }
  if (Number(roles.length > 0) + Number(retire) + Number(remove) > 1)
    throw new WrongUse('--for, --retire and --remove cannot go together.')
  if (retire) return retireKey(folder, name)
  if (remove) return removeClient(folder, name)
  if (name !== brokerName) return addClientKey(folder, name, roles)
  if (roles.length > 0) throw new WrongUse(`--for is for clients: ${brokerName} is the broker itself.`)
  return addServerKey(folder)
}

function rolesOf(words: string | undefined): CurveRole[] {
  return (words?.split(',') ?? []).map(word => {
    if (isRole(word)) return word
    throw new WrongUse(`--for is ${JSON.stringify(words)}: allowed is a list of ${roleNames}, with commas.`)
  })
}

function isRole(word: string): word is CurveRole {
  return Object.hasOwn(curveRoles, word)
}

/** Not from the settings as a whole: what is being made here is still missing there. */
function folderOf(env: NodeJS.ProcessEnv): string {
  if (env['POSTERN_CURVE_KEYS']) return env['POSTERN_CURVE_KEYS']
  const inFile = ConfigFile.read(env['POSTERN_CONFIG'] || undefined)?.settings['curveKeys']
  return typeof inFile === 'string' && inFile !== '' ? inFile : defaultFolder
}
