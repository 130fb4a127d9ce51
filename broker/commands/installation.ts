/** What keeps services running on a machine. */
export const managers = ['systemd', 'sysvinit', 'supervisor'] as const
export type Manager = (typeof managers)[number]

/** Where the service files have it that the programs are. */
export const usualPrefix = '/usr/lib/postern'

const user = 'postern'
const state = '/var/lib/postern'
const logs = '/var/log/postern'
const settings = '/etc/postern'
const config = `${settings}/broker.config.jsonc`
const services = ['broker', 'functions'] as const

/** A file that is put somewhere. */
export interface InstalledFile {
  readonly kind: 'file'
  readonly path: string
  readonly content: string
  readonly mode: number
  /** Whether it is the administrator's once it is there: it is never written again. */
  readonly isKept: boolean
}

/** A program that is run. */
export interface InstallCommand {
  readonly kind: 'command'
  readonly words: readonly [string, ...string[]]
  /** Only when this does not succeed. */
  readonly unless?: readonly [string, ...string[]]
  /** Only when this file was not there before: an administrator may have undone it since. */
  readonly whenNew?: string
}

export type InstallStep = InstalledFile | InstallCommand

export interface InstallOptions {
  readonly manager: Manager
  /** Where the programs are. */
  readonly prefix: string
  /** Gives the content of a file below `infra/`. */
  readonly read: (name: string) => string
}

/** All that it takes to have broker and functions as services of a machine, in order. Done twice it changes nothing. */
export function installSteps(options: InstallOptions): InstallStep[] {
  return [
    command(
      [
        'useradd',
        '--system',
        '--user-group',
        '--home-dir',
        state,
        '--no-create-home',
        '--shell',
        '/usr/sbin/nologin',
        user,
      ],
      { unless: ['id', '-u', user] },
    ),
    folder(state, user, user),
    folder(logs, user, 'adm'),
    folder(settings, 'root', user),
    { ...file(config, placed(options, 'server.config.jsonc'), 0o640), isKept: true },
    // It may come to hold the password of a database.
    command(['chown', `root:${user}`, config], { whenNew: config }),
    ...services.map(name => ({
      ...file(`/etc/default/${name}`, placed(options, `default/${name}`)),
      isKept: true,
    })),
    ...stepsOf[options.manager](options),
  ]
}

/** What starts the services after that. */
export const startCommands: Readonly<Record<Manager, string>> = {
  systemd: 'systemctl start broker functions',
  sysvinit: 'service broker start && service functions start',
  supervisor: 'supervisorctl update',
}

const stepsOf: Readonly<Record<Manager, (options: InstallOptions) => InstallStep[]>> = {
  systemd: options => [
    ...services.map(name => file(unitOf(name), placed(options, `systemd/${name}.service`))),
    command(['systemctl', 'daemon-reload']),
    ...services.map(name => command(['systemctl', 'enable', `${name}.service`], { whenNew: unitOf(name) })),
  ],
  sysvinit: options => [
    ...services.map(name => file(scriptOf(name), placed(options, `init.d/${name}`), 0o755)),
    rotation(options),
    ...services.map(name => command(['update-rc.d', name, 'defaults'], { whenNew: scriptOf(name) })),
  ],
  supervisor: options => [
    ...services.map(name =>
      file(`/etc/supervisor/conf.d/${name}.conf`, placed(options, `supervisor/${name}.conf`)),
    ),
    rotation(options),
  ],
}

/** systemd's journal needs none. */
function rotation(options: InstallOptions): InstalledFile {
  return { ...file('/etc/logrotate.d/postern', placed(options, 'logrotate/postern')), isKept: true }
}

function unitOf(name: string): string {
  return `/etc/systemd/system/${name}.service`
}

function scriptOf(name: string): string {
  return `/etc/init.d/${name}`
}

function placed({ prefix, read }: InstallOptions, name: string): string {
  return read(name).replaceAll(usualPrefix, prefix)
}

function file(path: string, content: string, mode = 0o644): InstalledFile {
  return { kind: 'file', path, content, mode, isKept: false }
}

function folder(path: string, owner: string, group: string): InstallCommand {
  const words = ['install', '-d', '-o', owner, '-g', group, '-m', '0750', path] as const
  return command(words, { unless: ['test', '-d', path] })
}

function command(
  words: InstallCommand['words'],
  when: Pick<InstallCommand, 'unless' | 'whenNew'> = {},
): InstallCommand {
  return { kind: 'command', words, ...when }
}
