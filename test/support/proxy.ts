import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { describe } from 'vitest'
import { freePort } from './free-port.ts'
import { withSystemPaths } from './installed.ts'
import { type AtEnd, temporaryFolder } from './processes.ts'

export const proxyKinds = ['nginx', 'caddy'] as const
export type ProxyKind = (typeof proxyKinds)[number]

/** A proxy of this machine that runs the example of its configuration. */
export interface RunningProxy {
  /** `https://localhost:41234` */
  readonly url: string
  readonly port: number
  /** Where the same is told in the clear. */
  readonly plainUrl: string
  /** The certificate that it shows. */
  readonly certificateFile: string
}

const examples = fileURLToPath(new URL('../../infra/proxy', import.meta.url))

/** A suite that is run with both. Where one is missing it is skipped and named; with `CI=true` it fails. */
export function describeBehindProxies(name: string, suite: (kind: ProxyKind) => void): void {
  for (const kind of proxyKinds) {
    const isThere = [kind, 'openssl', 'curl'].every(
      program => spawnSync(program, ['version'], { env: withSystemPaths() }).error === undefined,
    )
    const isMissing = process.env['CI'] !== 'true' && !isThere
    const title = `${name} behind ${kind}`
    describe.skipIf(isMissing)(isMissing ? `${title} (needs ${kind}, openssl and curl)` : title, () =>
      suite(kind),
    )
  }
}

/**
 * Starts a proxy with the example of its configuration, in which nothing is changed but names, addresses and the
 * certificate.
 *
 * @param upstream `127.0.0.1:41234`
 */
export async function startProxy(kind: ProxyKind, upstream: string, atEnd: AtEnd): Promise<RunningProxy> {
  const folder = await temporaryFolder(atEnd)
  const certificateFile = makeCertificate(folder)
  const [port, plainPort] = [await freePort(), await freePort()]
  const place = { folder, port, plainPort, upstream }
  const [program, args] = kind === 'nginx' ? nginx(place) : caddy(place)
  const child = spawn(program, args, {
    cwd: folder,
    env: { ...withSystemPaths(), HOME: folder, XDG_DATA_HOME: folder, XDG_CONFIG_HOME: folder },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text
    })
  const ended = once(child, 'exit')
  atEnd(async () => {
    child.kill('SIGTERM')
    await ended
  })
  await Promise.race([
    Promise.all([port, plainPort].map(listening)),
    ended.then(() => Promise.reject(new Error(`${kind} has ended\n${output}`))),
  ])
  return {
    url: `https://localhost:${port}`,
    port,
    plainUrl: `http://localhost:${plainPort}`,
    certificateFile,
  }
}

interface Place {
  readonly folder: string
  readonly port: number
  readonly plainPort: number
  readonly upstream: string
}

function nginx({ folder, port, plainPort, upstream }: Place): [program: string, args: string[]] {
  const site = changed(readFileSync(join(examples, 'nginx.conf'), 'utf8'), [
    ['listen 80;', `listen 127.0.0.1:${plainPort};`],
    ['  listen [::]:80;\n', ''],
    ['listen 443 ssl http2;', `listen 127.0.0.1:${port} ssl http2;`],
    ['  listen [::]:443 ssl http2;\n', ''],
    ['/etc/letsencrypt/live/example.com/fullchain.pem', `${folder}/certificate.pem`],
    ['/etc/letsencrypt/live/example.com/privkey.pem', `${folder}/key.pem`],
    ['server 127.0.0.1:3000;', `server ${upstream};`],
  ]).replaceAll('example.com', 'localhost')
  writeFileSync(join(folder, 'site.conf'), site)
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
  for (const name of temporary) mkdirSync(join(folder, name))
  // What surrounds a site on Debian, as far as it matters, with everything in a folder of ours.
  const whole = `
${process.getuid?.() === 0 ? 'user root;' : ''}
daemon off;
worker_processes 1;
pid ${folder}/nginx.pid;
error_log stderr warn;
events { worker_connections 768; }
http {
  access_log off;
  gzip on;
  ${temporary.map(name => `${name}_temp_path ${folder}/${name};`).join('\n  ')}
  include ${folder}/site.conf;
}
`
  writeFileSync(join(folder, 'nginx.conf'), whole)
  return ['nginx', ['-p', folder, '-c', join(folder, 'nginx.conf'), '-e', 'stderr']]
}

function caddy({ folder, port, plainPort, upstream }: Place): [program: string, args: string[]] {
  const site = changed(readFileSync(join(examples, 'Caddyfile'), 'utf8'), [
    ['example.com {', `https://localhost:${port} {\n\ttls ${folder}/certificate.pem ${folder}/key.pem`],
    ['127.0.0.1:3000', upstream],
  ])
  const options = `{\n\tadmin off\n\tdefault_bind 127.0.0.1\n\thttp_port ${plainPort}\n\thttps_port ${port}\n\tgrace_period 1s\n}\n`
  writeFileSync(join(folder, 'Caddyfile'), options + site)
  return ['caddy', ['run', '--adapter', 'caddyfile', '--config', join(folder, 'Caddyfile')]]
}

/** @throws Error where the example does not have what is to be changed: then something else than it would be tested. */
function changed(text: string, changes: readonly (readonly [from: string, to: string])[]): string {
  return changes.reduce((changing, [from, to]) => {
    if (!changing.includes(from)) throw new Error(`the example has no ${JSON.stringify(from)}`)
    return changing.replace(from, to)
  }, text)
}

function makeCertificate(folder: string): string {
  const file = join(folder, 'certificate.pem')
  const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1']
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']
  execFileSync(
    'openssl',
    ['req', '-x509', ...key, '-keyout', join(folder, 'key.pem'), '-out', file, '-days', '1', ...subject],
    { stdio: 'ignore' },
  )
  return file
}

/** Neither tells anybody that it is up: it is when it takes a connection. */
async function listening(port: number): Promise<void> {
  for (;;) {
    const socket = connect(port, '127.0.0.1')
    const isOpen = await once(socket, 'connect').then(
      () => true,
      () => false,
    )
    socket.destroy()
    if (isOpen) return
    await delay(20)
  }
}
