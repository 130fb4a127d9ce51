import { spawnSync } from 'node:child_process'
import { chmodSync, existsSync, readFileSync } from 'node:fs'
import { isAbsolute } from 'node:path'
import { fileURLToPath } from 'node:url'
import { defineCommand, WrongUse } from './command.ts'
import {
  type InstalledFile,
  type InstallStep,
  installSteps,
  managers,
  startCommands,
  usualPrefix,
} from './installation.ts'
import { detectManager } from './manager.ts'
import { replaceFile } from './replace-file.ts'

export const command = defineCommand({
  name: 'install',
  description: 'Makes broker and functions services of this machine, and starts neither',
  args: {
    manager: {
      type: 'enum',
      options: [...managers],
      description: 'What keeps them running. Else what is running here.',
    },
    prefix: {
      type: 'string',
      valueHint: 'folder',
      description: 'Where the programs are for the services. Else where this one is.',
    },
    'dry-run': { type: 'boolean', description: 'Prints what it would write and run, and does nothing' },
  },
  notes: `It makes the user postern, /var/lib/postern, /etc/postern/broker.config.jsonc, and the files of the manager. What is
there already is left as it is: settings are yours, and so is a service that you have disabled. Service files are written
again; change them with systemctl edit, or in /etc/default.`,
  examples: [
    'broker install --dry-run',
    '/opt/postern/current/bin/broker install --prefix /opt/postern/current',
  ],
  run({ manager: named, prefix: given, 'dry-run': isDryRun }) {
    const manager = named ?? detectManager()
    if (!manager)
      throw new Error(
        `Nothing runs here that keeps services running: say it with --manager ${managers.join('|')}.`,
      )
    const prefix = given ?? ownPrefix()
    if (!isAbsolute(prefix) || /[\s"'%$\\]/.test(prefix))
      throw new WrongUse(
        `--prefix is ${JSON.stringify(prefix)}: allowed is an absolute path without spaces and quotes.`,
      )
    const steps = installSteps({ manager, prefix, read: readTemplate })
    if (isDryRun) return void process.stdout.write(steps.map(inWords).join(''))
    if (!existsSync(`${prefix}/bin/broker`))
      throw new Error(`${prefix}/bin/broker is not there: --prefix names the folder that has it.`)
    if (process.getuid?.() !== 0) throw new Error('Only root can install services.')
    const fresh = new Set<string>()
    for (const step of steps) take(step, fresh)
    process.stdout.write(`Start them with: ${startCommands[manager]}\n`)
  },
})

/** The folder of this program, where it is installed; of its sources none. */
function ownPrefix(): string {
  const own = fileURLToPath(new URL('..', import.meta.url)).replace(/\/$/, '')
  return existsSync(`${own}/bin/broker`) ? own : usualPrefix
}

/** Below an installation, or in the project: the sources are one folder deeper. */
function readTemplate(name: string): string {
  const places = ['../infra/', '../../infra/'].map(place => new URL(place + name, import.meta.url))
  const found = places.find(place => existsSync(place))
  if (!found) throw new Error(`The service file infra/${name} is not where this program is.`)
  return readFileSync(found, 'utf8')
}

/** @param fresh the files that were not there before. */
function take(step: InstallStep, fresh: Set<string>): void {
  if (step.kind === 'file') return write(step, fresh)
  const { words, unless, whenNew } = step
  if (whenNew !== undefined && !fresh.has(whenNew)) return
  if (unless && spawnSync(unless[0], unless.slice(1)).status === 0) return
  const { status, error, stderr } = spawnSync(words[0], words.slice(1), { encoding: 'utf8' })
  if (status !== 0) throw new Error(`${words.join(' ')} has failed: ${error?.message ?? stderr.trim()}`)
}

function write({ path, content, mode, isKept }: InstalledFile, fresh: Set<string>): void {
  const isThere = existsSync(path)
  if (!isThere) fresh.add(path)
  if (isThere && (isKept || readFileSync(path, 'utf8') === content)) return tell('is as it was', path)
  replaceFile(path, content)
  chmodSync(path, mode)
  tell('written', path)
}

function tell(what: string, path: string): void {
  process.stdout.write(`${path}: ${what}\n`)
}

function inWords(step: InstallStep): string {
  if (step.kind === 'command') {
    const { words, unless, whenNew } = step
    const condition = unless ? `  # unless: ${unless.join(' ')}` : whenNew ? `  # when ${whenNew} is new` : ''
    return `$ ${words.join(' ')}${condition}\n\n`
  }
  const { path, content, mode, isKept } = step
  const lines = content.trimEnd().split('\n')
  return `> ${path} (${mode.toString(8)}${isKept ? ', when it is not there' : ''})\n${lines.map(line => `  ${line}`.trimEnd()).join('\n')}\n\n`
}
