/** The topic of the messages that go through Postern's client. */
export const relayTopic = 'bench/relay'
