import { element } from '../dom.ts'
import type { Command } from './command.ts'

/** A line for a shell, to be copied, and what is to be known of it. */
export function commandElement({ does, line, note }: Command): HTMLElement {
  const code = element('code', '', line)
  const shown = element('pre', '', code)
  shown.tabIndex = 0
  shown.ariaLabel = `${does} with curl`
  const notes = note === undefined ? [] : [element('p', 'hint', note)]
  // Only pages from this machine or over HTTPS get at the clipboard; anybody can select the text.
  if (!navigator.clipboard) return element('div', 'command', shown, ...notes)
  const copy = element('button', '', 'Copy')
  copy.type = 'button'
  copy.ariaLabel = `Copy: ${does} with curl`
  copy.addEventListener('click', async () => {
    await navigator.clipboard.writeText(line)
    copy.textContent = 'Copied'
  })
  return element('div', 'command', shown, copy, ...notes)
}
