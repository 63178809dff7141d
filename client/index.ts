export type { Outcome, Snapshot, Wire, WireEvents } from "./dialog.js";
export { ClosedError, RefusedError } from "./errors.js";
export {
  type ClientOptions,
  CloseEvent,
  HubClient,
  helloOf,
  type MessageFields,
  type OpenWire,
  PushEvent,
  ReadyEvent,
  untilReady,
} from "./hub-client.js";
