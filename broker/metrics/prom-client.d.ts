// The package as a whole loads what it pushes and traces with: 15 MB. This part of it merges figures and writes them.
declare module 'prom-client/lib/cluster.js' {
  import type { AggregatorRegistry } from 'prom-client'

  const registry: typeof AggregatorRegistry
  export default registry
}
