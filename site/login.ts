import { isObject, readJson } from './message.ts'

const answerWithinMs = 20_000

/** Logs this browser in. @returns why that was not possible, or undefined. */
export async function logIn(name: string, password: string): Promise<string | undefined> {
  const response = await post('/login', JSON.stringify({ name, password }))
  if (!response) return 'The server could not be reached.'
  if (response.ok) return undefined
  const answer = readJson(await response.text().catch(() => ''))
  const error = isObject(answer) && isObject(answer['error']) ? answer['error'] : {}
  return String(error['message'] ?? `The server answered ${response.status}.`)
}

/** Logs this browser out. @returns whether it was possible. */
export async function logOut(): Promise<boolean> {
  return (await post('/logout', ''))?.ok === true
}

async function post(path: string, body: string): Promise<Response | undefined> {
  try {
    return await fetch(path, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body,
      signal: AbortSignal.timeout(answerWithinMs),
    })
  } catch {
    return undefined
  }
}
