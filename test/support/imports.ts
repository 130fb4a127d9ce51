import { posix } from 'node:path'

/** One import of a file. */
export interface Import {
  /** As it stands there; of a computed one what comes before its first variable. */
  readonly specifier: string
  /** Whether nothing of it is left when the types are stripped. */
  readonly isTypeOnly: boolean
}

const statement = /^[ \t]*(?:import|export)\b([^'"`;=]*?)\bfrom\s*(['"])([^'"\n]+)\2/gm
const bare = /^[ \t]*import\s*(['"])([^'"\n]+)\1/gm
const call =
  /\b(?:import|require|import\.meta\.resolve)\s*\(\s*(?:(['"])([^'"\n]*)\1|`([^`$]*)|(?=[^'"`\s]))/g

/** Every import of a TypeScript source: static, for types, for effects, dynamic. */
export function importsOf(source: string): Import[] {
  const found: Import[] = []
  for (const [, names = '', , specifier = ''] of source.matchAll(statement)) {
    found.push({ specifier, isTypeOnly: /^\s*type\b/.test(names) })
  }
  for (const [, , specifier = ''] of source.matchAll(bare)) found.push({ specifier, isTypeOnly: false })
  for (const [, , literal, template] of source.matchAll(call)) {
    found.push({ specifier: literal ?? template ?? '', isTypeOnly: false })
  }
  return found
}

interface Rule {
  /** The files that it is about. The first rule that fits counts. */
  readonly files: RegExp
  /** What they may import: paths from the root of the project, `#` names, `node:` modules, packages. */
  readonly may: readonly (RegExp | string)[]
  /** What they may import types from, besides. */
  readonly types?: readonly (RegExp | string)[]
}

const node = /^node:/
const protocol = /^broker\/protocol\//
const core =
  /^broker\/(admission|audience|broker|delivery|fifo|flow|intake|keeper|kept-(ledger|log|room|topic|window)|keys|offset-heap|push-queue|rates|receipts|receivers?|remote-receivers|replay|retained|strand|topic-(list|rules|tree)|traffic|unattended-topics)\.ts$/

/** The directions: whatever is not named here is not allowed. */
const rules: readonly Rule[] = [
  { files: protocol, may: [protocol] },
  // What functions take of it, as `#auth`.
  { files: /^broker\/auth\/(index|rights)\.ts$/, may: [protocol, 'broker/auth/rights.ts'] },
  { files: /^broker\/limits\//, may: [protocol, /^broker\/limits\//] },
  {
    files: core,
    may: [protocol, core],
    types: ['broker/journal/journal.ts', 'broker/kept/store.ts'],
  },
  { files: /^broker\/kept\//, may: [protocol, /^broker\/kept\//, node, 'db0', 'mysql2'] },
  {
    files: /^broker\/kept-messages\.ts$/,
    may: [core, /^broker\/kept\//],
    types: [protocol, 'broker/config.ts', 'broker/logger.ts'],
  },
  {
    files: /^broker\/journal\//,
    may: [protocol, /^broker\/journal\//, node, 'valibot'],
  },
  {
    files: /^broker\/history\//,
    may: [protocol, /^broker\/history\//, node, 'unstorage', 'db0'],
    types: ['broker/retained.ts'],
  },
  {
    files: /^broker\/listeners\//,
    may: [protocol, /^broker\/(limits|listeners)\//, /^broker\/auth\/(refusal|rights)\.ts$/, node, 'zeromq'],
    types: [
      core,
      'broker/logger.ts',
      'broker/receivers.ts',
      'broker/auth/authority.ts',
      'broker/auth/curve-access.ts',
      'broker/auth/htpasswd.ts',
      'broker/auth/users.ts',
    ],
  },
  { files: /^broker\/client\//, may: [protocol, /^broker\/client\//, node, 'zeromq'] },
  {
    files: /^broker\/auth\//,
    may: [protocol, /^broker\/(auth|limits)\//, node, 'apache-md5', 'bcryptjs', 'jose'],
    types: ['broker/logger.ts'],
  },
  {
    files: /^broker\/tcp-door\.ts$/,
    may: [/^broker\/listeners\//],
    types: [
      'broker/auth/ruled-authority.ts',
      'broker/auth/users.ts',
      core,
      'broker/config.ts',
      'broker/logger.ts',
      'broker/receivers.ts',
    ],
  },
  {
    files: /^broker\/config\.ts$/,
    may: [
      protocol,
      'broker/access-settings.ts',
      'broker/auth/user-list.ts',
      'broker/config-file.ts',
      'broker/auth/curve-access.ts',
      'broker/auth/curve-folder.ts',
      'broker/exposure.ts',
      'broker/setting.ts',
      'broker/topic-settings.ts',
      'broker/listeners/dsn.ts',
      'broker/logger.ts',
      'broker/topic-rules.ts',
      'valibot',
    ],
  },
  { files: /^broker\/setting\.ts$/, may: ['valibot'] },
  { files: /^broker\/topic-settings\.ts$/, may: [protocol, 'broker/setting.ts', 'valibot'] },
  {
    files: /^broker\/access-settings\.ts$/,
    may: [protocol, /^broker\/auth\/(rules|token-key)\.ts$/, 'broker/setting.ts', node, 'valibot'],
  },
  {
    files: /^broker\/metrics\//,
    may: [/^broker\/metrics\//, 'package.json', node, 'prom-client'],
    types: [protocol, 'broker/traffic.ts', 'broker/listeners/dsn.ts'],
  },
  { files: /^broker\/restart\.ts$/, may: [node], types: ['broker/config.ts'] },
  { files: /^broker\/bounds\.ts$/, may: [protocol, 'broker/topic-rules.ts'], types: ['broker/config.ts'] },
  { files: /^broker\/config-file\.ts$/, may: [node, 'jsonc-parser'] },
  { files: /^broker\/main\.ts$/, may: ['broker/daemon.ts', 'broker/commands/index.ts'] },
  {
    files: /^broker\/commands\//,
    may: [
      protocol,
      /^broker\/(auth|client|commands)\//,
      /^broker\/(bounds|config|config-file|topic-rules)\.ts$/,
      'broker/history/open.ts',
      'broker/kept/open.ts',
      'broker/listeners/dsn.ts',
      'package.json',
      'citty',
      node,
    ],
  },
  { files: /^broker\/daemon\.ts$/, may: [/^broker\/(?!client\/|commands\/|main\.ts)/, node] },
  {
    files: /^broker\/service\.ts$/,
    may: [/^broker\/(?!client\/|commands\/|main\.ts)/, 'package.json', node],
  },
  {
    files: /^broker\/exposure\.ts$/,
    may: [/^broker\/auth\/curve-/, 'broker/listeners/dsn.ts'],
    types: ['broker/config.ts'],
  },
  {
    files: /^broker\/curve\.ts$/,
    may: [/^broker\/auth\/curve-/, 'broker/listeners/curve-door.ts'],
    types: ['broker/config.ts', 'broker/logger.ts'],
  },
  { files: /^broker\/[^/]+\.ts$/, may: [protocol, node] },
  {
    files: /^functions\//,
    may: [
      /^functions\//,
      '#auth',
      '#client',
      '#protocol',
      '#logger',
      '#limits',
      '#metrics',
      '#service-manager',
      'h3',
      'listhen',
      'crossws',
      'valibot',
      node,
    ],
  },
  { files: /^site\//, may: [/^site\//] },
  { files: /^infra\//, may: [/^infra\//, node, 'rolldown', 'zeromq'] },
  { files: /^test\//, may: [/(?:)/] },
]

/**
 * Says which direction an import breaks, or undefined when it may be.
 *
 * @param file its path from the root of the project.
 */
export function brokenDirection(file: string, { specifier, isTypeOnly }: Import): string | undefined {
  const rule = rules.find(({ files }) => files.test(file))
  if (!rule) return `${file} belongs to no part of the project that the directions know`
  const target = targetOf(file, specifier)
  const allowed = isTypeOnly ? [...rule.may, ...(rule.types ?? [])] : rule.may
  const isAllowed = allowed.some(one => (typeof one === 'string' ? one === target : one.test(target)))
  return isAllowed ? undefined : `${file} must not import ${target}${isTypeOnly ? ' (types)' : ''}`
}

/** A path from the root, a `#` name, a `node:` module, or the name of a package without what is below it. */
function targetOf(file: string, specifier: string): string {
  if (specifier.startsWith('.')) return posix.join(posix.dirname(file), specifier)
  if (specifier.startsWith('#') || specifier.startsWith('node:')) return specifier
  return specifier.split('/', specifier.startsWith('@') ? 2 : 1).join('/') || '(computed)'
}
