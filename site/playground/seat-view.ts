import { partOf } from '../dom.ts'
import { wordsOf } from './close-code.ts'
import { commandsOf } from './command.ts'
import { commandElement } from './command-view.ts'
import { Connection, type ConnectionState } from './connection.ts'
import { roles, routeOf, type Seat } from './seat.ts'
import { SeatFields } from './seat-fields.ts'
import { SeatLog } from './seat-log.ts'

/** Whom the events of a seat concern. */
interface SeatOwner {
  /** A field has been changed. */
  changed(view: SeatView, before: Seat): void
  removed(view: SeatView): void
}

const utf8 = new TextEncoder()

/** One connection with its fields, its state and its log. */
export class SeatView {
  readonly box: HTMLElement
  readonly #owner: SeatOwner
  readonly #fields: SeatFields
  readonly #state: HTMLElement
  readonly #switch: HTMLButtonElement
  readonly #commands: HTMLElement
  readonly #log: SeatLog
  readonly #connection: Connection
  #seat: Seat

  /** @param number which one of its kind it is, for those who read its name. */
  constructor(template: HTMLTemplateElement, seat: Seat, number: number, owner: SeatOwner) {
    const box = template.content.firstElementChild?.cloneNode(true)
    if (!(box instanceof HTMLElement)) throw new Error('The template of a seat is empty.')
    this.box = box
    this.#seat = seat
    this.#owner = owner
    this.#state = partOf(box, 'state', HTMLElement)
    this.#switch = partOf(box, 'switch', HTMLButtonElement)
    this.#commands = partOf(box, 'commands', HTMLElement)
    this.#log = new SeatLog(partOf(box, 'entries', HTMLOListElement))
    this.#fields = new SeatFields(box, seat, {
      changed: () => this.#read(),
      submitted: () => this.#submit(),
    })
    this.#connection = new Connection({
      state: state => this.#showState(state),
      heard: told => this.#log.heard(told),
      settled: outcome => this.#log.settled(outcome),
    })
    this.#name(`${roles[seat.role].title} ${number}`)
    this.#wire()
    this.#showCommands()
    this.#showState({ kind: 'closed' })
  }

  get seat(): Seat {
    return this.#seat
  }

  /** Takes another topic, and follows it with an open connection. */
  moveTo(topic: string): void {
    this.#fields.topic = topic
    this.#read()
  }

  open(): void {
    if (!this.#connection.isOpen) this.#connection.open(routeOf(this.#seat))
  }

  close(): void {
    this.#connection.close()
  }

  clear(): void {
    this.#log.clear()
  }

  #name(name: string): void {
    this.box.dataset['role'] = this.#seat.role
    this.box.ariaLabel = name
    partOf(this.box, 'name', HTMLElement).textContent = name
    partOf(this.box, 'remove', HTMLButtonElement).ariaLabel = `Remove ${name}`
    const log = partOf(this.box, 'log', HTMLElement)
    log.ariaLabel = `Log of ${name}`
    // What scrolls has to be within the keyboard's reach.
    log.tabIndex = 0
  }

  #wire(): void {
    this.#switch.addEventListener('click', () => {
      if (this.#connection.isOpen) this.close()
      else if (this.#fields.check()) this.open()
    })
    partOf(this.box, 'remove', HTMLButtonElement).addEventListener('click', () => {
      this.close()
      this.#owner.removed(this)
    })
    // The commands follow each key; all else waits until the field is left.
    this.box.addEventListener('input', () => this.#showCommands())
  }

  #read(): void {
    const before = this.#seat
    this.#seat = this.#fields.read()
    this.#showCommands()
    const route = routeOf(this.#seat)
    if (route !== routeOf(before) && this.#connection.isOpen) this.#connection.open(route)
    this.#owner.changed(this, before)
  }

  #submit(): void {
    this.#read()
    const { role, message, binary } = this.#seat
    this.open()
    if (roles[role].action === undefined) return
    this.#log.sent(message, binary)
    this.#connection.send(binary ? utf8.encode(message) : message)
  }

  #showState(state: ConnectionState): void {
    const words =
      state.kind === 'closed' && state.code ? `closed ${wordsOf(state.code, state.reason)}` : state.kind
    this.box.dataset['state'] = state.kind
    this.#state.textContent = words
    this.#switch.textContent = this.#connection.isOpen ? 'Close' : 'Connect'
    this.#switch.disabled = state.kind === 'closing'
    if (state.kind === 'open') this.#log.state('open', routeOf(this.#seat))
    if (state.kind === 'closed' && state.code) this.#log.state(words)
  }

  #showCommands(): void {
    this.#commands.replaceChildren(...commandsOf(this.#fields.read(), location.origin).map(commandElement))
  }
}
