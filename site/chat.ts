import { BrowserDrafts, browserShelf, LoginMark, OwnMessages, OwnName } from './browser-store.ts'
import { Composer } from './composer.ts'
import { ConnectionView } from './connection-view.ts'
import { Conversation } from './conversation.ts'
import { part } from './dom.ts'
import { ListView } from './list-view.ts'
import { logIn, logOut } from './login.ts'
import { LoginForm } from './login-form.ts'
import { Outbox } from './outbox.ts'
import { publish } from './publish.ts'
import { InvalidRoom, type Room, roomOfAddress } from './room.ts'
import { wireRoomForm } from './room-form.ts'
import { Scroll } from './scroll.ts'
import { StreamClient } from './stream-client.ts'
import { Timeline } from './timeline.ts'
import { TitleView } from './title-view.ts'
import { UnsentView } from './unsent-view.ts'

/** A published message that the stream does not bring within this time tells that the stream is dead. */
const comesBackWithinMs = 10_000
/** So often the words about unsent messages are looked over: what a retry means changes with time. */
const reviewMs = 30_000

const defaultTopic = document.querySelector<HTMLMetaElement>('meta[name="postern-topic"]')?.content ?? ''

wireRoomForm(
  {
    box: part('rooms', HTMLDetailsElement),
    form: part('room-form', HTMLFormElement),
    name: part('room-name', HTMLInputElement),
  },
  defaultTopic,
)
try {
  enter(roomOfAddress(location.search, defaultTopic))
} catch (error) {
  if (!(error instanceof InvalidRoom)) throw error
  refuse(error.message)
}

function enter(room: Room): void {
  const shelf = browserShelf()
  const own = new OwnMessages(shelf)
  const drafts = new BrowserDrafts(shelf, room.topic)
  const timeline = new Timeline()
  const log = part('log', HTMLElement)
  const said = part('said', HTMLElement)
  const unsentList = part('unsent', HTMLOListElement)
  const scroll = new Scroll(log, [said, unsentList], part('newest', HTMLButtonElement))
  const title = new TitleView(room, part('room', HTMLElement))

  const outbox = new Outbox({
    store: drafts,
    async post(draft) {
      const outcome = await publish(room.topic, draft)
      if (outcome.kind === 'failed' && outcome.failure.kind === 'login') login.ask()
      return outcome
    },
    newKey,
    now: Date.now,
    isShown: id => timeline.has(id),
    own(id) {
      own.add(id)
      setTimeout(() => {
        if (connection.isLive && !timeline.has(id)) stream.reconnect()
      }, comesBackWithinMs)
    },
    changed: showUnsent,
  })
  const list = new ListView(part('liste', HTMLOListElement), id => own.has(id) || outbox.claims(id))
  const composer = new Composer(
    {
      form: part('composer', HTMLFormElement),
      from: part('from', HTMLInputElement),
      text: part('text', HTMLTextAreaElement),
    },
    new OwnName(shelf),
    (from, text) => {
      outbox.add(from, text)
      scroll.toEnd()
    },
  )
  const unsent = new UnsentView(
    {
      list: unsentList,
      bar: part('unsent-bar', HTMLElement),
      count: part('unsent-count', HTMLElement),
      retryAll: part('retry-all', HTMLButtonElement),
      news: part('unsent-news', HTMLElement),
    },
    {
      retry: key => decided(() => outbox.retry(key)),
      retryAll: () => decided(() => outbox.retryAll()),
      discard: key => decided(() => outbox.discard(key)),
      edit: key => composer.take(outbox.discard(key)?.text ?? ''),
    },
  )
  const connection = new ConnectionView(
    {
      box: part('connection', HTMLElement),
      text: part('connection-text', HTMLElement),
      news: part('connection-news', HTMLElement),
      button: part('reconnect', HTMLButtonElement),
    },
    () => decided(() => stream.reconnect()),
  )
  const login = new LoginForm(
    {
      form: part('login', HTMLFormElement),
      name: part('login-name', HTMLInputElement),
      password: part('login-password', HTMLInputElement),
      wrong: part('login-wrong', HTMLElement),
      out: part('logout', HTMLButtonElement),
    },
    new LoginMark(shelf),
    {
      logIn,
      logOut,
      done() {
        setRefused(false)
        stream.rejoin()
        composer.focus()
      },
    },
  )
  const conversation = new Conversation({
    timeline,
    outbox,
    own,
    list,
    scroll,
    said,
    empty: part('empty', HTMLElement),
    showConnection: state => connection.show(state),
    refuse(reason, asksForLogin) {
      if (!asksForLogin) return refuse(reason)
      setRefused(true)
      login.ask()
    },
    noteUnread: () => title.noteUnread(),
  })
  const stream = new StreamClient(room.topic, message => conversation.hear(message))

  addEventListener('storage', change => {
    login.refresh(change.key)
    if (own.refresh(change.key)) list.refreshOwn()
    const gone = drafts.removedBy(change)
    if (gone !== undefined) outbox.forget(gone)
  })
  setInterval(() => unsent.render(outbox.unsent, Date.now()), reviewMs)
  showUnsent()
  composer.focus()

  function showUnsent(): void {
    unsent.render(outbox.unsent, Date.now())
    list.refreshOwn()
  }

  // The button that had the focus is gone now; a text field would bring up a keyboard that nobody asked for.
  function decided(act: () => void): void {
    act()
    log.focus({ preventScroll: true })
  }
}

function refuse(reason: string): void {
  const notice = part('refusal', HTMLElement)
  notice.textContent = reason
  notice.hidden = false
  setRefused(true)
}

function setRefused(isRefused: boolean): void {
  for (const id of ['log', 'composer', 'hint', 'connection']) part(id, HTMLElement).hidden = isRefused
}

function newKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16))
  return Array.from(bytes, byte => byte.toString(16).padStart(2, '0')).join('')
}
