import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'
import { type Browser, chromium } from 'playwright-core'
import { afterAll, beforeAll, describe } from 'vitest'

const names = ['chromium', 'chromium-browser', 'google-chrome']

const args = [
  // In a container the browser's own sandbox cannot be had.
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  // Nothing but the page under test may use the network or the processor.
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]

/** Where the system's Chromium is: what `CHROMIUM` names, or the first one on the PATH. */
export function findChromium(env: NodeJS.ProcessEnv = process.env): string | undefined {
  if (env['CHROMIUM']) return isProgram(env['CHROMIUM']) ? env['CHROMIUM'] : undefined
  const folders = (env['PATH'] ?? '').split(delimiter).filter(folder => folder !== '')
  return names.flatMap(name => folders.map(folder => join(folder, name))).find(isProgram)
}

/** Starts the system's Chromium, without a window. */
export function launchChromium(): Promise<Browser> {
  const executablePath = findChromium()
  if (!executablePath) throw new Error(missing)
  return chromium.launch({ executablePath, args, handleSIGINT: false, handleSIGTERM: false })
}

/** One Chromium for all tests of a suite. */
export function useChromium(): () => Browser {
  let browser: Browser | undefined
  beforeAll(async () => {
    browser = await launchChromium()
  })
  afterAll(() => browser?.close())
  return () => {
    if (!browser) throw new Error('Chromium runs only during the tests of its suite.')
    return browser
  }
}

const missing = `needs a Chromium: none of ${names.join(', ')} is on the PATH, and CHROMIUM names none`

/** A suite that needs Chromium. Where there is none it is skipped and says so; with `CI=true` it fails. */
export function describeInChromium(name: string, suite: () => void): void {
  const isMissing = findChromium() === undefined && process.env['CI'] !== 'true'
  describe.skipIf(isMissing)(isMissing ? `${name} (${missing})` : name, suite)
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}
