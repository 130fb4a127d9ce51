import { counter, gauge, labelled, processReadings, type Reading } from '#metrics'
import type { Context } from './context.ts'
import { type DoorTally, doors } from './tally.ts'

export { exposition } from '#metrics'

/** The figures of this process. */
export function functionsReadings({ tally, backbone }: Pick<Context, 'tally' | 'backbone'>): Reading[] {
  /** One value for each door. */
  const byDoor = (make: typeof counter, name: string, help: string, part: Part) => {
    const values = Object.fromEntries(doors.map(door => [door, tally.door(door)[part]]))
    return make(`postern_functions_${name}`, `${help}, by door.`, labelled('door', values))
  }
  const refused = labelled('code', tally.refused.counts)
  const { slow, gaps, repairs, repairedMessages, lagMessages } = tally
  return [
    ...processReadings('functions'),
    byDoor(gauge, 'connections', 'Connections that are open', 'open'),
    byDoor(counter, 'opened_connections_total', 'Connections that came', 'opened'),
    byDoor(counter, 'received_messages_total', 'Messages that have come to be published', 'receivedMessages'),
    byDoor(counter, 'received_bytes_total', 'Bytes of their payloads', 'receivedBytes'),
    byDoor(
      counter,
      'sent_messages_total',
      'Messages that have gone, once for each connection',
      'sentMessages',
    ),
    byDoor(counter, 'sent_bytes_total', 'Bytes of these as they were written', 'sentBytes'),
    counter('postern_functions_refused_total', 'Errors that were answered, by code.', refused),
    counter(
      'postern_functions_limited_total',
      'The same by the limit that was the reason.',
      labelled('limit', tally.refused.limits),
    ),
    counter(
      'postern_functions_slow_subscribers_total',
      'Subscribers let go because they did not read.',
      slow,
    ),
    counter('postern_functions_gaps_total', 'Subscribers for whom messages are missing.', gaps),
    counter(
      'postern_functions_repairs_total',
      "Times that the broker's stream had a hole that was filled.",
      repairs,
    ),
    counter(
      'postern_functions_repaired_messages_total',
      'Messages that were fetched for that.',
      repairedMessages,
    ),
    gauge(
      'postern_functions_lag_messages',
      'Messages of the log that have not come yet.',
      lagMessages,
      'max',
    ),
    gauge('postern_functions_broker_up', 'Processes that reach the broker.', backbone.state === 'up' ? 1 : 0),
    gauge('postern_functions_workers', 'Processes that these figures are of.', 1),
  ]
}

/** What is counted of each door. */
type Part = Exclude<keyof DoorTally, 'enter' | 'leave' | 'receive' | 'send'>
