/**
 * Keeps segments: immutable bytes under a name of digits and `-`.
 *
 * An archive MUST give back exactly the bytes that were written, or fewer of them when a write was cut short; what
 * is torn is recognised by its reader. It MUST keep its own copy of what it was given. There is one writer, which
 * waits for each call before the next.
 */
export interface Archive {
  /** The names of all segments, in any order. Other names may be among them. */
  list(): Promise<string[]>
  /** The bytes of a segment, or undefined when there is none of this name. */
  read(name: string): Promise<Uint8Array | undefined>
  /** Resolves when a reader, also one in another process, would find the segment. */
  write(name: string, bytes: Uint8Array): Promise<void>
  /** Does nothing when there is no segment of this name. */
  remove(name: string): Promise<void>
  /** Lets go of connections and files. */
  close(): Promise<void>
}

/** The history cannot be opened or read. The message names the setting. */
export class ArchiveError extends Error {
  override readonly name = 'ArchiveError'
}

/** The smallest archive: lasts as long as the process. */
export class MemoryArchive implements Archive {
  readonly #segments = new Map<string, Uint8Array>()

  async list(): Promise<string[]> {
    return [...this.#segments.keys()]
  }

  async read(name: string): Promise<Uint8Array | undefined> {
    return this.#segments.get(name)?.slice()
  }

  async write(name: string, bytes: Uint8Array): Promise<void> {
    this.#segments.set(name, new Uint8Array(bytes))
  }

  async remove(name: string): Promise<void> {
    this.#segments.delete(name)
  }

  async close(): Promise<void> {}
}
