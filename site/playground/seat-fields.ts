import { partOf } from '../dom.ts'
import { toHistory } from './link.ts'
import { type Role, roles, type Seat } from './seat.ts'

/** What is to be done when a field is used. */
interface FieldsOwner {
  /** Something may be different. */
  changed(): void
  /** Enter, or the button that sends. */
  submitted(): void
}

/** The fields of a seat. */
export class SeatFields {
  readonly #role: Role
  readonly #form: HTMLFormElement
  readonly #topic: HTMLInputElement
  readonly #message: HTMLTextAreaElement
  readonly #binary: HTMLInputElement
  readonly #history: HTMLInputElement
  readonly #exact: HTMLInputElement
  readonly #echo: HTMLInputElement

  constructor(box: HTMLElement, seat: Seat, owner: FieldsOwner) {
    this.#role = seat.role
    this.#form = partOf(box, 'form', HTMLFormElement)
    this.#topic = partOf(box, 'topic', HTMLInputElement)
    this.#message = partOf(box, 'message', HTMLTextAreaElement)
    this.#binary = partOf(box, 'binary', HTMLInputElement)
    this.#history = partOf(box, 'history', HTMLInputElement)
    this.#exact = partOf(box, 'exact', HTMLInputElement)
    this.#echo = partOf(box, 'echo', HTMLInputElement)
    const { action, options } = roles[seat.role]
    for (const option of ['history', 'exact', 'echo'] as const)
      partOf(box, `${option}-field`, HTMLElement).hidden = !options.includes(option)
    partOf(box, 'writing', HTMLElement).hidden = action === undefined
    partOf(box, 'send', HTMLButtonElement).textContent = action ?? ''
    this.#fill(seat)
    this.#wire(owner)
  }

  /** What they say now. */
  read(): Seat {
    return {
      role: this.#role,
      // What has no UTF-8 form has no place in an address.
      topic: this.#topic.value.toWellFormed(),
      message: this.#message.value,
      binary: this.#binary.checked,
      history: toHistory(this.#history.value),
      exact: this.#exact.checked,
      echo: this.#echo.checked,
    }
  }

  set topic(topic: string) {
    this.#topic.value = topic
  }

  /** Whether they say enough for a connection. If not, their reader is told. */
  check(): boolean {
    return this.#form.reportValidity()
  }

  #fill({ topic, message, binary, history, exact, echo }: Seat): void {
    this.#topic.value = topic
    this.#message.value = message
    this.#binary.checked = binary
    this.#history.value = String(history)
    this.#exact.checked = exact
    this.#echo.checked = echo
  }

  #wire({ changed, submitted }: FieldsOwner): void {
    this.#form.addEventListener('change', changed)
    this.#form.addEventListener('submit', event => {
      event.preventDefault()
      submitted()
    })
    this.#message.addEventListener('keydown', event => {
      if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return
      event.preventDefault()
      this.#form.requestSubmit()
    })
  }
}
