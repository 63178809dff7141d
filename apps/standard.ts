import { MAX_NAME, NOT_FORWARDED, type Packet, quoted, Refusal, splitUuid, type Tags, type Target, tagsOf } from "../protocol/index.js";
import type { App, FeedbackOptions, MessageKind } from "../server/app.js";

/** What every resource can do: report to a page, tell all pages, echo (PROTOCOL.md, chapter 7). `quit` is the dialog's own. */
export function standard(): App {
  return {
    name: "standard",
    opcodes: {
      feedback(packet, peer, hub) {
        const options: FeedbackOptions = kindOf(packet);
        if (waits(packet)) options.wait = true;
        return hub.feedback(targetOf(packet), forwarded(packet, peer.uuid), options);
      },
      broadcast: (packet, peer, hub) => hub.broadcast(forwarded(packet), { ...narrowing(packet), ...kindOf(packet), except: peer }),
      echo(packet, peer) {
        const { ref: _, ...echo } = packet;
        if (!peer.takesPushes) return echo;
        peer.send(echo);
        return undefined;
      },
    },
    reads: ["echo"],
    words: {
      feedback(args) {
        const [uuid, message] = splitUuid(args);
        return { opcode: "feedback", uuid, message };
      },
      broadcast: (message) => ({ opcode: "broadcast", message }),
      echo: (message) => ({ opcode: "echo", message }),
    },
  };
}

/** All of the sender's fields but those for the hub [STD-1]; `fromUUID` is the hub's own word [STD-2]. */
function forwarded(packet: Packet, fromUUID?: string): Packet {
  const out: Packet = { opcode: packet.opcode };
  for (const field of Object.keys(packet)) {
    if (!NOT_FORWARDED.has(field)) out[field] = packet[field];
  }
  if (fromUUID !== undefined) out.fromUUID = fromUUID;
  return out;
}

/** Exactly one of the three [STD-3]. */
function targetOf(packet: Packet): Target {
  const uuid = textOf(packet, "uuid");
  const ident = textOf(packet, "ident");
  const tags = optionalTags(packet);
  const given = Number(uuid !== undefined) + Number(ident !== undefined) + Number(tags !== undefined);
  if (given !== 1) {
    throw new Refusal("bad-message", `Expected exactly one of \`uuid\`, \`ident\` and \`tags\` that is not empty, got ${given}.`);
  }
  if (uuid !== undefined) return { uuid };
  return ident === undefined ? { tags: tags as Tags } : { ident };
}

/** Event, state or volatile (chapter 14). */
function kindOf(packet: Packet): MessageKind {
  const kind: MessageKind = {};
  const key = textOf(packet, "key");
  const { volatile } = packet;
  if (key !== undefined && key.length > MAX_NAME)
    throw new Refusal("bad-message", `Expected \`key\` to have at most ${MAX_NAME} characters.`);
  if (volatile !== undefined && typeof volatile !== "boolean")
    throw new Refusal("bad-message", `Expected \`volatile\` to be true or false, got ${quoted(volatile)}.`);
  if (key !== undefined) kind.key = key;
  if (volatile) kind.volatile = true;
  return kind;
}

/** Is the answer to come when the page's own code has it [KIND-4]? */
function waits({ wait }: Packet): boolean {
  if (wait === undefined || wait === "") return false;
  if (wait === "page") return true;
  throw new Refusal("bad-message", `Expected \`wait\` to be \`page\`, got ${quoted(wait)}.`);
}

function narrowing(packet: Packet): { resource?: string; tags?: Tags } {
  const resource = textOf(packet, "resource");
  const tags = optionalTags(packet);
  return { ...(resource === undefined ? undefined : { resource }), ...(tags === undefined ? undefined : { tags }) };
}

/** An empty string counts as absent [STD-3]. */
function textOf(packet: Packet, field: string): string | undefined {
  const value = packet[field];
  if (value === undefined || value === "") return undefined;
  if (typeof value === "string") return value;
  throw new Refusal("bad-message", `Expected \`${field}\` to be a string, got ${quoted(value)}.`);
}

function optionalTags(packet: Packet): Tags | undefined {
  return packet.tags === undefined || packet.tags === "" ? undefined : tagsOf(packet.tags);
}
