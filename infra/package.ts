import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  cpSync,
  mkdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { changelogFile, controlFile, debianArchitecture } from './debian-control.ts'

/*
 * Makes what ships of dist, in dist/packages: a folder as a tar.gz, a .deb, and npm's tarball. The first two bring the
 * Node that this project is tested with: that of the distributions is too old.
 */

const root = fileURLToPath(new URL('..', import.meta.url))
const packages = join(root, 'dist/packages')
const madeAtS = timeOfSources()
const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string }

/** Of dist. Its source maps, and what other projects import, stay behind. */
const programs = ['broker', 'functions', 'infra', 'site', 'package.json', 'zeromq.node']

rmSync(packages, { recursive: true, force: true })
mkdirSync(packages, { recursive: true })
const name = `postern-${version}`
const folder = join(packages, name)
layOut(folder)
run('tar', [
  '--create',
  '--gzip',
  ...reproducibly(),
  '--file',
  `${folder}-linux-${process.arch}.tar.gz`,
  name,
])
makeDeb()
rmSync(folder, { recursive: true })
run('npm', ['pack', '--silent', '--ignore-scripts', '--pack-destination', packages, root])

/** The program as it is installed, below the folder. */
function layOut(to: string): void {
  for (const part of programs) {
    cpSync(join(root, 'dist', part), join(to, part), {
      recursive: true,
      filter: path => !path.endsWith('.map'),
    })
  }
  for (const script of ['broker', 'functions']) place(`infra/bin/${script}`, join(to, 'bin', script), 0o755)
  place('node_modules/node/bin/node', join(to, 'bin/node'), 0o755)
  chmodSync(join(to, 'zeromq.node'), 0o644)
  for (const paper of ['LICENSE', 'README.md', 'CHANGELOG.md']) place(paper, join(to, paper))
  writeFileSync(join(to, 'VERSION'), `${version}\n`)
}

function makeDeb(): void {
  const tree = join(packages, 'deb')
  const at = (path: string) => join(tree, path)
  mkdirSync(at('usr/lib'), { recursive: true })
  cpSync(folder, at('usr/lib/postern'), { recursive: true })
  for (const paper of ['LICENSE', 'README.md', 'CHANGELOG.md']) rmSync(at(`usr/lib/postern/${paper}`))
  mkdirSync(at('usr/bin'))
  symlinkSync('../lib/postern/bin/broker', at('usr/bin/broker'))
  const conffiles = [
    ['infra/server.config.jsonc', 'etc/postern/broker.config.jsonc', 0o644],
    ['infra/default/broker', 'etc/default/broker', 0o644],
    ['infra/default/functions', 'etc/default/functions', 0o644],
    ['infra/init.d/broker', 'etc/init.d/broker', 0o755],
    ['infra/init.d/functions', 'etc/init.d/functions', 0o755],
    ['infra/logrotate/postern', 'etc/logrotate.d/postern', 0o644],
  ] as const
  for (const [from, to, mode] of conffiles) place(from, at(to), mode)
  for (const unit of ['broker.service', 'functions.service'])
    place(`infra/systemd/${unit}`, at(`usr/lib/systemd/system/${unit}`))
  const papers = at('usr/share/doc/postern')
  place('README.md', join(papers, 'README.md'))
  place('infra/debian/copyright', join(papers, 'copyright'))
  for (const supervised of ['broker.conf', 'functions.conf'])
    place(`infra/supervisor/${supervised}`, join(papers, 'examples/supervisor', supervised))
  place('CHANGELOG.md', join(papers, 'CHANGELOG.md'))
  const changelog = join(papers, 'changelog')
  writeFileSync(changelog, changelogFile(version, madeAtS))
  run('gzip', ['--no-name', '--best', changelog])
  place('infra/debian/lintian-overrides', at('usr/share/lintian/overrides/postern'))

  const kibibytes = Number(
    run('du', ['--summarize', '--apparent-size', '--block-size=1K', tree]).split('\t')[0],
  )
  mkdirSync(at('DEBIAN'))
  writeFileSync(at('DEBIAN/control'), controlFile({ version, kibibytes }))
  writeFileSync(at('DEBIAN/conffiles'), conffiles.map(([, to]) => `/${to}\n`).join(''))
  for (const script of ['postinst', 'prerm', 'postrm'])
    place(`infra/debian/${script}`, at(`DEBIAN/${script}`), 0o755)
  const sums = run('find', ['usr', '-type', 'f', '-exec', 'md5sum', '{}', '+'], tree)
  writeFileSync(at('DEBIAN/md5sums'), sums)
  run('chmod', ['--recursive', 'u+rwX,go+rX,go-w', tree])

  const file = join(packages, `postern_${version}_${debianArchitecture()}.deb`)
  run('dpkg-deb', ['--root-owner-group', '-Zxz', '-z1', '--build', tree, file])
  rmSync(tree, { recursive: true })
}

function place(from: string, to: string, mode = 0o644): void {
  mkdirSync(dirname(to), { recursive: true })
  cpSync(join(root, from), to, { dereference: true })
  chmodSync(to, mode)
}

/** The same files make the same archive, whoever packs them. */
function reproducibly(): string[] {
  return [
    '--sort=name',
    '--owner=0',
    '--group=0',
    '--numeric-owner',
    '--mode=u+rwX,go+rX,go-w',
    `--mtime=@${madeAtS}`,
  ]
}

/** When the newest commit was made; outside of a repository, when the version was written down. */
function timeOfSources(): number {
  try {
    const git = ['-C', root, 'log', '-1', '--format=%ct']
    return Number(execFileSync('git', git, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }))
  } catch {
    return Math.floor(statSync(join(root, 'package.json')).mtimeMs / 1000)
  }
}

function run(file: string, args: readonly string[], cwd = packages): string {
  const env = { ...process.env, SOURCE_DATE_EPOCH: String(madeAtS) }
  return execFileSync(file, args, { cwd, env, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] })
}
