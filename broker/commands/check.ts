import { accessSync, constants, existsSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { curveSockets } from '../auth/curve-access.ts'
import { readCurveFolder } from '../auth/curve-folder.ts'
import { readUsers } from '../auth/user-list.ts'
import { sumOf, type WorstCase, worstCases } from '../bounds.ts'
import { type Config, loadConfig } from '../config.ts'
import { defaultConfigFile } from '../config-file.ts'
import { openArchive } from '../history/open.ts'
import { makeKeptStore } from '../kept/open.ts'
import { type Dsn, endpointAddress, httpAddress } from '../listeners/dsn.ts'
import { TopicRules } from '../topic-rules.ts'
import { defineCommand } from './command.ts'
import { memoryLimit } from './memory-limit.ts'
import { counted, inBytes, inTime } from './quantity.ts'
import { tableOf } from './table.ts'

export const command = defineCommand({
  name: 'check',
  description: 'Checks the settings, and says what the broker would do with them',
  args: {
    file: {
      type: 'positional',
      required: false,
      description: 'The config file. Else POSTERN_CONFIG, else broker.config.jsonc where there is one.',
    },
  },
  notes: `Writes nothing and connects to nothing: the broker may run meanwhile. The environment counts as it does for the
broker. The exit code is 1 when something is wrong; standard error then has a line for each, with its place in the file.`,
  examples: ['broker check', 'broker check /etc/postern/broker.config.jsonc && systemctl reload broker'],
  async run({ file }) {
    const env = { ...process.env, ...(file !== undefined && { POSTERN_CONFIG: file }) }
    const config = loadConfig(env)
    await assertStores(config)
    assertWritable(config.data)
    const path = env['POSTERN_CONFIG'] || defaultConfigFile
    process.stdout.write(`${inWords(config, existsSync(path) ? path : undefined)}\n${boundsOf(config)}`)
  },
})

/** Neither reads or writes anything before it is used: this is about names, options and missing packages. */
async function assertStores({ history, kept, topics, data }: Config): Promise<void> {
  const archive = await openArchive(history.store, join(data, 'history'))
  await archive?.close()
  if (new TopicRules(topics).hasDurable) await makeKeptStore(kept, data)
}

function assertWritable(data: string): void {
  let folder = resolve(data)
  while (!existsSync(folder)) folder = dirname(folder)
  try {
    accessSync(folder, constants.W_OK | constants.X_OK)
  } catch {
    throw new Error(`The setting data is ${JSON.stringify(data)}: this user may not write to ${folder}.`)
  }
}

function inWords(config: Config, path: string | undefined): string {
  const { history, kept, topics } = config
  const durable = Object.entries(topics).filter(([, rule]) => rule.durable)
  const lines: [string, string][] = [
    ['config', path === undefined ? 'no file: the environment and the defaults' : path],
    ['ingest', `${addressesOf(config.ingest)}: publishers push here`],
    ['plain', `${addressesOf(config.plain)}: payloads of ${config.defaultTopic}`],
    ['requests', `${addressesOf(config.requests)}: functions ask here`],
    ['stream', `${addressesOf(config.stream)}: the whole log, for functions`],
    [
      'tcp',
      config.tcp
        ? `${endpointAddress(config.tcp)}, ${counted(readUsers(config).size, 'user')} ${usersOf(config)}`
        : 'off',
    ],
    ['metrics', config.metrics ? `${httpAddress(config.metrics)}/metrics: Prometheus asks here` : 'off'],
    ...accessOf(config),
    ['plaintext', `may be spoken on ${config.plaintext === 'loopback' ? 'loopback only' : 'any address'}`],
    ['keys', keysOf(config)],
    ['data', resolve(config.data)],
    ['payload', `up to ${inBytes(config.maxPayloadBytes)}`],
    ['tail', `the newest ${inBytes(config.tailBytes)} of the log`],
    [
      'history',
      `${counted(history.messages, 'message')} and ${inBytes(history.bytes)} of each topic, ${inTime(history.ageMs)}, ${inBytes(history.totalBytes)} in all; ${history.store.driver === 'off' ? 'not kept over a restart' : `kept with ${history.store.driver}`}`,
    ],
    ...durable.map(([pattern, rule]): [string, string] => [
      'durable',
      `${pattern}: up to ${counted(rule.maxKept, 'message')} or ${inBytes(rule.maxKeptBytes)}, to ${rule.receivers === 0 ? 'all receivers' : counted(rule.receivers, 'receiver')}${rule.delivery === 'one' ? ', each message to one' : ''}`,
    ]),
    ['kept', durable.length === 0 ? 'no topic is durable' : `with ${kept.connector}, table ${kept.table}`],
  ]
  return lines.map(([name, text]) => `${name.padEnd(11)}${text}\n`).join('')
}

function addressesOf({ mode, type, endpoints }: Dsn): string {
  const verb = mode === 'bind' ? 'listens at' : 'connects to'
  return `${type} ${verb} ${endpoints.map(endpointAddress).join(' and ')}`
}

function keysOf({ curveKeys, curveExempt }: Config): string {
  if (curveKeys === '') return 'nobody is asked for one'
  const { clients } = readCurveFolder(curveKeys)
  const asked = curveSockets.filter(socket => !curveExempt.includes(socket))
  return `asked for at ${asked.join(', ')}; ${counted(clients.length, 'client')} in ${curveKeys}`
}

function accessOf(config: Config): [string, string][] {
  const { access, tokens } = config
  if (access.length === 0) return [['access', 'no rules: everybody may do everything']]
  const algorithms = tokens.map(({ algorithm }) => algorithm).join(', ')
  return [
    ['access', `${counted(access.length, 'rule')}: what none of them allows is refused`],
    ['users', `${counted(readUsers(config).size, 'user')} ${usersOf(config)}`],
    ['tokens', tokens.length === 0 ? 'are not taken' : `of ${counted(tokens.length, 'key')}: ${algorithms}`],
  ]
}

function usersOf({ usersFile, users }: Config): string {
  const places = [
    ...(usersFile === '' ? [] : [`in ${usersFile}`]),
    ...(users.length === 0 ? [] : ['in the config']),
  ]
  return places.length === 0 ? '(nobody can log in)' : places.join(' and ')
}

/** Each bound at its worst, the sums, and whether that fits. */
function boundsOf(config: Config): string {
  const all = worstCases(config)
  const bounded = all.filter(({ per }) => per === undefined)
  const limit = memoryLimit()
  const memory = sumOf(all, 'memory')
  const fits =
    memory <= limit.bytes
      ? 'It fits.'
      : 'It does not fit: all of it at once would end the broker. Lower the largest of these settings.'
  return [
    'At its worst, with all of it full at once:\n',
    tableOf(['in memory', 'bytes', 'setting'], bounded.flatMap(rowIn('memory'))),
    `\n${inBytes(memory)} in memory; ${limit.of} has ${inBytes(limit.bytes)}. ${fits}\n\n`,
    tableOf(['on disk', 'bytes', 'setting'], bounded.flatMap(rowIn('disk'))),
    `\n${inBytes(sumOf(all, 'disk'))} on disk.\n\n`,
    tableOf(
      ['and for each', 'what', 'bytes', 'setting'],
      all.flatMap(({ name, per, bytes, setting }) =>
        per === undefined ? [] : [[per, name, inBytes(bytes), setting]],
      ),
    ),
  ].join('')
}

function rowIn(place: WorstCase['place']) {
  return (one: WorstCase) => (one.place === place ? [[one.name, inBytes(one.bytes), one.setting]] : [])
}
