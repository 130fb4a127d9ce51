import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'

const infra = fileURLToPath(new URL('../../infra/', import.meta.url))
const read = (file: string) => readFileSync(`${infra}${file}`, 'utf8')

type Settings = Readonly<Record<string, string>>

const toSettings = (pairs: Iterable<RegExpMatchArray>): Settings =>
  Object.fromEntries([...pairs].map(([, name = '', value = '']) => [name, value]))

interface ServiceFile {
  /** The environment that the manager gives the service. */
  readonly settings: Settings
  readonly command: string | undefined
}

/** What the file of each manager says, in one form. */
const serviceFiles: Readonly<Record<string, (service: string) => ServiceFile>> = {
  systemd(service) {
    const file = read(`systemd/${service}.service`)
    return {
      settings: toSettings(file.matchAll(/^Environment="?(\w+)=(.*?)"?$/gm)),
      command: /^ExecStart=(.*)$/m.exec(file)?.[1],
    }
  },
  'init.d'(service) {
    const file = read(`init.d/${service}`)
    const command = /act "\$1" "\$prefix(.*)$/m.exec(file)?.[1]
    return {
      settings: toSettings(file.matchAll(/^([A-Z_]+)="?(.*?)"?$/gm)),
      command: command?.replace(/^(.*)"/, '/usr/lib/postern$1'),
    }
  },
  Supervisor(service) {
    const file = read(`supervisor/${service}.conf`)
    return {
      settings: toSettings(file.matchAll(/^ {2}(\w+)="(.*)",?$/gm)),
      command: /^command=\S+\/guard\.sh \S+ \d+ (.*)$/m.exec(file)?.[1],
    }
  },
}

const seconds = (file: string, name: string) =>
  Number(new RegExp(`^${name}=(\\d+)$`, 'm').exec(read(file))?.[1])

describe.each(['broker', 'functions'])('the service files of %s', service => {
  const wanted = serviceFiles['systemd']?.(service)

  it.each(['init.d', 'Supervisor'])(
    'name the same settings and the same command under systemd and %s',
    manager => {
      expect(Object.keys(wanted?.settings ?? {}).length).toBeGreaterThan(2)
      expect(wanted?.command).toMatch(/^\/usr\/lib\/postern\/bin\//)
      expect(serviceFiles[manager]?.(service)).toEqual(wanted)
    },
  )

  it('have an example of /etc/default that shows what holds without it', () => {
    const shown = toSettings(read(`default/${service}`).matchAll(/^#(\w+)="?(.*?)"?$/gm))
    expect(shown).toMatchObject(wanted?.settings ?? {})
  })

  it('wait equally long for a stop, and longer than the guard, which kills the program itself', () => {
    const guardS = seconds('init.d/guard.sh', 'stop_within_s')
    expect(seconds(`systemd/${service}.service`, 'TimeoutStopSec')).toBe(guardS)
    expect(seconds('init.d/service.sh', 'stop_within_s')).toBeGreaterThan(guardS)
    expect(seconds(`supervisor/${service}.conf`, 'stopwaitsecs')).toBeGreaterThan(guardS)
  })

  it('wait equally long for a sign of life', () => {
    expect(seconds(`systemd/${service}.service`, 'WatchdogSec')).toBe(seconds('init.d/guard.sh', 'timeout_s'))
  })
})

it('each directive has its reason in the README of infra', () => {
  const paper = read('README.md')
  const names = ['broker', 'functions'].flatMap(service =>
    [`systemd/${service}.service`, `supervisor/${service}.conf`].flatMap(file =>
      [...read(file).matchAll(/^(\w+)=/gm)].map(([, name = '']) => name),
    ),
  )
  const missing = [...new Set(names)].filter(name => !new RegExp(`\`${name}\\b`).test(paper))
  expect(missing).toEqual([])
})
