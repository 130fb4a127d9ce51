/** What is kept for the next time. Only a message that is larger by itself needs more. */
const keptBytes = { least: 64 * 1024, most: 2 * 1024 * 1024 }

/**
 * Memory that two threads see, one piece of which is used again and again: allocated by one thread and let go of by
 * another, each change would leave its holes in the heap of the process.
 */
export class SharedMemory {
  #free: SharedArrayBuffer | undefined

  /** Gives at least so many bytes, whatever is in them, until they are given back. */
  take(bytes: number): SharedArrayBuffer {
    const free = this.#free
    this.#free = undefined
    if (free && free.byteLength >= bytes) return free
    if (bytes > keptBytes.most) return new SharedArrayBuffer(bytes)
    return new SharedArrayBuffer(Math.max(keptBytes.least, 2 ** Math.ceil(Math.log2(bytes))))
  }

  /** Neither thread reads or writes it any more. */
  giveBack(memory: SharedArrayBuffer): void {
    if (memory.byteLength > keptBytes.most || memory.byteLength <= (this.#free?.byteLength ?? 0)) return
    this.#free = memory
  }
}
