import { type MaybePromise, type Packet, quoted, Refusal, whenKnown } from "../protocol/index.js";
import type { AppHub, Handler, Peer } from "./app.js";

/** As much of Standard Schema (standardschema.dev, version 1) as is used: what zod, valibot, arktype and others make. */
export interface Schema<Output = unknown> {
  readonly "~standard": {
    readonly version: 1;
    readonly validate: (value: unknown) => MaybePromise<Result<Output>>;
    readonly types?: { readonly input: unknown; readonly output: Output } | undefined;
  };
}

type Result<Output> =
  | { readonly value: Output; readonly issues?: undefined }
  | {
      readonly issues: readonly {
        readonly message: string;
        readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined;
      }[];
    };

/** Problems that an answer names: a packet with a hundred of them is mended one after the other. */
const MAX_ISSUES = 3;

/**
 * A handler for packets of one shape: `opcodes: { setState: shaped(z.object({ order: z.string() }), (packet, peer, hub) => …) }`. What does not fit
 * is `refused`, `bad-shape`, with each place and reason, before the handler is called; what it gets is what the validator made of the packet, with
 * its type.
 * @param schema of any validator that speaks Standard Schema
 */
export function shaped<Output extends object>(
  schema: Schema<Output>,
  handler: (packet: Output & { opcode: string }, peer: Peer, hub: AppHub) => unknown,
): Handler {
  return (packet, peer, hub) =>
    whenKnown(schema["~standard"].validate(packet), (result) => {
      if (result.issues) throw new Refusal("bad-shape", describe(packet, result.issues));
      return handler({ ...result.value, opcode: packet.opcode }, peer, hub);
    });
}

function describe(
  { opcode }: Packet,
  issues: readonly { message: string; path?: readonly (PropertyKey | { key: PropertyKey })[] | undefined }[],
): string {
  const named = issues.slice(0, MAX_ISSUES).map(({ message, path = [] }) => {
    const place = path.map((each) => String(typeof each === "object" ? each.key : each)).join(".");
    return place === "" ? message : `${quoted(place)}: ${message}`;
  });
  const more = issues.length > MAX_ISSUES ? `; and ${issues.length - MAX_ISSUES} more` : "";
  return `${quoted(opcode)} has not the shape that its app expects: ${named.join("; ")}${more}.`;
}
