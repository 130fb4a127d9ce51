import { expect, it, onTestFinished } from 'vitest'
import type { AccessRule } from '../../broker/auth/rules.ts'
import { AccessBuilding } from '../support/access-building.ts'
import { type Building, type Door, doors, type Visitor } from '../support/access-doors.ts'
import { type Actor, isAllowed, mutationsOf, refusalText } from '../support/access-model.ts'
import { durableRule } from '../support/durable-rule.ts'
import { signed, tokenKey } from '../support/token-keys.ts'
import { userLines } from '../support/users.ts'

/* Door × identity × action × rule: every door is tried by everybody on every topic, with a real broker behind it. */

const rules: readonly AccessRule[] = [
  {
    who: ['user:amy'],
    publish: ['news/**', 'sms'],
    subscribe: ['news/**'],
    history: true,
  },
  { who: ['user:bob'], publish: [], subscribe: ['news', 'sms', '$dead/sms'], history: false },
  { who: ['token:editor'], publish: ['*/sport', 'news'], subscribe: ['**'], history: true },
  { who: ['anonymous'], publish: [], subscribe: ['chat'], history: true },
  { who: ['user:*'], publish: ['chat'], subscribe: ['chat/**'], history: false },
  { who: ['*'], publish: [], subscribe: ['news'], history: true },
]

/** For whom each of them could be instead. */
const others = ['user:bob', 'user:amy', 'token:*', 'token:editor', 'anonymous', 'user:amy']

interface Somebody extends Actor, Visitor {}

const basic = (name: string, password: string) => ({
  authorization: `Basic ${Buffer.from(`${name}:${password}`).toString('base64')}`,
})
const user = (name: string): Somebody => ({
  identity: `user:${name}`,
  labels: ['*', 'user:*', `user:${name}`],
  headers: basic(name, 'secret'),
  login: [name, 'secret'],
})

const inAnHour = Math.floor(Date.now() / 1000) + 3600
const editor = await signed({ sub: 'ed', roles: ['editor'], exp: inAnHour })
const scope = { publish: ['news/sport'], subscribe: ['news/**'] }
const scoped = await signed({ sub: 'sid', roles: ['editor'], exp: inAnHour, postern: scope })
const plain = await signed({ sub: 'tom', exp: inAnHour })

const ofEditor = ['*', 'token:*', 'token:editor']
const everybody: readonly Somebody[] = [
  { identity: 'anonymous', labels: ['*', 'anonymous'], headers: {} },
  user('amy'),
  user('bob'),
  { identity: 'token:ed', labels: ofEditor, headers: { authorization: `Bearer ${editor}` } },
  { identity: 'token:ed', labels: ofEditor, headers: { cookie: `postern_token=${editor}` } },
  { identity: 'token:sid', labels: ofEditor, scope, headers: { authorization: `Bearer ${scoped}` } },
  { identity: 'token:tom', labels: ['*', 'token:*'], headers: { authorization: `Bearer ${plain}` } },
]

interface Cell {
  readonly door: Door
  readonly topic: string
  readonly who: Somebody
}

const cells: readonly Cell[] = doors.flatMap(door =>
  door.topics.flatMap(topic =>
    everybody
      .filter(({ login }) => login || !door.name.startsWith('TCP'))
      .map((who): Cell => ({ door, topic, who })),
  ),
)

const nameOf = ({ door, topic, who }: Cell) =>
  `${door.name} ${topic} as ${who.identity}${who.headers['cookie'] ? ' by cookie' : ''}`

/** What the rules say. */
function expected({ door, topic, who }: Cell, access: readonly AccessRule[]): string {
  const refused = door.wishes(topic).find(wish => !isAllowed(who, access, wish))
  if (refused) return refusalText(who, refused)
  return door.extra && !isAllowed(who, access, door.extra(topic)) ? 'allowed without the past' : 'allowed'
}

const expectedTable = (access: readonly AccessRule[]) =>
  Object.fromEntries(cells.map(cell => [nameOf(cell), expected(cell, access)]))

/** What the doors say. So many at a time that a whole table takes a second or two. */
async function tried(all: readonly Cell[], building: Building): Promise<Record<string, string>> {
  const outcomes: Record<string, string> = {}
  const waiting = [...all]
  const work = async () => {
    for (let cell = waiting.shift(); cell; cell = waiting.shift()) {
      const { door, who, topic } = cell
      outcomes[nameOf(cell)] = await door.attempt(who, topic, building)
    }
  }
  await Promise.all(Array.from({ length: 16 }, work))
  return outcomes
}

async function openBuilding(): Promise<AccessBuilding> {
  const building = await AccessBuilding.open({
    access: rules,
    tokens: [tokenKey()],
    users: Object.values(userLines),
    topics: { sms: durableRule },
  })
  onTestFinished(() => building.stop())
  return building
}

