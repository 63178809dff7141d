/** A test that meets a threat, in another folder. */
export interface OtherTest {
  readonly file: string;
  /** A part of its name, as it stands in the source. */
  readonly name: string;
}

/** Where a threat, or a part of it, is met; or a sentence why it is not. */
export type Elsewhere = OtherTest | string;

const NO_OTHER_HUBS = "Hubs do not share anything over Redis yet.";
const SIMULATED = "test/locks/simulation.test.ts";
const TCP_LISTENERS = "test/transports/tcp-listeners.test.ts";
const RULES = "test/locks/rules.test.ts";
const ADMISSION = "test/auth/admission.test.ts";
const IDENTITY = "test/auth/identity.test.ts";
const RESUME = "test/server/resume.test.ts";

/** What meets the threats, or parts of them, for which there is no attack on a process here. */
export const ELSEWHERE: ReadonlyMap<number, readonly Elsewhere[]> = new Map([
  [7, [{ file: "test/transports/websocket.test.ts", name: "above maxHandshakes the newest is dropped at once" }]],
  [15, [{ file: ADMISSION, name: "and so whatever its origin and proxy; nothing of it is logged" }]],
  [35, [{ file: "test/protocol/chunks.test.ts", name: "[CHUNK-3] no cut is inside a surrogate pair" }]],
  [45, [{ file: "test/auth/allow.test.ts", name: "[ALLOW-1] who may say an opcode" }]],
  [50, [{ file: "test/web-client/demo.test.ts", name: "as text and never as HTML" }]],
  [51, [{ file: IDENTITY, name: "is what others see and by what it is addressed, whatever its hello says" }]],
  [
    56,
    [
      { file: ADMISSION, name: "a proof of another secret" },
      { file: TCP_LISTENERS, name: "without backendKey is refused, by name: anybody could send" },
    ],
  ],
  [59, [{ file: "test/config/address.test.ts", name: "every address of 127.0.0.0/8 and no other IPv4 address" }]],
  [
    60,
    [
      { file: TCP_LISTENERS, name: "a backend is served over a unix socket that only its owner may open" },
      { file: TCP_LISTENERS, name: "a file left by a hub that died is replaced, and the new one is the owner's only" },
      { file: TCP_LISTENERS, name: "in its place is never removed: the hub fails to start" },
    ],
  ],
  [63, [`A node that is killed: ${NO_OTHER_HUBS}`]],
  [
    69,
    [
      { file: SIMULATED, name: "hubs that stand still, clocks that jump" },
      { file: SIMULATED, name: "fences follow the wall clock back" },
    ],
  ],
  [
    70,
    [
      { file: "test/resilience/stall.test.ts", name: "tells the holder that it has lost, and gives the lock to whoever comes" },
      { file: RULES, name: "[LOCK-10] a hub that stood still for longer than its lease has lost what its pages held" },
    ],
  ],
  [71, [NO_OTHER_HUBS]],
  [
    72,
    [NO_OTHER_HUBS, { file: "test/locks/unreachable.test.ts", name: "a view that was refused claims nothing, and leaves nothing behind" }],
  ],
  [73, [{ file: IDENTITY, name: "a secret opens a page only for its user, from its origin" }]],
  [76, [{ file: RESUME, name: "does not fit: a new page, gap" }]],
  [78, [NO_OTHER_HUBS]],
  [79, [NO_OTHER_HUBS]],
  [80, [NO_OTHER_HUBS]],
  [81, [NO_OTHER_HUBS]],
  [86, [{ file: "test/dependencies.test.ts", name: "is this tree of packages, and no other" }]],
  [87, [{ file: "test/config/process.test.ts", name: "a secret is taken from the environment, never from a flag, and never printed" }]],
]);
