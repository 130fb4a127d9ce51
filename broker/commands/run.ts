import { defineCommand, WrongUse } from './command.ts'

/** Its usage. What it does is in `daemon.ts`, which is started without anything of the commands. */
export const command = defineCommand({
  name: 'run',
  description: 'Runs the broker until SIGTERM or SIGINT (the default)',
  args: {},
  notes: `Settings come from broker.config.jsonc, or the file that POSTERN_CONFIG names, and from the environment:
  POSTERN_INGEST         where publishers push to       zmq-bind://PULL@127.0.0.1:5000
  POSTERN_PLAIN          payloads of the default topic  zmq-bind://PUB@127.0.0.1:6000
  POSTERN_REQUESTS       where functions ask            zmq-bind://ROUTER@127.0.0.1:5001
  POSTERN_STREAM         the whole log, for functions   zmq-bind://PUB@127.0.0.1:6001
  POSTERN_TCP            for PHPMessageBroker's clients off, or such as tcp://127.0.0.1:8887
  POSTERN_METRICS        where Prometheus asks          off, or such as http://127.0.0.1:9464
  POSTERN_USERS          htpasswd file of those who may log in
  POSTERN_DATA           folder of journal and history  data
  POSTERN_DEFAULT_TOPIC  topic of messages without one  chat
  POSTERN_PLAINTEXT      loopback, or anywhere on a private network
  POSTERN_LOG_LEVEL      debug, info, warn, error

SIGHUP reads them again. The exit code is 0 after a stop, 1 when it has failed, 2 when a setting is wrong.`,
  examples: ['POSTERN_DATA=/var/lib/postern broker run'],
  run() {
    throw new WrongUse('run takes nothing.')
  },
})
