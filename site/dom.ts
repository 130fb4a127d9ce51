/** An element that the page certainly has. */
export function part<E extends HTMLElement>(id: string, type: new () => E): E {
  const found = document.getElementById(id)
  if (!(found instanceof type)) throw new Error(`The page has no ${type.name} #${id}.`)
  return found
}

/** A new element. Whatever text it gets is text, never markup. */
export function element<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  className: string,
  ...content: (Node | string)[]
): HTMLElementTagNameMap[K] {
  const made = document.createElement(tag)
  made.className = className
  made.append(...content)
  return made
}

/** The one element below another that has this name in `data-part`. */
export function partOf<E extends HTMLElement>(root: ParentNode, name: string, type: new () => E): E {
  const found = root.querySelector(`[data-part="${name}"]`)
  if (!(found instanceof type)) throw new Error(`The page has no ${type.name} named ${name}.`)
  return found
}
