/** What went one way through a door. Plain numbers, since every message counts here. */
export interface Traffic {
  messages: number
  /** As they travel, with what is around the payloads. */
  bytes: number
}
