import type { OwnName } from './browser-store.ts'

interface ComposerParts {
  readonly form: HTMLFormElement
  readonly from: HTMLInputElement
  readonly text: HTMLTextAreaElement
}

/** Where messages are written: Enter sends, Shift+Enter starts a new line. */
export class Composer {
  readonly #parts: ComposerParts
  readonly #name: OwnName
  readonly #send: (from: string, text: string) => void

  constructor(parts: ComposerParts, name: OwnName, send: (from: string, text: string) => void) {
    this.#parts = parts
    this.#name = name
    this.#send = send
    const { form, from, text } = parts
    from.value = name.value
    from.addEventListener('input', () => from.setCustomValidity(''))
    from.addEventListener('change', () => {
      name.value = from.value.trim()
    })
    text.addEventListener('keydown', event => {
      // While an input method composes a character, Enter belongs to it.
      if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return
      event.preventDefault()
      form.requestSubmit()
    })
    form.addEventListener('submit', event => {
      event.preventDefault()
      this.#submit()
    })
  }

  focus(): void {
    const { from, text } = this.#parts
    if (from.value.trim() === '') from.focus()
    else text.focus()
  }

  /** Puts a text back for editing. */
  take(text: string): void {
    const written = this.#parts.text.value
    this.#parts.text.value = written === '' ? text : `${text}\n${written}`
    this.#parts.text.focus()
  }

  #submit(): void {
    const { from, text } = this.#parts
    const name = from.value.trim()
    if (name === '') {
      from.setCustomValidity('Please say who you are.')
      from.reportValidity()
      return
    }
    if (text.value.trim() === '') return text.focus()
    this.#name.value = name
    this.#send(name, text.value.trim())
    text.value = ''
    text.focus()
  }
}
