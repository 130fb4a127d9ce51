import { element } from './dom.ts'
import type { ChatMessage, Content } from './message.ts'

const hues = 6
/** Beyond this a text scrolls within its own bounds, which the keyboard has to reach. */
const longText = 3_000

const clock = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' })
const calendar = new Intl.DateTimeFormat(undefined, { dateStyle: 'full' })
const moment = new Intl.DateTimeFormat(undefined, { dateStyle: 'full', timeStyle: 'medium' })

/** The day of a moment, as a reader calls it. */
export function dayOf(timeMs: number): string {
  return calendar.format(timeMs)
}

/** A line between messages. */
export function divider(className: string, text: string): HTMLLIElement {
  return element('li', className, element('span', '', text))
}

/** A message in the list. @param isFollowUp its sender has just spoken: the name is not shown again. */
export function bubble(message: ChatMessage, isFollowUp: boolean): HTMLLIElement {
  const { content, timeMs } = message
  const time = element('time', '', clock.format(timeMs))
  time.dateTime = new Date(timeMs).toISOString()
  time.title = moment.format(timeMs)
  time.dir = 'ltr'
  const box = element('div', 'bubble', ...sender(content), textOf(content), time)
  // By its text: what is around the text has a direction of its own, and so no say in it.
  box.dir = 'auto'
  const item = element('li', content.kind === 'said' ? 'message' : 'message plain', box)
  item.dataset['id'] = message.id
  item.classList.toggle('follow-up', isFollowUp)
  if (content.kind === 'said') {
    item.classList.add(`hue-${hueOf(content.from)}`)
    const mark = element('span', 'mark', initialOf(content.from))
    mark.ariaHidden = 'true'
    item.prepend(mark)
  }
  return item
}

/** The text of a message. */
export function textElement(text: string): HTMLParagraphElement {
  const made = element('p', 'text', text)
  if (text.length > longText) {
    made.classList.add('long')
    made.tabIndex = 0
  }
  return made
}

function sender(content: Content): Node[] {
  if (content.kind !== 'said') return []
  const you = element('span', 'you', ' (you)')
  you.dir = 'ltr'
  return [element('p', 'head', element('bdi', 'from', content.from), you)]
}

function textOf(content: Content): HTMLParagraphElement {
  if (content.kind === 'binary') return element('p', 'note', `binary message, ${countBytes(content.bytes)}`)
  if (content.text === '') return element('p', 'note', 'empty message')
  return textElement(content.text)
}

function countBytes(bytes: number): string {
  return bytes === 1 ? '1 byte' : `${bytes.toLocaleString()} bytes`
}

function initialOf(name: string): string {
  return [...name.trim()][0]?.toLocaleUpperCase() ?? '?'
}

function hueOf(name: string): number {
  let sum = 0
  for (const char of name) sum = (sum * 31 + (char.codePointAt(0) ?? 0)) % 9_973
  return sum % hues
}