it('everybody may do at every door what the rules allow, and is told exactly what they do not', async () => {
  const building = await openBuilding()
  const outcomes = await building.under(rules, doorsOf => tried(cells, doorsOf))
  expect(outcomes).toEqual(expectedTable(rules))
  // Both come often enough to mean something.
  const allowed = Object.values(outcomes).filter(outcome => outcome.startsWith('allowed')).length
  expect(allowed).toBeGreaterThan(100)
  expect(cells.length - allowed).toBeGreaterThan(100)
})

it('a change of one rule changes exactly the cells that it should', { timeout: 300_000 }, async () => {
  const building = await openBuilding()
  const before = expectedTable(rules)
  const flips: Record<string, number> = {}
  for (const { name, rules: mutated } of mutationsOf(rules, others)) {
    const outcomes = await building.under(mutated, doorsOf => tried(cells, doorsOf))
    expect(outcomes, name).toEqual(expectedTable(mutated))
    flips[name] = Object.keys(before).filter(cell => before[cell] !== outcomes[cell]).length
  }
  // A rule whose change nobody notices would prove nothing.
  expect(Object.keys(flips).filter(name => flips[name] === 0)).toEqual([])
})

const forged = await signed(
  { sub: 'ed', roles: ['editor'], exp: inAnHour },
  'another secret of more than 32 bytes',
)
const expired = await signed({ sub: 'ed', roles: ['editor'], exp: inAnHour - 7200 })

/** What nobody is let in with, wherever it comes and whatever is asked for. The names are new ones each time. */
const refused: readonly { readonly told: string; readonly visitor: (i: number) => Visitor }[] = [
  {
    told: 'The name or the password is wrong.',
    visitor: i => ({ headers: basic(`eve${i}`, 'wrong'), login: [`eve${i}`, 'wrong'] }),
  },
  { told: 'The token has expired.', visitor: () => ({ headers: { authorization: `Bearer ${expired}` } }) },
  { told: 'The token has expired.', visitor: () => ({ headers: { cookie: `postern_token=${expired}` } }) },
  {
    told: 'The signature of the token is wrong.',
    visitor: () => ({ headers: { authorization: `bearer ${forged}` } }),
  },
  { told: 'The token is no signed JWT.', visitor: () => ({ headers: { authorization: 'Bearer a.b.c' } }) },
  {
    told: 'The Authorization header is neither "Bearer …" nor "Basic …".',
    visitor: () => ({ headers: { authorization: 'Digest username="amy"' } }),
  },
  {
    told: 'The Authorization header is neither "Bearer …" nor "Basic …".',
    visitor: () => ({
      headers: { authorization: `Basic ${btoa('amy')}`, cookie: `postern_token=${editor}` },
    }),
  },
]

it('nobody is let in anywhere with what is wrong, not even to what anybody may do', async () => {
  const building = await openBuilding()
  const everything = { who: ['*'], publish: ['**'], subscribe: ['**', '$dead/**'], history: true }
  await building.under([everything], async doorsOf => {
    for (const [i, door] of doors.entries()) {
      const [topic = ''] = door.topics
      for (const { told, visitor } of refused) {
        const tried = visitor(i)
        if (door.name.startsWith('TCP') && !tried.login) continue
        const outcome = await door.attempt(tried, topic, doorsOf)
        expect(outcome, `${door.name}: ${told}`).toBe(`401 UNAUTHORIZED ${told}`)
      }
    }
  })
})

it('what is there for everybody asks nobody who it is', async () => {
  const building = await openBuilding()
  const none = { who: ['user:nobody'], publish: [], subscribe: [], history: true }
  await building.under([none], async ({ url }) => {
    for (const path of ['/', '/site/chat.ts', '/health/live', '/health/ready', '/metrics']) {
      for (const authorization of ['', 'Bearer wrong', 'strange']) {
        const headers = authorization === '' ? {} : { authorization }
        expect((await fetch(`${url}${path}`, { headers })).status, path).toBe(200)
      }
    }
  })
})

it('a head tells of nothing that its request would not', async () => {
  const building = await openBuilding()
  await building.under(rules, async ({ url }) => {
    const statuses = async (headers: Record<string, string>) =>
      Promise.all(
        ['/event/sms', '/history/sms', '/receive/sms'].map(
          async path => (await fetch(`${url}${path}`, { method: 'HEAD', headers })).status,
        ),
      )
    expect(await statuses({})).toEqual([401, 401, 401])
    expect(await statuses(basic('amy', 'secret'))).toEqual([403, 403, 403])
    expect(await statuses({ authorization: `Bearer ${editor}` })).toEqual([200, 200, 200])
  })
})
