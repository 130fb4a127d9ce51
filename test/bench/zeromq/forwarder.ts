/** zeromq.js, one frame a message, from PULL to PUB: no order across sockets, no ids, no memory. */
import { Publisher, Pull } from 'zeromq'

const pull = new Pull({ linger: 0 })
const publisher = new Publisher({ linger: 0, sendHighWaterMark: 0, sendTimeout: 0 })
await publisher.bind('tcp://127.0.0.1:*')
await pull.bind('tcp://127.0.0.1:*')
process.send?.({ push: pull.lastEndpoint, subscribe: publisher.lastEndpoint })
process.on('disconnect', () => process.exit())
for await (const frames of pull) void publisher.send(frames)
