import { readFileSync } from 'node:fs'
import { text } from 'node:stream/consumers'
import { describeBearer, explainWish, type Wish, wishActions } from '../auth/explanation.ts'
import { mintToken } from '../auth/token-mint.ts'
import { Tokens } from '../auth/tokens.ts'
import { type Config, loadConfig } from '../config.ts'
import { parseAccessPattern, parseReceivedTopic, type TopicScope } from '../protocol/index.ts'
import { defineCommand, WrongUse } from './command.ts'
import { accepted, wholeOf } from './words.ts'

const maxLifeS = 315_360_000

export const command = defineCommand({
  name: 'token',
  description: 'Makes a token that lets its bearer in, or explains one',
  args: {
    subject: { type: 'string', valueHint: 'NAME', description: 'Who bears it' },
    roles: { type: 'string', valueHint: 'ROLE,…', description: 'The roles that rules ask for' },
    publish: {
      type: 'string',
      valueHint: 'PATTERN,…',
      description: 'It is for publishing on these topics alone',
    },
    subscribe: {
      type: 'string',
      valueHint: 'PATTERN,…',
      description: 'It is for subscribing to these topics alone',
    },
    seconds: { type: 'string', valueHint: 'N', description: 'How long it holds: 3600' },
    entry: { type: 'string', valueHint: 'N', description: 'Which entry of the setting tokens it is for: 0' },
    private: {
      type: 'string',
      valueHint: 'FILE',
      description: 'The private key of that entry, as PEM or JWK. HS256 needs none.',
    },
    check: {
      type: 'string',
      valueHint: 'FILE',
      description: 'Explains the token in a file, or in - (standard input)',
    },
    topic: {
      type: 'string',
      valueHint: 'TOPIC',
      description: 'With --check: what may be done on this topic',
    },
    action: {
      type: 'string',
      valueHint: 'ACTION',
      description: `With --topic: only one of ${wishActions.join(', ')}`,
    },
    exact: { type: 'boolean', description: 'With --topic: without what is below it' },
  },
  notes: `The settings tell the keys and the rules, as they do the broker; a broker need not run. A new token is all of standard
output. With --check each rule says what it has to do with the token, and the exit code is 1 when the broker would not take it, or
when it may not do what --action says.`,
  examples: [
    'broker token --subject amy --roles editor --seconds 86400',
    'broker token --subject door --publish doors/7',
    'broker token --check token.jwt --topic chat/amy --action publish',
  ],
  async run({ check, topic, action, exact, subject, roles, publish, subscribe, seconds, entry, ...rest }) {
    const config = loadConfig(process.env)
    if (check !== undefined) {
      const wishes = wishesOf(topic, action, exact ?? false)
      return explain(config, await tokenIn(check), wishes, action !== undefined)
    }
    if (topic !== undefined || action !== undefined || exact)
      throw new WrongUse('--topic, --action and --exact go with --check.')
    const scope = publish === undefined && subscribe === undefined ? undefined : scopeOf(publish, subscribe)
    const claims = {
      ...(subject !== undefined && { subject }),
      roles: listOf(roles),
      ...(scope && { scope }),
      expiresInS: wholeOf('--seconds', seconds, 1, maxLifeS) ?? 3600,
    }
    const [key, signs] = keysOf(config, wholeOf('--entry', entry, 0, 1000) ?? 0, rest.private)
    const { token, bearer } = await mintToken(key, signs, claims, Date.now())
    process.stderr.write(
      describeBearer(bearer, Date.now())
        .map(line => `broker: ${line}\n`)
        .join(''),
    )
    process.stdout.write(`${token}\n`)
  },
})

async function explain(
  { tokens, access }: Config,
  token: string,
  wishes: readonly Wish[],
  isAsked: boolean,
): Promise<void> {
  const bearer = await new Tokens(tokens, Date.now).identify(token)
  if (!('kind' in bearer)) throw new Error(`The broker would not take it. ${bearer.full}`)
  const explained = wishes.map(wish => ({ wish, ...explainWish(bearer, access, wish) }))
  const lines = [
    'The broker would take it.',
    ...describeBearer(bearer, Date.now()),
    ...explained.flatMap(({ wish, lines: own }) => [
      '',
      `${wish.action} ${wish.topic}`,
      ...own.map(line => `  ${line}`),
    ]),
  ]
  process.stdout.write(`${lines.join('\n')}\n`)
  if (isAsked && explained.some(({ refused }) => refused)) process.exitCode = 1
}

/** @throws WrongUse */
function wishesOf(word: string | undefined, action: string | undefined, exact: boolean): Wish[] {
  if (word === undefined) {
    if (action !== undefined || exact) throw new WrongUse('--action and --exact go with --topic.')
    return []
  }
  const topic = accepted(() => parseReceivedTopic(word))
  const asked = action === undefined ? wishActions : wishActions.filter(one => one === action)
  if (asked.length === 0)
    throw new WrongUse(`--action is ${JSON.stringify(action)}: allowed is ${wishActions.join(', ')}.`)
  return asked.map(one => ({ action: one, topic, exact }))
}

async function tokenIn(file: string): Promise<string> {
  const content = file === '-' ? await text(process.stdin) : readFileSync(file, 'utf8')
  return content.trim()
}

function keysOf({ tokens }: Config, at: number, file: string | undefined) {
  const key = tokens[at]
  if (!key) throw new Error(`The setting tokens has no entry ${at}: no token would be taken.`)
  if (key.algorithm === 'HS256') return [key, key.key] as const
  if (file === undefined)
    throw new WrongUse(`tokens.${at} has a public key of ${key.algorithm}: --private names the other half.`)
  return [key, readFileSync(file, 'utf8')] as const
}

/** @throws WrongUse */
function scopeOf(publish: string | undefined, subscribe: string | undefined): TopicScope {
  const patterns = (word: string | undefined) =>
    listOf(word).map(one => accepted(() => parseAccessPattern(one)))
  return { publish: patterns(publish), subscribe: patterns(subscribe) }
}

function listOf(word = ''): string[] {
  return word.split(',').filter(part => part !== '')
}
