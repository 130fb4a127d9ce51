/** What programs use to talk to a broker. */
export {
  type Access,
  type Credential,
  Message,
  type Position,
  PosternError,
  type Publication,
  type Rights,
  type Selection,
} from '../protocol/index.ts'
export { defaultBroker, parseBrokerAddress } from './address.ts'
export type * from './backbone.ts'
export { type CurveKeys, readCurveKeys } from './curve.ts'
export { type ProcessMessage, ReceivedMessage, Receiver, type ReceiverOptions } from './receiver.ts'
export { Relay, type RelayOptions } from './relay.ts'
export { defaultIngest, Sender, type SenderOptions, type SendOptions } from './sender.ts'
