import { createInterface, type Interface } from 'node:readline'
import { Writable } from 'node:stream'
import { text } from 'node:stream/consumers'

/**
 * Asks for a secret twice on a terminal, showing nothing of it. Where there is no terminal it is the first line of
 * standard input.
 *
 * @throws Error when the two differ, or when nothing is answered.
 */
export async function readSecret(question: string): Promise<string> {
  if (!process.stdin.isTTY) return (await text(process.stdin)).split(/\r?\n/, 1)[0] ?? ''
  // In its raw mode the terminal shows nothing by itself, and what readline would show goes nowhere.
  const output = new Writable({ write: (_chunk, _encoding, done) => done() })
  const terminal = createInterface({ input: process.stdin, output, terminal: true })
  try {
    const first = await ask(terminal, question)
    if ((await ask(terminal, `${question}, again`)) === first) return first
    throw new Error('The two are not the same. Nothing is changed.')
  } finally {
    terminal.close()
  }
}

function ask(terminal: Interface, question: string): Promise<string> {
  process.stderr.write(`${question}: `)
  return new Promise((resolve, reject) => {
    const giveUp = () => reject(new Error('Nothing is changed.'))
    // Ctrl-C and Ctrl-D.
    terminal.once('close', giveUp)
    terminal.question('', answer => {
      process.stderr.write('\n')
      terminal.off('close', giveUp)
      resolve(answer)
    })
  })
}
