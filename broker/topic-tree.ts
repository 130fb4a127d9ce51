import type { Selection } from './protocol/index.ts'

/** A segment of a topic, below the segments before it. */
export interface TopicNode<T> {
  readonly parent: TopicNode<T> | undefined
  readonly segment: string
  children: Map<string, TopicNode<T>> | undefined
  /** What belongs to the topic that ends here, or undefined when only topics below it are there. */
  value: T | undefined
  /** How many topics are at this node and below it. */
  topics: number
}

/** Topics by their segments, so that what is below a topic is found without looking at any other. */
export class TopicTree<T> {
  readonly #root: TopicNode<T> = newNode(undefined, '')
  #nodes = 0

  /** How many nodes are in memory: one for each different beginning of a topic. */
  get nodes(): number {
    return this.#nodes
  }

  /** Adds a topic that is not there yet. */
  add(topic: string, value: T): TopicNode<T> {
    let node = this.#root
    for (const segment of topic.split('/')) {
      node.children ??= new Map()
      let child = node.children.get(segment)
      if (!child) {
        child = newNode(node, segment)
        node.children.set(segment, child)
        this.#nodes++
      }
      node = child
    }
    node.value = value
    for (let above: TopicNode<T> | undefined = node; above; above = above.parent) above.topics++
    return node
  }

  /** Removes the topic that ends at a node, and what only led to it. */
  remove(node: TopicNode<T>): void {
    node.value = undefined
    for (let at: TopicNode<T> | undefined = node; at; at = at.parent) {
      at.topics--
      if (at.topics > 0 || !at.parent) continue
      at.parent.children?.delete(at.segment)
      this.#nodes--
    }
  }

  /** What is known of a selection. */
  choose({ topics, exact }: Selection): Choice<T> {
    const named = new Set<TopicNode<T>>()
    for (const topic of topics) {
      const node = this.#find(topic)
      if (node) named.add(node)
    }
    return new Choice(named, exact)
  }

  #find(topic: string): TopicNode<T> | undefined {
    let node: TopicNode<T> | undefined = this.#root
    for (const segment of topic.split('/')) {
      node = node.children?.get(segment)
      if (!node) return undefined
    }
    return node
  }
}

/** The topics of a selection that are in the tree. Holds until the tree changes. */
export class Choice<T> {
  readonly #named: ReadonlySet<TopicNode<T>>
  readonly #exact: boolean

  constructor(named: ReadonlySet<TopicNode<T>>, exact: boolean) {
    this.#named = named
    this.#exact = exact
  }

  /** How many topics there are, each counted once. */
  get topics(): number {
    if (this.#exact) return this.#named.size
    let sum = 0
    for (const root of this.#roots()) sum += root.topics
    return sum
  }

  has(node: TopicNode<T>): boolean {
    return this.#named.has(node) || (!this.#exact && this.#isBelow(node))
  }

  /** The value of each topic, once. */
  *values(): Generator<T> {
    const open = this.#exact ? [...this.#named] : this.#roots()
    for (let node = open.pop(); node; node = open.pop()) {
      if (node.value !== undefined) yield node.value
      if (!this.#exact && node.children) for (const child of node.children.values()) open.push(child)
    }
  }

  /** The named topics that no other named one covers. */
  #roots(): TopicNode<T>[] {
    return [...this.#named].filter(node => !this.#isBelow(node))
  }

  #isBelow(node: TopicNode<T>): boolean {
    for (let above = node.parent; above; above = above.parent) if (this.#named.has(above)) return true
    return false
  }
}

function newNode<T>(parent: TopicNode<T> | undefined, segment: string): TopicNode<T> {
  return { parent, segment, children: undefined, value: undefined, topics: 0 }
}
