import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { openSync } from 'node:fs'
import { mkdir, mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll } from 'vitest'
import { type Command, startCommand } from '../../support/command.ts'
import { makeCgroup, removeCgroup } from './cgroup.ts'
import { firstPrograms, type Init, rootfs } from './rootfs.ts'

export interface MachineOptions {
  readonly init: Init
  /** Files and folders of this host that the machine sees too, read-only: the place in the machine by that here. */
  readonly binds?: Readonly<Record<string, string>>
  /**
   * A folder of the machine that is a disk of its own, with the read-ahead of a usual server: files are read in pieces of
   * 128 KiB, however the disk of this host is set.
   */
  readonly disk?: string
}

export interface RunOptions {
  /** What it reads from its standard input. Default: nothing. */
  readonly input?: string | Buffer
  /** A bound for a broken test, not a wait. Default: 60 s. */
  readonly timeoutMs?: number
}

export interface Outcome {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

/** How long a machine may take to be up, or down. A bound for a broken test, not a wait. */
const bootWithinMs = 60_000

const environment = [
  'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
  'HOME=/root',
  'TERM=dumb',
  'LANG=C.UTF-8',
  'SYSTEMD_PAGER=',
  'SYSTEMD_COLORS=0',
  'DEBIAN_FRONTEND=noninteractive',
]

const machines = new Set<Machine>()
let booted = 0

// Here, where the file of the tests is read: what a hook asks for while it runs is never done.
afterAll(async () => {
  await Promise.all([...machines].map(machine => machine.throwAway()))
})

/**
 * Boots a fresh Debian with a real systemd or a real sysvinit as PID 1, in namespaces and cgroups of its own, with a
 * network that has only its loopback addresses. It is thrown away when the last test of the file has ended, if not before.
 */
export async function bootMachine({ init, binds = {}, disk }: MachineOptions): Promise<Machine> {
  const lower = await rootfs(init)
  const folder = await mkdtemp(join(tmpdir(), 'postern-machine-'))
  const cgroups = await makeCgroup(`postern-ops-${process.pid}-${++booted}`)
  const machine = new Machine({ init, lower, folder, binds, disk, cgroups })
  machines.add(machine)
  await machine.boot()
  return machine
}

interface Parts {
  readonly init: Init
  readonly lower: string
  readonly folder: string
  readonly binds: Readonly<Record<string, string>>
  readonly disk: string | undefined
  readonly cgroups: readonly string[]
}

/** A machine that is up. Scripts are bash, run as root in `/`. */
export class Machine {
  readonly #parts: Parts
  #container: ChildProcess | undefined
  #ended: Promise<unknown> = Promise.resolve()
  #leader = 0

  constructor(parts: Parts) {
    this.#parts = parts
  }

  /** The same file, as this host sees it. Symbolic links with absolute targets lead elsewhere. */
  path(inside: string): string {
    return join(`/proc/${this.#leader}/root`, inside)
  }

  /** Runs a script to its end. */
  async run(script: string, { input, timeoutMs = 60_000 }: RunOptions = {}): Promise<Outcome> {
    const [file = '', ...args] = this.#inside(script)
    const child = spawn(file, args, {
      stdio: ['pipe', 'pipe', 'pipe'],
      timeout: timeoutMs,
      killSignal: 'SIGKILL',
    })
    const outputs = [child.stdout, child.stderr].map(stream => {
      const chunks: Buffer[] = []
      stream.on('data', (chunk: Buffer) => chunks.push(chunk))
      return chunks
    })
    // It may end without having read everything.
    child.stdin.on('error', () => {})
    child.stdin.end(input)
    const [code] = await once(child, 'close')
    const [stdout = '', stderr = ''] = outputs.map(chunks => Buffer.concat(chunks).toString())
    return { code: code ?? -1, stdout, stderr }
  }

  /** Runs a script that has to end with 0, and gives what it has written to its standard output. */
  async sh(script: string, options?: RunOptions): Promise<string> {
    const { code, stdout, stderr } = await this.run(script, options)
    if (code !== 0) throw new Error(`${script}\nended with ${code}\n${stdout}${stderr}`)
    return stdout
  }

  /** Starts a script that runs on; it ends with the test. */
  start(script: string): Command {
    const [file = '', ...args] = this.#inside(script)
    return startCommand(file, args, { cwd: '/' })
  }

