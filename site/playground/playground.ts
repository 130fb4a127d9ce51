import { part } from '../dom.ts'
import { firstSeats, hashOf, seatsOf } from './link.ts'
import { isRole, newSeat, type Role, type Seat } from './seat.ts'
import { SeatView } from './seat-view.ts'

const template = part('seat', HTMLTemplateElement)
const link = part('link', HTMLButtonElement)
const news = part('news', HTMLElement)
const views: SeatView[] = []
const counts = new Map<Role, number>()

/** Where the seats of a role stand. */
const panelOf: Readonly<Record<Role, string>> = {
  pub: 'pubsub',
  sub: 'pubsub',
  bus: 'bus',
  push: 'pushpull',
  pull: 'pushpull',
}

function add(seat: Seat): SeatView {
  const number = (counts.get(seat.role) ?? 0) + 1
  counts.set(seat.role, number)
  const view = new SeatView(template, seat, number, { changed: follow, removed: remove })
  views.push(view)
  part(`${panelOf[seat.role]}-seats`, HTMLElement).append(view.box)
  return view
}

/** Topics of a bus or of pullers only meet when they are the same: those that were so stay so. */
function follow(view: SeatView, before: Seat): void {
  const { role, topic } = view.seat
  if (topic !== before.topic && panelOf[role] !== 'pubsub')
    for (const other of inPanel(panelOf[role])) if (other.seat.topic === before.topic) other.moveTo(topic)
  keepLink()
}

function remove(view: SeatView): void {
  views.splice(views.indexOf(view), 1)
  view.box.remove()
  keepLink()
}

function inPanel(panel: string): readonly SeatView[] {
  return views.filter(({ seat }) => panelOf[seat.role] === panel)
}

function keepLink(): void {
  history.replaceState(null, '', hashOf(views.map(({ seat }) => seat)))
}

for (const button of document.querySelectorAll<HTMLButtonElement>('button[data-add]')) {
  const { add: role = '' } = button.dataset
  if (!isRole(role)) throw new Error(`There is no role ${role}.`)
  button.addEventListener('click', () => {
    const last =
      inPanel(panelOf[role]).findLast(({ seat }) => seat.role === role) ?? inPanel(panelOf[role])[0]
    add(newSeat(role, last?.seat.topic ?? 'news'))
      .box.querySelector('input')
      ?.focus()
    keepLink()
  })
}

for (const button of document.querySelectorAll<HTMLButtonElement>('button[data-all]')) {
  const { all, panel = '' } = button.dataset
  button.addEventListener('click', () => {
    for (const view of inPanel(panel))
      if (all === 'open') view.open()
      else if (all === 'close') view.close()
      else view.clear()
  })
}

link.hidden = !navigator.clipboard
link.addEventListener('click', async () => {
  keepLink()
  await navigator.clipboard.writeText(location.href)
  news.textContent = 'The link is copied. It opens the playground as it is now.'
})

// Another link in the address bar: the page begins anew.
addEventListener('hashchange', () => location.reload())

for (const seat of seatsOf(location.hash) ?? firstSeats) add(seat)
