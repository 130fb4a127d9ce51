import { readFileSync } from 'node:fs'
import * as v from 'valibot'
import { type AccessRule, isWho, whoForms } from './auth/rules.ts'
import { type TokenKey, tokenAlgorithms, verificationKey } from './auth/token-key.ts'
import { parseAccessPattern } from './protocol/index.ts'
import { type Env, messageOf, patternForm, settings, text, whatIsWrong } from './setting.ts'

const pattern = v.pipe(
  text,
  v.rawCheck(({ dataset, addIssue }) => {
    if (!dataset.typed) return
    const { value } = dataset
    const wrong = whatIsWrong(() => parseAccessPattern(value))
    if (wrong !== undefined) addIssue({ message: `allowed is ${patternForm}: ${wrong}` })
  }),
)

const patterns = v.optional(v.array(pattern, 'allowed is a list of patterns'), [])

const whoAllowed = `allowed is ${whoForms}, or a list of these`

const who = v.pipe(text, v.check(isWho, `allowed is ${whoForms}`))

const ruleSchema = settings({
  /** For whom it is: one, or a list of which one has to fit. */
  who: v.pipe(
    v.union([who, v.pipe(v.array(who), v.nonEmpty(whoAllowed))], whoAllowed),
    v.transform(one => (typeof one === 'string' ? [one] : one)),
  ),
  /** Topics that they may publish on. */
  publish: patterns,
  /** Topics that they may subscribe to, receive and acknowledge. */
  subscribe: patterns,
  /** Whether that includes the past. */
  history: v.optional(v.boolean('allowed is true or false'), true),
})

/** Who may do what. */
export const accessSchema = v.array(ruleSchema, 'allowed is a list of rules') satisfies v.GenericSchema<
  unknown,
  readonly AccessRule[]
>

const variable = /^env:\/\/(\w+)$/

/** The keys that tokens are signed with. No error shows one. */
export const tokensSchema = (env: Env) =>
  v.array(
    v.pipe(
      settings({
        algorithm: v.picklist(tokenAlgorithms, `allowed is ${tokenAlgorithms.join(', ')}`),
        /** A secret or a public key; `env://NAME` stands for what the variable holds. */
        key: v.optional(text),
        /** A file that has it. */
        keyFile: v.optional(text),
        audience: v.optional(text),
        issuer: v.optional(text),
        /** The claim that has the roles. */
        rolesClaim: v.optional(text, 'roles'),
      }),
      v.rawTransform(({ dataset: { value }, addIssue, NEVER }): TokenKey => {
        const { algorithm, audience = '', issuer = '', rolesClaim } = value
        try {
          const token = { algorithm, key: keyTextOf(value, env), audience, issuer, rolesClaim }
          verificationKey(token)
          return token
        } catch (error) {
          addIssue({ message: messageOf(error) })
          return NEVER
        }
      }),
    ),
    'allowed is a list of keys',
  )

function keyTextOf({ key, keyFile }: { key?: string | undefined; keyFile?: string | undefined }, env: Env) {
  if ((key === undefined) === (keyFile === undefined)) throw new Error('allowed is either a key or a keyFile')
  if (keyFile !== undefined) return readKeyFile(keyFile)
  const name = variable.exec(key ?? '')?.[1]
  const found = name === undefined ? key : env[name]
  if (found === undefined) throw new Error(`the key is env://${name}, which is not set`)
  return found
}

function readKeyFile(path: string): string {
  try {
    // An editor ends a file with a line end, which is no part of a secret.
    return readFileSync(path, 'utf8').replace(/\r?\n$/, '')
  } catch (error) {
    throw new Error(`the keyFile ${path} cannot be read: ${messageOf(error)}`)
  }
}

const openFields = /^(algorithm|audience|issuer|rolesClaim|keyFile)$/

/** The value of a setting in an error: what may be a key is left out. */
export function shownValue(setting: string, value: unknown): string {
  const [name, , field = ''] = setting.split('.')
  return name === 'tokens' && !openFields.test(field) ? '(not shown)' : JSON.stringify(value)
}
