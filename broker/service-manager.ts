/** What a service manager is told of this program. Where there is none, nothing happens. */
export interface ServiceManager {
  /** It serves. From here on the manager gets signs of life, if it wants any. */
  ready(): void
  /** It has read its settings again. */
  reloaded(): void
  /** It is on its way to its end. */
  stopping(): void
}

/**
 * Whether the program does its work. While this does not return, or does not resolve, there is no sign of life, and the
 * manager starts the program again.
 *
 * @returns what is wrong and a restart would not mend, for the operator; undefined when all is well.
 * @throws when the program cannot do its work until it is started again.
 */
export type Proof = () => string | undefined | Promise<string | undefined>

export interface ServiceManagerOptions {
  readonly prove: Proof
  /** What the manager could not be told, and why; or what the proof has thrown. */
  readonly onTrouble: (reason: string) => void
  /** Default: that of this process. */
  readonly env?: Readonly<Record<string, string | undefined>>
  /** Default: that of this process. */
  readonly pid?: number
  /** Sends assignments such as `READY=1` to the manager. Default: through the program `systemd-notify`. */
  readonly send?: (assignments: readonly string[]) => Promise<void>
  /** Calls back again and again. Default: `setInterval`. @returns a function that ends it. */
  readonly every?: (intervalMs: number, callback: () => void) => () => void
}

/** One sign may be lost or late. sd_watchdog_enabled(3) asks for two or more. */
const signsPerTimeout = 3

const nobody: ServiceManager = { ready() {}, reloaded() {}, stopping() {} }

/**
 * Finds the service manager that has started this process: one that speaks sd_notify(3), such as systemd.
 *
 * It needs `NotifyAccess=all`: Node has no datagrams of Unix, so that another process speaks for this one.
 */
export function findServiceManager({
  prove,
  onTrouble,
  env = process.env,
  pid = process.pid,
  send = systemdNotify,
  every = everyInterval,
}: ServiceManagerOptions): ServiceManager {
  if (!env['NOTIFY_SOCKET']) return nobody
  const timeoutMs = watchdogMs(env, pid)
  let told = Promise.resolve()
  let status = ''
  let isProving = false
  let end = () => {}

  /** One after the other: the manager must not hear of the end of a reload before its beginning. */
  const tell = (...assignments: string[]) => {
    told = told.then(() => send(assignments)).catch((error: unknown) => onTrouble(reasonOf(error)))
  }
  const statusOf = (next: string) => {
    if (next === status) return []
    status = next
    return [`STATUS=${next.replaceAll(/\s+/g, ' ')}`]
  }
  const giveSign = async () => {
    // One that does not come back must not be joined by others.
    if (isProving) return
    isProving = true
    try {
      const found = await prove()
      tell('WATCHDOG=1', ...statusOf(found ?? ''))
    } catch (error) {
      onTrouble(reasonOf(error))
      const assignments = statusOf(reasonOf(error))
      if (assignments.length > 0) tell(...assignments)
    } finally {
      isProving = false
    }
  }

  return {
    ready() {
      tell('READY=1')
      if (timeoutMs !== undefined) end = every(timeoutMs / signsPerTimeout, () => void giveSign())
    },
    reloaded() {
      tell('RELOADING=1')
      tell('READY=1')
    },
    stopping() {
      end()
      tell('STOPPING=1')
    },
  }
}

/** After so long without a sign of life the manager acts; undefined when it wants none from this process. */
function watchdogMs(env: Readonly<Record<string, string | undefined>>, pid: number): number | undefined {
  const { WATCHDOG_USEC: microseconds = '', WATCHDOG_PID: asked } = env
  if (!/^[1-9][0-9]{0,14}$/.test(microseconds)) return undefined
  return asked === undefined || asked === String(pid) ? Number(microseconds) / 1000 : undefined
}

function systemdNotify(assignments: readonly string[]): Promise<void> {
  // Only here: a program without a manager does without it.
  const { execFile } = process.getBuiltinModule('node:child_process')
  const env = { PATH: process.env['PATH'], NOTIFY_SOCKET: process.env['NOTIFY_SOCKET'] }
  return new Promise((resolve, reject) => {
    execFile('systemd-notify', [...assignments], { env, timeout: 10_000 }, error => {
      if (error)
        reject(new Error(`systemd-notify ${assignments.join(' ')}: ${error.message}`, { cause: error }))
      else resolve()
    })
  })
}

function everyInterval(intervalMs: number, callback: () => void): () => void {
  const timer = setInterval(callback, intervalMs)
  return () => clearInterval(timer)
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
