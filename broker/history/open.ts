import type { Connector } from 'db0'
import { createStorage, type Driver } from 'unstorage'
import { type Archive, ArchiveError } from './archive.ts'
import { StorageArchive, type StorageEncoding } from './storage-archive.ts'

/** Where the history is kept. */
export interface StoreSetting {
  /** The name of a driver of unstorage, or `off`. */
  readonly driver: string
  /**
   * Handed to the driver as they are. `fs` without `base` keeps its files in the given folder. `db0` takes
   * `connector`, the name of a connector of db0, and that connector's own options instead of `database`.
   */
  readonly options: Readonly<Record<string, unknown>>
}

interface Opened {
  readonly driver: Driver
  readonly encoding: StorageEncoding
  readonly release?: () => unknown
}

/** A name becomes part of a module's path. */
const namePattern = /^[a-z0-9]+(-[a-z0-9]+)*$/

/**
 * Opens the archive that a setting describes; `off` gives undefined. Whether it can be reached shows when it is read.
 *
 * @param folder where `fs` keeps its files unless its options say otherwise.
 * @throws ArchiveError for a driver that there is not, or that cannot be made from its options.
 */
export async function openArchive(store: StoreSetting, folder: string): Promise<Archive | undefined> {
  if (store.driver === 'off') return undefined
  const { driver, encoding, release } = await open(store, folder)
  return new StorageArchive(createStorage({ driver }), encoding, release)
}

/*
 * `fs`, `memory` and `db0` over SQLite give bytes back as they got them: the contract suite proves it. Whatever is not
 * in it gets base64, which costs a third more and cannot be mangled. (db0 over MySQL, for one, makes a column of at
 * most 64 KiB for bytes, but not for text.) They are also imported by name, so that a bundle holds them.
 */
async function open({ driver, options }: StoreSetting, folder: string): Promise<Opened> {
  switch (driver) {
    case 'db0':
      return openDatabase(options)
    case 'fs': {
      // Without `ignore` the driver would see nothing in a folder that lies below a node_modules.
      const load = () => import('unstorage/drivers/fs')
      return {
        driver: await makeDriver(driver, load, { base: folder, ignore: [], ...options }),
        encoding: 'bytes',
      }
    }
    case 'memory': {
      const load = () => import('unstorage/drivers/memory')
      return { driver: await makeDriver(driver, load, options), encoding: 'bytes' }
    }
    default: {
      const load = () => import(`unstorage/drivers/${driver}`)
      return { driver: await makeDriver(driver, load, options), encoding: 'base64' }
    }
  }
}

function makeDriver(name: string, load: () => Promise<unknown>, options: object): Promise<Driver> {
  return makeFrom({
    setting: 'history.store.driver',
    name,
    kind: '"off", "fs", "memory", "db0" or another driver of unstorage',
    load,
    options,
    isMade: isDriver,
  })
}

async function openDatabase({ connector, tableName, ...options }: StoreSetting['options']): Promise<Opened> {
  const made = await makeFrom({
    setting: 'history.store.options.connector',
    name: connector,
    kind: 'a connector of db0, such as "node-sqlite"',
    // By its name as well, as above.
    load: () =>
      connector === 'node-sqlite'
        ? import('db0/connectors/node-sqlite')
        : import(`db0/connectors/${connector}`),
    options,
    isMade: isConnector,
  })
  const { createDatabase } = await import('db0')
  const { default: make } = await import('unstorage/drivers/db0')
  const database = createDatabase(made)
  return {
    driver: make({ database, tableName: typeof tableName === 'string' ? tableName : 'postern_history' }),
    encoding: database.dialect === 'sqlite' ? 'bytes' : 'base64',
    release: () => database.dispose(),
  }
}

interface Making<T> {
  readonly setting: string
  readonly name: unknown
  /** What is allowed. */
  readonly kind: string
  readonly load: () => Promise<unknown>
  readonly options: object
  readonly isMade: (value: unknown) => value is T
}

/** Makes what a module's default export makes from the options. */
async function makeFrom<T>({ setting, name, kind, load, options, isMade }: Making<T>): Promise<T> {
  const wrong = (reason: string, cause?: unknown) =>
    new ArchiveError(`The setting ${setting} is ${JSON.stringify(name)}: ${reason}.`, { cause })
  if (typeof name !== 'string' || !namePattern.test(name)) throw wrong(`allowed is ${kind}`)
  let module: unknown
  try {
    module = await load()
  } catch (error) {
    const missing = /Cannot find package '((?!unstorage\/|db0\/)[^']+)'/.exec(messageOf(error))?.[1]
    throw missing
      ? wrong(`it needs the package "${missing}", which is not installed`, error)
      : wrong(`allowed is ${kind}`, error)
  }
  let made: unknown
  try {
    made = isModule(module) ? module.default(options) : undefined
  } catch (error) {
    throw wrong(`it does not take these options: ${messageOf(error)}`, error)
  }
  if (!isMade(made)) throw wrong(`allowed is ${kind}`)
  return made
}

function isModule(value: unknown): value is { default: (options: object) => unknown } {
  return hasFunctions(value, 'default')
}

function isDriver(value: unknown): value is Driver {
  return hasFunctions(value, 'getKeys', 'getItem', 'setItem', 'removeItem')
}

function isConnector(value: unknown): value is Connector {
  return hasFunctions(value, 'exec', 'prepare')
}

function hasFunctions(value: unknown, ...names: string[]): boolean {
  return (
    typeof value === 'object' &&
    value !== null &&
    names.every(name => typeof Reflect.get(value, name) === 'function')
  )
}

function messageOf(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).replace(/\.$/, '')
}
