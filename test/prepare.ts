import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { findChromium } from './support/chromium.ts'
import { hasCurl } from './support/curl.ts'
import { hasMariadb, hasStrace } from './support/installed.ts'
import { hasMojolicious } from './support/mojolicious.ts'
import { hasPhp } from './support/php.ts'

/* Before the tests: what they need from the system is installed where that can be done, and else named. */

const installer = 'test/services/install-debian.sh'

if (existsSync('/etc/debian_version') && process.getuid?.() === 0) {
  spawnSync(fileURLToPath(new URL(`../${installer}`, import.meta.url)), { stdio: 'inherit' })
}

const missing: string[] = []
if (findChromium() === undefined) missing.push('Chromium (on the PATH, or where CHROMIUM says)')
if (!hasCurl()) missing.push('curl')
if (!hasStrace()) missing.push('strace')
if (!hasMariadb()) missing.push('MariaDB (mariadbd and mariadb-install-db)')
if (!hasPhp()) missing.push('PHP with its sockets')
if (!hasMojolicious()) missing.push('perl with Mojolicious')

const isRequired = process.env['CI'] === 'true'
for (const part of missing) {
  const effect = isRequired ? 'with CI=true the tests need all' : 'the suites that need it are skipped'
  process.stderr.write(`Missing: ${part}; ${effect}. On Debian, as root: ${installer}\n`)
}
if (isRequired && missing.length > 0) process.exitCode = 1
