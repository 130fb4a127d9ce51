import { existsSync, writeFileSync } from 'node:fs'
import { mkdir, mkdtemp } from 'node:fs/promises'
import { connect, createServer } from 'node:net'
import { join } from 'node:path'
import { type Stage, startCommand } from '../program.ts'
import type { FanOut } from './fan-out.ts'

const program = '/usr/sbin/nginx'
const nchanModule = '/usr/lib/nginx/modules/ngx_nchan_module.so'

export const nchanInstaller = 'test/services/install-bench-debian.sh'

export function hasNchan(): boolean {
  return existsSync(program) && existsSync(nchanModule)
}

/** Nchan, the module of nginx written in C: one worker, everything in a folder of ours. */
export async function startNchan(stage: Stage): Promise<FanOut> {
  const folder = await mkdtemp(join(stage.folder, 'nchan-'))
  const temporary = ['body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
  for (const name of temporary) await mkdir(join(folder, name))
  const port = await freePort()
  const config = join(folder, 'nginx.conf')
  writeFileSync(config, configuration(folder, temporary, port))
  const { pid } = await startCommand(
    stage,
    program,
    ['-p', folder, '-c', config, '-e', join(folder, 'error.log')],
    {
      tells: false,
    },
  )
  await listening(port)
  return {
    name: 'Nchan',
    address: `127.0.0.1:${port}`,
    publishPath: '/pub',
    subscribePath: '/sub',
    protocol: 'sse',
    begin: 'head',
    pids: [pid],
    brokerPids: [],
  }
}

/** As root nginx would drop its rights to those of a user who may not enter our folder. */
const user = process.getuid?.() === 0 ? 'user root;' : ''

// Its defaults keep 10 messages and close a connection after 1,000 requests: both would be errors here.
const configuration = (folder: string, temporary: readonly string[], port: number) => `
load_module ${nchanModule};
${user}
daemon off;
worker_processes 1;
worker_rlimit_nofile 20000;
pid ${folder}/nginx.pid;
events { worker_connections 19000; }
http {
  access_log off;
  keepalive_requests 100000000;
  keepalive_timeout 600;
  client_body_buffer_size 256k;
  client_max_body_size 1m;
  nchan_shared_memory_size 512M;
${temporary.map(name => `  ${name === 'body' ? 'client_body' : name}_temp_path ${folder}/${name};`).join('\n')}
  server {
    listen 127.0.0.1:${port} backlog=4096;
    location = /pub {
      nchan_publisher;
      nchan_channel_id bench;
      nchan_message_buffer_length 10000;
      nchan_message_timeout 60s;
    }
    location = /sub {
      nchan_subscriber eventsource;
      nchan_channel_id bench;
      nchan_subscriber_first_message newest;
      nchan_subscriber_timeout 0;
    }
  }
}
`

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  await new Promise(resolve => server.close(resolve))
  if (address === null || typeof address === 'string') throw new Error('no port is free')
  return address.port
}

/** nginx tells nobody that it is up: it is when it takes a connection. */
async function listening(port: number): Promise<void> {
  for (let tries = 0; tries < 200; tries++) {
    const isOpen = await new Promise<boolean>(resolve => {
      const socket = connect(port, '127.0.0.1')
      socket.on('connect', () => resolve(true)).on('error', () => resolve(false))
      socket.on('connect', () => socket.destroy())
    })
    if (isOpen) return
    await new Promise(resolve => setTimeout(resolve, 50))
  }
  throw new Error('nginx is not up')
}
