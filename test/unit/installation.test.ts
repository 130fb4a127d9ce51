import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { installSteps, type Manager, managers } from '../../broker/commands/installation.ts'
import { detectManager, type MachineView } from '../../broker/commands/manager.ts'

const infra = fileURLToPath(new URL('../../infra/', import.meta.url))
const read = (name: string) => readFileSync(infra + name, 'utf8')
const stepsFor = (manager: Manager, prefix = '/opt/postern/current') =>
  installSteps({ manager, prefix, read })

function filesOf(manager: Manager) {
  return stepsFor(manager).flatMap(step => (step.kind === 'file' ? [step] : []))
}

describe('the steps of an installation', () => {
  it.each(managers)('put the files of %s where it looks for them', manager => {
    const own: Record<Manager, string[]> = {
      systemd: ['/etc/systemd/system/broker.service', '/etc/systemd/system/functions.service'],
      sysvinit: ['/etc/init.d/broker', '/etc/init.d/functions', '/etc/logrotate.d/postern'],
      supervisor: [
        '/etc/supervisor/conf.d/broker.conf',
        '/etc/supervisor/conf.d/functions.conf',
        '/etc/logrotate.d/postern',
      ],
    }
    expect(filesOf(manager).map(({ path }) => path)).toEqual([
      '/etc/postern/broker.config.jsonc',
      '/etc/default/broker',
      '/etc/default/functions',
      ...own[manager],
    ])
  })

  it.each(managers)('name the folder of the programs wherever the files of %s do', manager => {
    const files = filesOf(manager)
    expect(files.filter(({ content }) => content.includes('/usr/lib/postern'))).toEqual([])
    const services = files.filter(({ path }) => /(broker|functions)(\.service|\.conf)?$/.test(path))
    const programs = services.filter(({ path }) => !path.startsWith('/etc/default/'))
    for (const { content } of programs) expect(content).toContain('/opt/postern/current')
  })

  it.each(managers)('leave to the administrator of %s what is the administrator’s', manager => {
    const kept = filesOf(manager).filter(({ isKept }) => isKept)
    expect(kept.map(({ path }) => path)).toEqual([
      '/etc/postern/broker.config.jsonc',
      '/etc/default/broker',
      '/etc/default/functions',
      ...(manager === 'systemd' ? [] : ['/etc/logrotate.d/postern']),
    ])
    const commands = stepsFor(manager).flatMap(step => (step.kind === 'command' ? [step] : []))
    const always = commands.filter(({ unless, whenNew }) => !unless && !whenNew)
    expect(always.map(({ words }) => words.join(' '))).toEqual(
      manager === 'systemd' ? ['systemctl daemon-reload'] : [],
    )
  })

  it('let nobody else read the settings of the broker', () => {
    expect(filesOf('systemd')[0]).toMatchObject({ mode: 0o640 })
  })

  it('make scripts of init.d that can be run', () => {
    const scripts = filesOf('sysvinit').filter(({ path }) => path.startsWith('/etc/init.d/'))
    expect(scripts.map(({ mode }) => mode)).toEqual([0o755, 0o755])
  })
})

describe('the manager of a machine', () => {
  const machine = (init: string, ...paths: string[]): MachineView => ({
    init,
    exists: path => paths.includes(path),
  })

  it.each<[string, MachineView, Manager | undefined]>([
    ['systemd where it has booted', machine('systemd', '/run/systemd/system'), 'systemd'],
    ['sysvinit where its init is the first process', machine('init'), 'sysvinit'],
    ['Supervisor in a container that begins with it', machine('supervisord'), 'supervisor'],
    ['Supervisor where it runs', machine('bash', '/run/supervisor.sock'), 'supervisor'],
    [
      'systemd before Supervisor',
      machine('systemd', '/run/systemd/system', '/run/supervisor.sock'),
      'systemd',
    ],
    ['none in a bare container', machine('bash'), undefined],
  ])('is %s', (_, view, manager) => {
    expect(detectManager(view)).toBe(manager)
  })
})
