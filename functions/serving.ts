import { get } from 'node:http'

/**
 * Asks this process over its own address whether it serves.
 *
 * @param url where it listens.
 * @throws Error when the answer is not that it lives. Without an answer it does not come back: see `Proof`.
 */
export function proveServing(url: string): Promise<undefined> {
  return new Promise((resolve, reject) => {
    const request = get(new URL('/health/live', url), { agent: false }, answer => {
      answer.resume()
      if (answer.statusCode === 200) resolve(undefined)
      else reject(new Error(`/health/live answers ${answer.statusCode}`))
    })
    request.on('error', reject)
  })
}
