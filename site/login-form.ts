import type { LoginMark } from './browser-store.ts'

interface LoginParts {
  readonly form: HTMLFormElement
  readonly name: HTMLInputElement
  readonly password: HTMLInputElement
  /** Why it was not possible. */
  readonly wrong: HTMLElement
  readonly out: HTMLButtonElement
}

interface LoginEffects {
  /** @returns why that was not possible, or undefined. */
  logIn(name: string, password: string): Promise<string | undefined>
  logOut(): Promise<boolean>
  /** Somebody has logged in, on this page or on another one of the browser. */
  done(): void
}

/** Asks for a name and a password when the server does, and lets whoever has logged in log out. */
export class LoginForm {
  readonly #parts: LoginParts
  readonly #mark: LoginMark
  readonly #effects: LoginEffects

  constructor(parts: LoginParts, mark: LoginMark, effects: LoginEffects) {
    this.#parts = parts
    this.#mark = mark
    this.#effects = effects
    parts.form.addEventListener('submit', event => {
      event.preventDefault()
      void this.#submit()
    })
    parts.out.addEventListener('click', () => void this.#leave())
    this.#showOut()
  }

  ask(): void {
    const { form, name, password } = this.#parts
    if (!form.hidden) return
    name.value = this.#mark.name
    form.hidden = false
    if (name.value === '') name.focus()
    else password.focus()
  }

  /** @param key what another page has changed in the storage. */
  refresh(key: string | null): void {
    if (!this.#mark.isChanged(key)) return
    this.#showOut()
    if (this.#mark.name !== '' && !this.#parts.form.hidden) this.#finish()
  }

  async #submit(): Promise<void> {
    const { name, password, wrong } = this.#parts
    wrong.hidden = true
    const reason = await this.#effects.logIn(name.value, password.value)
    password.value = ''
    if (reason !== undefined) {
      wrong.textContent = reason
      wrong.hidden = false
      password.focus()
      return
    }
    this.#mark.name = name.value
    this.#showOut()
    this.#finish()
  }

  #finish(): void {
    this.#parts.form.hidden = true
    this.#effects.done()
  }

  async #leave(): Promise<void> {
    if (!(await this.#effects.logOut())) return
    this.#mark.name = ''
    location.reload()
  }

  #showOut(): void {
    const { name } = this.#mark
    this.#parts.out.hidden = name === ''
    this.#parts.out.textContent = `Log out ${name}`
  }
}
