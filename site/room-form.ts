import { addressOfRoom, InvalidRoom, roomNamed } from './room.ts'

interface RoomFormParts {
  readonly box: HTMLDetailsElement
  readonly form: HTMLFormElement
  readonly name: HTMLInputElement
}

/** Leads to the room that is typed in. */
export function wireRoomForm({ box, form, name }: RoomFormParts, defaultTopic: string): void {
  box.addEventListener('toggle', () => {
    if (box.open) name.focus()
  })
  box.addEventListener('keydown', event => {
    if (event.key !== 'Escape') return
    box.open = false
    box.querySelector('summary')?.focus()
  })
  document.addEventListener('pointerdown', event => {
    if (event.target instanceof Node && !box.contains(event.target)) box.open = false
  })
  name.addEventListener('input', () => name.setCustomValidity(''))
  form.addEventListener('submit', event => {
    event.preventDefault()
    try {
      location.assign(addressOfRoom(roomNamed(name.value.trim(), defaultTopic).name))
    } catch (error) {
      if (!(error instanceof InvalidRoom)) throw error
      name.setCustomValidity(error.message)
      name.reportValidity()
    }
  })
}
