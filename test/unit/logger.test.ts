import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createLogger, type LogForm, type LogLevel } from '../../broker/logger.ts'
import { anyText } from '../support/publications.ts'

function begin({ form = 'terminal' as LogForm, level = 'info' as LogLevel } = {}) {
  const lines: string[] = []
  const clock = { nowMs: Date.UTC(2026, 0, 2, 3, 4, 5, 678) }
  const settings = { level }
  const logger = createLogger({
    program: 'broker',
    write: line => lines.push(line),
    form,
    nowMs: () => clock.nowMs,
    level: () => settings.level,
  })
  return { logger, lines, clock, settings }
}

describe('a log line', () => {
  it('is one readable line on a terminal', () => {
    const { logger, lines } = begin()
    logger.info('listening', { stream: 'tcp://127.0.0.1:6001', peers: 2, ready: true, nothing: undefined })
    logger.warn('refused', { reason: 'The topic is not valid.' })
    expect(lines).toEqual([
      '03:04:05.678 broker listening stream=tcp://127.0.0.1:6001 peers=2 ready=true\n',
      '03:04:05.678 broker WARN refused reason="The topic is not valid."\n',
    ])
  })

  it('has its priority in the journal of systemd, which adds time and program itself', () => {
    const { logger, lines } = begin({ form: 'journal', level: 'debug' })
    for (const level of ['debug', 'info', 'warn', 'error'] as const) logger[level]('event', { peers: 2 })
    expect(lines).toEqual([
      '<7>DEBUG event peers=2\n',
      '<6>event peers=2\n',
      '<4>WARN event peers=2\n',
      '<3>ERROR event peers=2\n',
    ])
  })

  it('is one JSON object anywhere else', () => {
    const { logger, lines } = begin({ form: 'json' })
    logger.error('failed', { reason: 'a\nb', bytes: 5 })
    expect(lines).toHaveLength(1)
    expect(lines[0]).toMatch(/^[^\n]*\n$/)
    expect(JSON.parse(lines[0] ?? '')).toEqual({
      time: '2026-01-02T03:04:05.678Z',
      level: 'error',
      program: 'broker',
      event: 'failed',
      reason: 'a\nb',
      bytes: 5,
    })
  })

  it('stays one line without control characters, whatever a peer has put into its fields', () => {
    const hostile = fc.oneof(
      anyText,
      fc.constantFrom('\n', '\r\n', '\x1b[2J', '\x9b2J', '\u2028', '\u202e', '\x7f', '"', '\\'),
    )
    fc.assert(
      fc.property(hostile, fc.constantFrom<LogForm>('terminal', 'journal', 'json'), (reason, form) => {
        const { logger, lines } = begin({ form })
        logger.info('refused', { reason })
        expect(lines).toHaveLength(1)
        expect(lines[0]?.endsWith('\n')).toBe(true)
        const line = lines[0]?.slice(0, -1) ?? ''
        if (form !== 'json') expect(line).not.toMatch(/[\p{Cc}\u2028-\u202e\u2066-\u2069]/u)
        else expect(line).not.toMatch(/[\r\n]/)
      }),
    )
  })
})

describe('the level', () => {
  it('leaves out what is below it, and can change while running', () => {
    const { logger, lines, settings } = begin({ level: 'warn' })
    const logAll = () => {
      logger.debug('d')
      logger.info('i')
      logger.warn('w')
      logger.error('e')
    }
    logAll()
    expect(lines).toHaveLength(2)
    settings.level = 'debug'
    logAll()
    expect(lines).toHaveLength(6)
  })
})

describe('limited lines', () => {
  it('come at most once a second for each event, and tell how many were left out', () => {
    const { logger, lines, clock } = begin({ form: 'json' })
    for (let i = 0; i < 5; i++) logger.limited('refused', { i })
    logger.limited('other')
    expect(lines.map(line => JSON.parse(line))).toMatchObject([
      { level: 'warn', event: 'refused', i: 0 },
      { level: 'warn', event: 'other' },
    ])
    clock.nowMs += 1000
    logger.limited('refused', { i: 5 })
    clock.nowMs += 1000
    logger.limited('refused', { i: 6 })
    const [, , third = '', fourth = ''] = lines
    expect(JSON.parse(third)).toMatchObject({ event: 'refused', i: 5, leftOut: 4 })
    expect(JSON.parse(fourth)).not.toHaveProperty('leftOut')
  })
})
