import { readdirSync } from 'node:fs'
import { performance } from 'node:perf_hooks'
import packageJson from '../../package.json' with { type: 'json' }
import { LoopDelay } from './loop-delay.ts'
import { counter, gauge, type Reading } from './reading.ts'

const loopDelay = new LoopDelay({
  nowMs: () => performance.now(),
  timer: (delayMs, callback) => void setTimeout(callback, delayMs).unref(),
})

/** What any program of the project tells of itself. The names that begin with `process_` are those of every Prometheus client. */
export function processReadings(program: string): Reading[] {
  const { user, system } = process.cpuUsage()
  const { rss, heapUsed, heapTotal, external, arrayBuffers } = process.memoryUsage()
  const { active } = performance.eventLoopUtilization()
  const { loopCount } = performance.nodeTiming.uvMetricsInfo
  return [
    gauge(
      'postern_build_info',
      'Always 1. The labels tell the version.',
      [{ labels: { program, version: packageJson.version, node: process.version }, value: 1 }],
      'first',
    ),
    counter(
      'process_cpu_seconds_total',
      'Processor time, of the process and of the system for it.',
      (user + system) / 1e6,
    ),
    gauge(
      'process_start_time_seconds',
      'When the process began, in Unix seconds.',
      performance.timeOrigin / 1000,
      'max',
    ),
    gauge('process_resident_memory_bytes', 'Memory that is in use.', rss),
    ...openFiles(),
    gauge('nodejs_heap_size_used_bytes', "JavaScript's objects.", heapUsed),
    gauge('nodejs_heap_size_total_bytes', "What V8 has for JavaScript's objects.", heapTotal),
    gauge(
      'nodejs_external_memory_bytes',
      'What objects of JavaScript hold outside of V8, payloads included.',
      external,
    ),
    gauge('nodejs_array_buffers_bytes', 'Of that, payloads and other bytes.', arrayBuffers),
    counter(
      'postern_event_loop_busy_seconds_total',
      'Time in which the event loop did not wait.',
      active / 1000,
    ),
    counter('postern_event_loop_turns_total', 'Turns of the event loop.', loopCount),
    loopDelay.read(),
  ]
}

/** Connections and files. Only Linux tells. */
function openFiles(): Reading[] {
  try {
    const { length } = readdirSync('/proc/self/fd')
    return [gauge('process_open_fds', 'Open files and sockets.', length)]
  } catch {
    return []
  }
}
