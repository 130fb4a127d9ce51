import type { LogFields, Logger } from '#logger'

/** One line each of users whose password is `secret`, one in each form. */
export const userLines = {
  amy: 'amy:$2y$05$WmR/zF/Qj6ABAY.I4ATyfeArToY9nuB7tIVIXQL.ITVhZsOip900W',
  bob: 'bob:$apr1$v07ls1hi$/ybN8VPwQGqlW0AKggz4Y/',
  eve: 'eve:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=',
} as const

/** A log that a test can look into, and wait for. */
export class TestLogger implements Logger {
  readonly lines: { readonly event: string; readonly fields: LogFields }[] = []
  #watchers: (() => void)[] = []

  readonly debug = (event: string, fields: LogFields = {}): void => this.#add(event, fields)
  readonly info = this.debug
  readonly warn = this.debug
  readonly error = this.debug
  readonly limited = this.debug

  get events(): string[] {
    return this.lines.map(({ event }) => event)
  }

  /** Resolves when an event has been told so often. */
  async says(event: string, times = 1): Promise<void> {
    while (this.events.filter(told => told === event).length < times) {
      await new Promise<void>(resolve => this.#watchers.push(resolve))
    }
  }

  #add(event: string, fields: LogFields): void {
    this.lines.push({ event, fields })
    const watchers = this.#watchers
    this.#watchers = []
    for (const watch of watchers) watch()
  }
}
