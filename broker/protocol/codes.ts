/** What an error of a code means to whoever gets it. */
interface Meaning {
  /** The HTTP status that carries it. */
  readonly status: number
  /** Whether the same request may succeed later. */
  readonly temporary: boolean
  readonly message: string
}

/** Every error that Postern answers with. A code never changes its meaning. */
export const codes = {
  INVALID_TOPIC: { status: 400, temporary: false, message: 'The topic is not valid.' },
  RESERVED_TOPIC: {
    status: 400,
    temporary: false,
    message: 'Topics that begin with "$" belong to the system.',
  },
  INVALID_TYPE: { status: 400, temporary: false, message: 'The type is not valid.' },
  INVALID_KEY: { status: 400, temporary: false, message: 'The idempotency key is not valid.' },
  INVALID_UTF8: { status: 400, temporary: false, message: 'A text is not valid UTF-8.' },
  INVALID_REQUEST: { status: 400, temporary: false, message: 'The request cannot be understood.' },
  UNAUTHORIZED: { status: 401, temporary: false, message: 'Log in first.' },
  FORBIDDEN: { status: 403, temporary: false, message: 'This user may not do that.' },
  FOREIGN_PAGE: {
    status: 403,
    temporary: false,
    message: 'Pages of that origin may not do this here.',
  },
  NOT_DURABLE: {
    status: 400,
    temporary: false,
    message: 'The topic is not a durable one: nothing of it is kept, and there is nothing to acknowledge.',
  },
  NOT_FOUND: { status: 404, temporary: false, message: 'There is nothing here.' },
  METHOD_NOT_ALLOWED: { status: 405, temporary: false, message: 'This address does not take this method.' },
  REQUEST_TIMEOUT: {
    status: 408,
    temporary: true,
    message: 'The request did not come whole in the time for it. Nothing of it was done.',
  },
  KEY_CONFLICT: {
    status: 409,
    temporary: false,
    message: 'The idempotency key was used for another message.',
  },
  PAYLOAD_TOO_LARGE: { status: 413, temporary: false, message: 'The payload is too large.' },
  URL_TOO_LONG: { status: 414, temporary: false, message: 'The address is too long.' },
  HEAD_TOO_LARGE: { status: 431, temporary: false, message: 'The head of the request is too large.' },
  TOO_MANY_TOPICS: { status: 400, temporary: false, message: 'These are too many topics.' },
  RATE_LIMITED: {
    status: 429,
    temporary: true,
    message:
      'Too much was published from there, or by this user. The message is not published; send it later.',
  },
  TOO_MANY_CONNECTIONS: {
    status: 503,
    temporary: true,
    message: 'There are too many connections already.',
  },
  UNSUPPORTED_VERSION: {
    status: 400,
    temporary: false,
    message: 'The broker does not speak this version of the protocol.',
  },
  UNKNOWN_SESSION: {
    status: 503,
    temporary: true,
    message: 'The request was meant for a broker process that has ended. Say hello again.',
  },
  LOGIN_UNAVAILABLE: {
    status: 503,
    temporary: true,
    message: 'The login cannot be checked now: too many wait, or too many have failed. Try again later.',
  },
  BROKER_UNAVAILABLE: {
    status: 503,
    temporary: true,
    message: 'The broker cannot be reached. The message is not published and never will be; send it again.',
  },
  BACKLOG_FULL: {
    status: 503,
    temporary: true,
    message: 'Too much is waiting already. The message is not published; send it again.',
  },
  TOPIC_FULL: {
    status: 503,
    temporary: true,
    message:
      'The topic keeps as much as it may until receivers have acknowledged some of it. The message is not published; send it again.',
  },
  STORE_UNAVAILABLE: {
    status: 503,
    temporary: true,
    message: 'The store of kept messages cannot be used. The message is not published; send it again.',
  },
  JOURNAL_FAILED: {
    status: 507,
    temporary: true,
    message: 'The broker cannot write its journal. The message is not published; send it again.',
  },
  RECEIPT_UNKNOWN: {
    status: 504,
    temporary: true,
    message:
      'The broker did not answer in time. Whether the message is published is not known: repeat it with the same Idempotency-Key.',
  },
  INTERNAL: { status: 500, temporary: true, message: 'Something went wrong inside.' },
} as const satisfies Record<string, Meaning>

export type Code = keyof typeof codes

/** Names the bound that was hit, so that nobody has to guess which one it was. */
export interface Bound {
  readonly limit: number
  /** The setting that raises the limit. */
  readonly setting: string
  /** When it is worth another try. */
  readonly retryAfterMs?: number
}

/** The form of an error on every wire. */
export interface ErrorBody {
  readonly code: Code
  readonly message: string
  readonly limit?: number
  readonly setting?: string
  readonly retryAfterMs?: number
}

/** An error that is told to whoever made the request. Its text holds no payload and no internals. */
export class PosternError extends Error {
  override readonly name = 'PosternError'
  readonly code: Code
  readonly bound: Bound | undefined

  /** @param message default: what the code means, and the bound where there is one. */
  constructor(code: Code, message?: string, bound?: Bound) {
    super(message ?? meaningOf(code, bound))
    this.code = code
    this.bound = bound
  }

  /** The error as another process has told it. */
  static fromBody({ code, message, limit, setting, retryAfterMs }: ErrorBody): PosternError {
    const later = retryAfterMs === undefined ? {} : { retryAfterMs }
    const bound = limit === undefined || setting === undefined ? undefined : { limit, setting, ...later }
    return new PosternError(code, message, bound)
  }

  get status(): number {
    return codes[this.code].status
  }

  /** That of the bound. */
  get setting(): string | undefined {
    return this.bound?.setting
  }

  toBody(): ErrorBody {
    return { code: this.code, message: this.message, ...this.bound }
  }
}

function meaningOf(code: Code, bound: Bound | undefined): string {
  const { message } = codes[code]
  return bound ? `${message} The limit is ${bound.limit} (${bound.setting}).` : message
}

/** Whether a text is one of the {@link codes}. */
export function isCode(text: unknown): text is Code {
  return typeof text === 'string' && Object.hasOwn(codes, text)
}
