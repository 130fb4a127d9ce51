import { type Launch, type Stage, startCommand, startNode } from '../program.ts'
import type { FanOut } from './fan-out.ts'

export const floorName = 'floor (C, one write each)'

/** The floor: one write for each delivery, in C. */
export async function startFloor(stage: Stage, program: string): Promise<FanOut> {
  const { pid, told } = await startCommand(stage, program, [])
  return control(floorName, pid, told)
}

/** A server of ours in Node: `better-sse`, `bare-socket`, `node-http` or `h3`. */
export async function startControl(
  stage: Stage,
  file: string,
  name: string,
  launch: Launch = {},
): Promise<FanOut> {
  const { pid, told } = await startNode(stage, `test/bench/servers/${file}.ts`, [], launch)
  return control(name, pid, told)
}

export async function startSocketIo(stage: Stage): Promise<FanOut> {
  const started = await startControl(stage, 'socket-io', 'socket.io')
  const subscribePath = '/socket.io/?EIO=4&transport=websocket'
  return { ...started, subscribePath, protocol: 'socketio', begin: 'connect' }
}

export async function startCrossws(stage: Stage, launch: Launch = {}): Promise<FanOut> {
  return { ...(await startControl(stage, 'crossws', 'crossws', launch)), protocol: 'websocket' }
}

function control(name: string, pid: number, told: Readonly<Record<string, unknown>>): FanOut {
  return {
    name,
    address: String(told['address']),
    publishPath: '/publish',
    subscribePath: '/subscribe',
    protocol: 'sse',
    begin: 'head',
    pids: [pid],
    brokerPids: [],
  }
}

/** Whether a package of npm is there. */
export function hasPackage(name: string): boolean {
  try {
    import.meta.resolve(name)
    return true
  } catch {
    return false
  }
}
