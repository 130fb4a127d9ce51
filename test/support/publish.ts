/** What a publisher was told of one message. */
export interface Outcome {
  readonly payload: string
  readonly status: number
  /** The id of its receipt. */
  readonly id: string | undefined
}

/** Publishes by POST, once. A connection that is lost counts as an unknown outcome. */
export async function post(url: string, payload: string, key?: string): Promise<Outcome> {
  try {
    const headers = key === undefined ? {} : { 'idempotency-key': key }
    const response = await fetch(url, { method: 'POST', body: payload, headers })
    const body: unknown = await response.json()
    const id = typeof body === 'object' && body && 'id' in body ? String(body.id) : undefined
    return { payload, status: response.status, id }
  } catch {
    return { payload, status: 504, id: undefined }
  }
}

/** Publishes by POST and repeats under one key until there is a receipt. */
export async function postUntilReceived(url: () => string, payload: string, key: string): Promise<Outcome> {
  for (;;) {
    const outcome = await post(url(), payload, key)
    if (outcome.status === 201) return outcome
    if (outcome.status < 500) throw new Error(`refused with ${outcome.status}`)
  }
}

/** Runs a task for each number below a count, so many at a time. */
export async function times(
  count: number,
  atOnce: number,
  task: (index: number) => Promise<void>,
): Promise<void> {
  let next = 0
  const worker = async () => {
    while (next < count) await task(next++)
  }
  await Promise.all(Array.from({ length: atOnce }, worker))
}
