const maintainer = 'The Postern authors <postern@users.noreply.invalid>'

/** The architecture of this machine, as Debian calls it. */
export function debianArchitecture(): string {
  const names: Readonly<Record<string, string>> = { x64: 'amd64', arm64: 'arm64' }
  const name = names[process.arch]
  if (!name) throw new Error(`There is no .deb for ${process.arch}.`)
  return name
}

export interface Control {
  readonly version: string
  /** What it takes on a disk. */
  readonly kibibytes: number
}

/** What dpkg has to know of the package. */
export function controlFile({ version, kibibytes }: Control): string {
  return `Package: postern
Version: ${version}
Architecture: ${debianArchitecture()}
Maintainer: ${maintainer}
Installed-Size: ${kibibytes}
Depends: adduser, init-system-helpers (>= 1.54), libc6 (>= 2.28), libgcc-s1, libstdc++6 (>= 9), sysvinit-utils (>= 3.05-4~)
Recommends: logrotate
Section: net
Priority: optional
Description: real-time message broker for small servers
 Publish and subscribe over HTTP, Server-Sent Events, WebSocket, ZeroMQ and
 TCP, with one ordered log and receipts: a lost connection loses nothing.
 .
 It brings the Node.js that it is tested with, below /usr/lib/postern.
`
}

/** What Debian's tools ask for; what has changed stands in CHANGELOG.md. @param timeS of the version, Unix time. */
export function changelogFile(version: string, timeS: number): string {
  const date = new Date(timeS * 1000).toUTCString().replace('GMT', '+0000')
  return `postern (${version}) stable; urgency=medium\n\n  * See CHANGELOG.md.\n\n -- ${maintainer}  ${date}\n`
}
