import { fstatSync } from 'node:fs'

/** What a log line may carry beside its event: never a payload, never a secret. */
export type LogFields = Readonly<Record<string, string | number | boolean | undefined>>

export const logLevels = ['debug', 'info', 'warn', 'error'] as const
export type LogLevel = (typeof logLevels)[number]

/** Readable lines with their time on a terminal, with their priority in systemd's journal, and JSON for anything else. */
export type LogForm = 'terminal' | 'journal' | 'json'

/** One line an event. */
export interface Logger {
  debug(event: string, fields?: LogFields): void
  info(event: string, fields?: LogFields): void
  warn(event: string, fields?: LogFields): void
  error(event: string, fields?: LogFields): void
  /**
   * As `warn`, for what a peer can cause as often as it likes: at most one line a second for each event, which then
   * tells how many were left out.
   */
  limited(event: string, fields?: LogFields): void
}

export interface LoggerOptions {
  /** The program that speaks: `broker`, `functions`. */
  readonly program: string
  readonly write: (line: string) => void
  readonly form: LogForm
  readonly nowMs: () => number
  /** Lines below it are left out. Default `info`. Asked for each line, so that it can change while running. */
  readonly level?: () => LogLevel
}

const limitedIntervalMs = 1000

export function createLogger({ program, write, form, nowMs, level = () => 'info' }: LoggerOptions): Logger {
  const limits = new Map<string, { sinceMs: number; leftOut: number }>()

  const log = (at: LogLevel, event: string, fields: LogFields = {}): void => {
    if (logLevels.indexOf(at) < logLevels.indexOf(level())) return
    const time = new Date(nowMs()).toISOString()
    switch (form) {
      case 'terminal':
        return write(`${time.slice(11, 23)} ${program} ${readable(at, event, fields)}`)
      case 'journal':
        // It knows the time and the unit itself.
        return write(`${priorityOf(at)}${readable(at, event, fields)}`)
      case 'json':
        return write(`${JSON.stringify({ time, level: at, program, event, ...fields })}\n`)
    }
  }

  return {
    debug: (event, fields) => log('debug', event, fields),
    info: (event, fields) => log('info', event, fields),
    warn: (event, fields) => log('warn', event, fields),
    error: (event, fields) => log('error', event, fields),
    limited(event, fields) {
      const limit = limits.get(event)
      if (limit && nowMs() - limit.sinceMs < limitedIntervalMs) {
        limit.leftOut++
        return
      }
      limits.set(event, { sinceMs: nowMs(), leftOut: 0 })
      log('warn', event, { ...fields, ...(limit?.leftOut ? { leftOut: limit.leftOut } : {}) })
    },
  }
}

/** A program's log on its standard output. */
export function processLogger(program: string, level?: () => LogLevel): Logger {
  // Whoever reads the log may end before the program does, which goes on without it.
  process.stdout.on('error', () => {})
  return createLogger({
    program,
    write: line => process.stdout.write(line),
    form: process.stdout.isTTY === true ? 'terminal' : isJournal(process.stdout.fd) ? 'journal' : 'json',
    nowMs: Date.now,
    ...(level && { level }),
  })
}

/** What is worth knowing of something that was thrown. */
export function describeError(error: unknown): LogFields {
  return error instanceof Error ? { error: error.message, stack: error.stack } : { error: String(error) }
}

/**
 * The last words of a program, on its standard error.
 *
 * @param line what was wrong, for the operator.
 */
export function tellFailure(line: string): void {
  process.stderr.write(`${isJournal(process.stderr.fd) ? priorityOf('error') : ''}${line}\n`)
}

/**
 * Whether this is the stream to systemd's journal that the manager has given this process. The variable alone proves
 * nothing: children inherit it, also those whose output goes elsewhere.
 *
 * Source: sd-daemon(3), systemd.exec(5), `$JOURNAL_STREAM`.
 */
function isJournal(descriptor: number): boolean {
  const stream = process.env['JOURNAL_STREAM']
  if (!stream) return false
  try {
    const { dev, ino } = fstatSync(descriptor, { bigint: true })
    return stream === `${dev}:${ino}`
  } catch {
    return false
  }
}

/** As syslog numbers them, in the form that the journal takes off the line again. */
function priorityOf(level: LogLevel): string {
  return { debug: '<7>', info: '<6>', warn: '<4>', error: '<3>' }[level]
}

function readable(level: LogLevel, event: string, fields: LogFields): string {
  const told = Object.entries(fields).filter(([, value]) => value !== undefined)
  const text = told
    .map(([name, value]) => ` ${name}=${typeof value === 'string' ? quote(value) : value}`)
    .join('')
  return `${level === 'info' ? '' : `${level.toUpperCase()} `}${event}${text}\n`
}

// What JSON leaves as it is and a terminal may act on: DEL, the C1 controls, line separators, turns of direction.
const unseen = /[\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g

function escapeCharacter(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`
}

// A field may hold what a peer has sent: escaped, it cannot start a line of its own or move the cursor.
function quote(value: string): string {
  return /^[\w./:@*-]+$/.test(value) ? value : JSON.stringify(value).replace(unseen, escapeCharacter)
}
