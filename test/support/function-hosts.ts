import type { H3 } from 'h3'
import { toNodeHandler } from 'h3/node'
import type { LogFields } from '../../broker/logger.ts'
import { AddressList } from '../../functions/address-list.ts'
import { createApp } from '../../functions/app.ts'
import { type Context, createContext } from '../../functions/context.ts'
import { serve } from '../../functions/server.ts'
import { readSettings } from '../../functions/settings.ts'
import { MemoryBackbone, type MemoryBackboneOptions } from './memory-backbone.ts'

/** Whatever answers HTTP: the two listeners of the project, and a host that knows nothing but `fetch`. */
export const hostKinds = ['listhen', 'node', 'fetch'] as const
export type TestHostKind = (typeof hostKinds)[number]

/** The hosts with a socket. */
export const socketHostKinds = ['listhen', 'node'] as const

export interface TestHost {
  /** Empty for the host without a socket. */
  readonly url: string
  fetch(path: string, init?: RequestInit): Promise<Response>
  close(): Promise<void>
}

export async function startHost(
  kind: TestHostKind,
  context: Context,
  app: H3 = createApp(context),
): Promise<TestHost> {
  if (kind === 'fetch') {
    return {
      url: '',
      fetch: async (path, init) => app.fetch(new Request(`http://functions.test${path}`, init)),
      close: async () => {
        context.streams.shutDown()
        await context.backbone.close()
      },
    }
  }
  const handler = toNodeHandler(app)
  const { url, close } = await serve({ host: kind, hostname: '127.0.0.1', port: 0, context, handler })
  return { url, fetch: (path, init) => fetch(`${url}${path}`, init), close }
}

export interface TestContext extends Context {
  readonly backbone: MemoryBackbone
  /** What was logged, oldest first. */
  readonly logged: { readonly level: string; readonly event: string; readonly fields: LogFields }[]
}

export interface TestContextOptions extends MemoryBackboneOptions {
  readonly heartbeatMs?: number
  readonly retryMs?: number
  readonly mode?: Context['mode']
  readonly pingMs?: number
  readonly idleMs?: number
  readonly headMs?: number
  readonly leaseMs?: number
  readonly maxLeases?: number
  readonly allowOrigins?: readonly string[]
  readonly trustProxy?: string
  readonly metricsFrom?: string
  readonly corsOrigins?: readonly string[]
  /** Settings as they stand in the environment. */
  readonly limits?: Readonly<Record<string, string>>
}

/** A context over a log in memory. */
export function testContext({
  heartbeatMs = 15_000,
  retryMs = 1000,
  mode = 'production',
  pingMs = 30_000,
  idleMs = 0,
  headMs = 10_000,
  leaseMs = 30_000,
  maxLeases = 10_000,
  allowOrigins = [],
  trustProxy = 'off',
  metricsFrom = 'loopback',
  corsOrigins = [],
  limits = {},
  ...options
}: TestContextOptions = {}): TestContext {
  const backbone = new MemoryBackbone(options)
  const logged: TestContext['logged'] = []
  const context = createContext({
    backbone,
    log: {
      info: (event, fields = {}) => logged.push({ level: 'info', event, fields }),
      error: (event, fields = {}) => logged.push({ level: 'error', event, fields }),
      limited: (event, fields = {}) => logged.push({ level: 'limited', event, fields }),
    },
    settings: {
      ...readSettings(limits),
      POSTERN_HEARTBEAT_MS: heartbeatMs,
      POSTERN_RETRY_MS: retryMs,
      POSTERN_MODE: mode,
      POSTERN_PING_MS: pingMs,
      POSTERN_IDLE_MS: idleMs,
      POSTERN_HEAD_MS: headMs,
      POSTERN_LEASE_MS: leaseMs,
      POSTERN_MAX_LEASES: maxLeases,
      POSTERN_ALLOW_ORIGINS: allowOrigins,
      POSTERN_TRUST_PROXY: new AddressList(trustProxy),
      POSTERN_CORS_ORIGINS: corsOrigins,
      POSTERN_METRICS_FROM: new AddressList(metricsFrom),
      POSTERN_MAX_ECHO_BYTES: 16 * 1024 * 1024,
    },
    random: () => 0.5,
  })
  return { ...context, backbone, logged }
}
