import { describe, expect, it } from 'vitest'
import { exposure, isLoopback } from '../../functions/exposure.ts'
import { readSettings } from '../../functions/settings.ts'

const exposed = (env: Record<string, string>) => exposure(readSettings(env))

describe('functions without rules', () => {
  it('may listen where nobody else comes', () => {
    const names = ['127.0.0.1', '127.8.8.8', '::1', 'localhost', '::ffff:127.0.0.1']
    expect(names.map(HOST => exposed({ HOST }))).toEqual(names.map(() => undefined))
  })

  it('may not listen where others come, and the refusal says what to write', () => {
    const names = ['0.0.0.0', '::', '192.0.2.1', 'example.com', '127.evil.example', 'localhost.example']
    expect(names.filter(isLoopback)).toEqual([])
    for (const HOST of names) expect(exposed({ HOST })).toContain(`HOST is "${HOST}", which others can reach`)
    expect(exposed({ HOST: '::' })).toContain(
      'access: [{"who": "user:*", "publish": ["**"], "subscribe": ["**"]}]',
    )
  })

  it('may not believe a proxy, which lets others in', () => {
    expect(exposed({ POSTERN_TRUST_PROXY: 'loopback' })).toContain('POSTERN_TRUST_PROXY is "loopback"')
    expect(exposed({ POSTERN_TRUST_PROXY: 'off' })).toBeUndefined()
  })
})
