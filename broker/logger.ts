/** What a log line may carry beside its event: never a payload, never a secret. */
export type LogFields = Readonly<Record<string, string | number | boolean | undefined>>

export const logLevels = ['debug', 'info', 'warn', 'error'] as const
export type LogLevel = (typeof logLevels)[number]

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
  /** Readable lines for a terminal, JSON for anything else. */
  readonly isTerminal: boolean
  readonly nowMs: () => number
  /** Lines below it are left out. Default `info`. Asked for each line, so that it can change while running. */
  readonly level?: () => LogLevel
}

const limitedIntervalMs = 1000

export function createLogger({
  program,
  write,
  isTerminal,
  nowMs,
  level = () => 'info',
}: LoggerOptions): Logger {
  const limits = new Map<string, { sinceMs: number; leftOut: number }>()

  const log = (at: LogLevel, event: string, fields: LogFields = {}): void => {
    if (logLevels.indexOf(at) < logLevels.indexOf(level())) return
    const time = new Date(nowMs()).toISOString()
    write(isTerminal ? readable(time, program, at, event, fields) : json(time, program, at, event, fields))
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

/** A program's log on its standard output: readable on a terminal, JSON lines for whatever else reads it. */
export function processLogger(program: string, level?: () => LogLevel): Logger {
  return createLogger({
    program,
    write: line => process.stdout.write(line),
    isTerminal: process.stdout.isTTY === true,
    nowMs: Date.now,
    ...(level && { level }),
  })
}

/** What is worth knowing of something that was thrown. */
export function describeError(error: unknown): LogFields {
  return error instanceof Error ? { error: error.message, stack: error.stack } : { error: String(error) }
}

function json(time: string, program: string, level: LogLevel, event: string, fields: LogFields): string {
  return `${JSON.stringify({ time, level, program, event, ...fields })}\n`
}

function readable(time: string, program: string, level: LogLevel, event: string, fields: LogFields): string {
  const told = Object.entries(fields).filter(([, value]) => value !== undefined)
  const text = told
    .map(([name, value]) => ` ${name}=${typeof value === 'string' ? quote(value) : value}`)
    .join('')
  return `${time.slice(11, 23)} ${program} ${level === 'info' ? '' : `${level.toUpperCase()} `}${event}${text}\n`
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
