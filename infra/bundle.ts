import { isBuiltin } from 'node:module'
import { type Plugin, rolldown } from 'rolldown'

/** A program in one file, which needs no packages. */
export interface Bundle {
  /** A source of this project, or a package. */
  readonly input: string
  /** In a folder beside `zeromq.node`, ZeroMQ's addon. */
  readonly file: string
  /** Packages that are bundles of their own, read when they are needed: the place of each, seen from this one. */
  readonly beside?: Readonly<Record<string, string>>
  /** The first lines, as they stand. */
  readonly banner?: string
}

export async function writeBundle({ input, file, beside = {}, banner }: Bundle): Promise<void> {
  const bundler = await rolldown({
    input,
    platform: 'node',
    // Of the packages that come as modules and as CommonJS, only the modules can be taken in part.
    resolve: { mainFields: ['module', 'main'] },
    treeshake: { propertyReadSideEffects: false },
    plugins: [addonBeside, placed(beside), workersBeside, programsBeside, builtins],
    onLog(level, log, tell) {
      // What a package does is no news to whoever builds this project.
      if (!log.id?.includes('node_modules')) tell(level, log)
    },
  })
  await bundler.write({
    file,
    format: 'esm',
    ...(banner !== undefined && { banner }),
    codeSplitting: false,
    // V8 keeps the source in memory, with two bytes for each character as soon as one of them needs two.
    charset: 'ascii',
    minify: true,
    // Node reads it only with --enable-source-maps: then a stack trace names the sources.
    sourcemap: true,
    sourcemapExcludeSources: true,
  })
  await bundler.close()
}

/**
 * ZeroMQ looks for its addon in its own package. On a server there is none; where there is one, installed by npm for the
 * machine that it is on, there is no addon beside the bundle.
 */
const addonBeside: Plugin = {
  name: 'addon-beside',
  load: {
    filter: { id: /\/zeromq\/lib\/load-addon\.js$/ },
    handler: () => `
      import { existsSync } from 'node:fs'
      import { createRequire } from 'node:module'
      import { fileURLToPath } from 'node:url'
      const beside = fileURLToPath(new URL('../zeromq.node', import.meta.url))
      const addon = { exports: {} }
      if (existsSync(beside)) process.dlopen(addon, beside)
      else addon.exports = createRequire(import.meta.url)('zeromq/lib/load-addon.js').default
      export default addon.exports`,
  },
}

function placed(places: Readonly<Record<string, string>>): Plugin {
  return {
    name: 'placed',
    resolveId(id) {
      const place = places[id]
      return place === undefined ? null : { id: place, external: true }
    },
  }
}

/** A program that is started by another one is a bundle too. */
const programsBeside: Plugin = {
  name: 'programs-beside',
  transform: {
    filter: { id: /\/infra\/start\.ts$/ },
    handler: code => ({ code: code.replaceAll(/'((?:broker|functions)\/main)\.ts'/g, "'$1.js'"), map: null }),
  },
}

/** A thread starts from a file of its own, which in a bundle stands beside the program that starts it. */
const workersBeside: Plugin = {
  name: 'workers-beside',
  transform: {
    filter: { id: /\/broker\/.*\.ts$/, code: /-worker\.ts'/ },
    handler: code => ({
      code: code.replace(/(new URL\('\.\/[a-z-]+-worker)\.ts(', import\.meta\.url\))/, '$1.js$2'),
      // No line moves.
      map: null,
    }),
  },
}

const importedName = /^\0import:(.+)$/
const requiredName = /^\0require:(.+)$/

/**
 * Node's own modules, taken as `require` takes them: 1 MB less. An `import` of one reads all of its exports at the
 * start, and some of these load what nobody has asked for: `node:util` worker threads, `node:http` a WebSocket client.
 */
const builtins: Plugin = {
  name: 'builtins',
  resolveId: {
    order: 'pre',
    handler(id, _importer, { kind }) {
      const name = id.startsWith('node:') ? id : `node:${id}`
      // The bundler's own runtime imports `node:module`, and comes before all that could stand in for it.
      if (!isBuiltin(id) || name === 'node:module') return null
      return `\0${kind === 'require-call' ? 'require' : 'import'}:${name}`
    },
  },
  load(id) {
    const required = requiredName.exec(id)?.[1]
    if (required) return `module.exports = ${taken(required)}`
    const imported = importedName.exec(id)?.[1]
    return imported ? { code: moduleOf(imported), moduleSideEffects: false } : null
  },
}

/** A module with the exports of a builtin one, each of which can be left out. */
function moduleOf(name: string): string {
  const exported = Object.keys(process.getBuiltinModule(name) ?? {}).filter(key => key !== 'default')
  return [
    `const builtin = ${taken(name)}`,
    'export default builtin',
    ...exported.map(key => `const _${key} = builtin.${key}; export { _${key} as ${key} }`),
  ].join('\n')
}

function taken(name: string): string {
  return `/* @__PURE__ */ process.getBuiltinModule(${JSON.stringify(name)})`
}
