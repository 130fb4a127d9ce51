import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { chmod, mkdir, mkdtemp, rename, rm, unlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const run = promisify(execFile)

/** What is PID 1 of a machine. */
export type Init = 'systemd' | 'sysvinit'

const release = 'bookworm'

const everywhere = [
  'adduser',
  'ca-certificates',
  'curl',
  'init-system-helpers',
  'iproute2',
  'logrotate',
  'openssh-client',
  'openssh-server',
  'procps',
  'rsync',
  'sudo',
  'supervisor',
]

const packages: Readonly<Record<Init, readonly string[]>> = {
  systemd: [...everywhere, 'systemd', 'systemd-sysv', 'dbus'],
  sysvinit: [
    ...everywhere,
    'sysvinit-core',
    'sysv-rc',
    'initscripts',
    'insserv',
    'lsb-base',
    'orphan-sysvinit-scripts',
  ],
}

/**
 * The first program of a machine with systemd. systemd-nspawn mounts the controllers of the old cgroups read-only; they are
 * this machine's own, so that systemd may write there what its units ask for.
 */
const firstProgram = `#!/bin/sh
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
mount -o remount,rw /sys/fs/cgroup 2>/dev/null
for controller in /sys/fs/cgroup/*/; do mount -o remount,rw,bind "$controller" 2>/dev/null; done
exec /lib/systemd/systemd "$@"
`

/** Where the first program of each kind of machine is. */
export const firstPrograms: Readonly<Record<Init, string>> = {
  systemd: '/usr/local/sbin/boot-systemd',
  sysvinit: '/sbin/init',
}

// Below node_modules, where nobody but the owner of the project can put a system that root then boots.
const cache = fileURLToPath(new URL('../../../node_modules/.cache/postern-ops/', import.meta.url))

/** The files of a fresh Debian, which nobody may change. They are made once, and again when what is in them changes. */
export async function rootfs(init: Init): Promise<string> {
  const recipe = JSON.stringify([release, packages[init], firstProgram, prepare.toString()])
  const folder = join(cache, `${init}-${createHash('sha256').update(recipe).digest('hex').slice(0, 12)}`)
  if (existsSync(folder)) return folder
  await mkdir(cache, { recursive: true })
  const unfinished = await mkdtemp(`${folder}.`)
  try {
    const options = ['--quiet', '--variant=minbase', `--include=${packages[init].join(',')}`]
    await run('mmdebstrap', [...options, release, unfinished], { maxBuffer: 2 ** 24 })
    await prepare(init, unfinished)
    // As a folder of the test's user it could not be entered by the users of the machine.
    await chmod(unfinished, 0o755)
    await rename(unfinished, folder)
  } catch (error) {
    await rm(unfinished, { recursive: true, force: true })
    // Another run of the tests may have made it meanwhile.
    if (!existsSync(folder)) throw error
  }
  return folder
}

async function prepare(init: Init, root: string): Promise<void> {
  const inside = (path: string) => join(root, path)
  await writeFile(inside('etc/hosts'), '127.0.0.1 localhost\n::1 localhost\n')
  for (const path of ['etc/hostname', 'etc/resolv.conf']) await rm(inside(path), { force: true })
  // As a fresh machine has it: its name is made at the first boot.
  await writeFile(inside('etc/machine-id'), '')
  // Installed, but only started by the tests that are about it.
  await run('chroot', [root, 'update-rc.d', 'supervisor', 'disable'])
  if (init === 'systemd') {
    await writeFile(inside(firstPrograms.systemd), firstProgram, { mode: 0o755 })
    await rm(inside('etc/systemd/system/multi-user.target.wants/supervisor.service'), { force: true })
    return
  }
  // There is no terminal to log in at.
  await run('sed', ['-i', '/getty/d', inside('etc/inittab')])
  await unlink(inside('etc/machine-id'))
}