  /** Starts a program of this host that sees the network of the machine, and ends with the test. */
  beside(file: string, args: readonly string[] = [], env: Readonly<Record<string, string>> = {}): Command {
    const within = ['--target', String(this.#leader), '--net', '--', file, ...args]
    return startCommand('nsenter', within, { cwd: tmpdir(), env })
  }

  /** Shuts the machine down in order, and boots it again with what is on its disk. */
  async reboot(): Promise<void> {
    const orderly = this.#parts.init === 'systemd' ? 'systemctl poweroff' : 'init 0'
    await this.run(orderly)
    await within(bootWithinMs, 'The machine is not down', this.#ended)
    await this.boot()
  }

  /** @throws Error with what the machine has said, when it does not come up. */
  async boot(): Promise<void> {
    const { init, lower, folder, binds, disk, cgroups } = this.#parts
    for (const name of ['upper', 'work', 'root']) await mkdir(join(folder, name), { recursive: true })
    const root = join(folder, 'root')
    const joins = cgroups.map(cgroup => `echo $$ > '${cgroup}/cgroup.procs'`)
    const overlay = `lowerdir=${lower},upperdir=${folder}/upper,workdir=${folder}/work`
    const nspawn = [
      'systemd-nspawn',
      '--quiet',
      `--directory=${root}`,
      '--register=no',
      '--keep-unit',
      '--private-network',
      '--hostname=postern-test',
      '--console=pipe',
      '--resolv-conf=off',
      '--timezone=off',
      '--link-journal=no',
      ...Object.entries(binds).map(([from, to]) => `--bind-ro=${from}:${to}`),
      ...(disk === undefined ? [] : [`--bind=${folder}/disk:${disk}`]),
      firstPrograms[init],
    ]
    const mounts = [
      `mount -t overlay overlay -o '${overlay}' '${root}'`,
      ...(disk === undefined ? [] : diskMounts(folder)),
    ]
    const script = [...joins, ...mounts, 'exec "$@"'].join(' && ')
    const console = openSync(join(folder, 'console'), 'a')
    // It dies with the tests, however they end: its mounts and its processes are in namespaces that go with it.
    const dying = [
      '--pdeathsig',
      'SIGKILL',
      'unshare',
      '--mount',
      '--pid',
      '--mount-proc',
      '--fork',
      '--kill-child',
    ]
    const container = spawn('setpriv', [...dying, 'sh', '-c', script, 'sh', ...nspawn], {
      stdio: ['ignore', console, console],
    })
    this.#container = container
    this.#ended = once(container, 'exit')
    try {
      await this.#until(async () => {
        this.#leader = await leaderOf(container.pid)
        return this.#leader !== 0 && (await this.#isUp())
      })
    } catch (error) {
      const said = await readFile(join(folder, 'console'), 'utf8')
      throw new Error(`The machine is not up.\n${said}`, { cause: error })
    }
  }

  /** Ends it with everything that runs in it, and removes its disk. May be called twice. */
  async throwAway(): Promise<void> {
    if (!machines.delete(this)) return
    const { cgroups, folder } = this.#parts
    // It takes along the namespace of which it is the parent.
    this.#container?.kill('SIGKILL')
    await this.#ended
    await removeCgroup(cgroups)
    await rm(folder, { recursive: true, force: true })
  }

  async #isUp(): Promise<boolean> {
    if (this.#parts.init === 'systemd') {
      const { stdout } = await this.run('systemctl is-system-running')
      return /^(running|degraded)$/.test(stdout.trim())
    }
    const { stdout } = await this.run('runlevel; pgrep -f "^/bin/sh /etc/init.d/rc" || echo done')
    return /^\S+ 2\ndone$/.test(stdout.trim())
  }

  async #until(isTrue: () => Promise<boolean>): Promise<void> {
    const endMs = performance.now() + bootWithinMs
    let hasEnded = false
    this.#ended.then(() => {
      hasEnded = true
    })
    while (!(await isTrue())) {
      if (hasEnded) throw new Error('It has ended.')
      if (performance.now() > endMs) throw new Error(`It takes longer than ${bootWithinMs / 1000} s.`)
      await new Promise(resolve => setTimeout(resolve, 20))
    }
  }

  #inside(script: string): string[] {
    const namespaces = ['--mount', '--uts', '--ipc', '--net', '--pid', '--cgroup', '--root', '--wd']
    const enter = [
      'nsenter',
      '--target',
      String(this.#leader),
      ...namespaces,
      '--',
      'env',
      '-i',
      ...environment,
    ]
    return [...enter, 'bash', '-c', script]
  }
}

/** The steps that mount a disk; it is made the first time. */
function diskMounts(folder: string): string[] {
  const image = `${folder}/disk.ext4`
  const sectors = (128 * 1024) / 512
  return [
    `mkdir -p '${folder}/disk'`,
    `{ [ -e '${image}' ] || { truncate -s 512M '${image}' && mkfs.ext4 -q '${image}'; }; }`,
    `mount -o loop '${image}' '${folder}/disk'`,
    `blockdev --setra ${sectors} "$(findmnt --noheadings --output SOURCE '${folder}/disk')"`,
  ]
}

/** The PID 1 of the machine that a container has in it, as it is numbered here; 0 while there is none. */
async function leaderOf(container: number | undefined): Promise<number> {
  for (const child of await childrenOf(container)) {
    const status = await readFile(`/proc/${child}/status`, 'utf8').catch(() => '')
    // Its numbers here, in the container's namespace, and in its own.
    if (/^NSpid:(\s+\d+){2}\s+1$/m.test(status)) return child
    const within = await leaderOf(child)
    if (within !== 0) return within
  }
  return 0
}

async function childrenOf(pid: number | undefined): Promise<number[]> {
  const tasks = await readdir(`/proc/${pid}/task`).catch(() => [])
  const lists = await Promise.all(
    tasks.map(task => readFile(`/proc/${pid}/task/${task}/children`, 'utf8').catch(() => '')),
  )
  return lists.flatMap(list => list.split(' ').filter(child => child !== '')).map(Number)
}

async function within<T>(limitMs: number, otherwise: string, promise: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${otherwise} within ${limitMs / 1000} s.`)), limitMs)
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}
