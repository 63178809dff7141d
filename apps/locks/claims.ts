import { Answer, attempt, done, type MaybePromise, Refusal, whenKnown } from "../../protocol/index.js";
import type { AppHub, Done, Peer, Step } from "../../server/app.js";
import { bare, publicName } from "../keys/names.js";
import { type Holding, heldBy, type Ids, keyOf } from "./packets.js";
import type { PageLocks } from "./page-locks.js";

/** What the holder of a lock, and what all others are told of it. */
export interface Holdings {
  /** Fences by id. */
  readonly mine: Record<string, number>;
  readonly held: Record<string, Holding>;
}

/** The page's whole claim in this space: what it does not name is freed, what is free is claimed [LOCK-1]. @returns what became of each claim */
export function view(page: PageLocks, { space: name, ids }: Ids, hub: AppHub): MaybePromise<readonly Done[]> {
  const space = page.space(name);
  const dropped = [...space.viewing].filter((id) => !space.listed.has(id) && !space.locking.has(id));
  for (const id of space.viewing) if (!space.listed.has(id)) space.viewing.delete(id);
  // Before it is known: the next view may come before the answer to this one, and has to give back what this one gets.
  for (const id of ids) space.viewing.add(id);
  const underWay = {};
  page.views.add(underWay);
  const settled = (has: (i: number, id: string) => boolean): void => {
    page.views.delete(underWay);
    // It may have lost what it had, for its hub had stood still, and got it anew.
    for (const [i, id] of ids.entries()) space.viewing[has(i, id) ? "add" : "delete"](id);
    page.tidy(name);
  };
  return attempt(
    () => change(hub, [...frees(page, name, dropped), ...claims(page, name, ids, hub)]),
    (made) => {
      const results = made.slice(dropped.length);
      settled((i) => results[i]?.ok === true);
      return whenKnown(granted(page, name, ids, hub), () => results);
    },
    () => settled((_, id) => page.fences.has(keyOf(name, id))),
  );
}

/** All of these or none, and nobody ever sees a part of it [LOCK-3]. @returns `refused`, with the holders, where one is held */
export function lock(page: PageLocks, { space: name, ids }: Ids, hub: AppHub): MaybePromise<Answer> {
  return whenKnown(change(hub, claims(page, name, ids, hub), true), (made) => {
    const { mine, held } = holdings(ids, made);
    const taken = made.findIndex(({ ok }) => !ok);
    if (taken === -1) for (const id of ids) page.space(name).locking.add(id);
    if (taken === -1) return whenKnown(granted(page, name, ids, hub), () => done({ mine, held }));
    const id = ids[taken] as string;
    const message = `${heldBy(id, held[id] as Holding)}; none of ${ids.length} was locked.`;
    return new Answer("refused", { error: { code: "locked", message }, result: { mine: {}, held } });
  });
}

/** Gives back what was locked; what the page's view has claimed stays its own [LOCK-4]. @throws Refusal `not-yours` */
export function unlock(page: PageLocks, { space: name, ids }: Ids, hub: AppHub): MaybePromise<Answer> {
  const foreign = ids.filter((id) => !page.fences.has(keyOf(name, id))).map((id) => keyOf(name, id));
  return whenKnown(foreign.length === 0 ? undefined : hub.table.read({ keys: foreign }), (entries) => {
    for (const id of ids) {
      const entry = entries?.get(keyOf(name, id));
      if (entry !== undefined && entry.owner !== page.peer.uuid)
        throw new Refusal("not-yours", `${heldBy(id, entry.value as Holding)}; nothing was unlocked.`);
    }
    const space = page.spaces.get(name);
    const freed = ids.filter((id) => space?.locking.delete(id) && !space.viewing.has(id));
    page.tidy(name);
    return whenKnown(change(hub, frees(page, name, freed)), () => done(undefined));
  });
}

/** The page has ended: everything is free at once. */
export function giveBack(page: PageLocks, hub: AppHub): MaybePromise<unknown> {
  const owner = page.peer.uuid;
  return change(
    hub,
    Array.from(page.fences.keys(), (key): Step => ({ do: "free", key, owner })),
  );
}

/** Others are to see whether it is there, and who it is [LOCK-6, LOCK-7]. */
export function tellPresence(page: PageLocks, hub: AppHub): MaybePromise<unknown> {
  const owner = page.peer.uuid;
  const keys = [...page.fences.keys()];
  if (keys.length === 0) return undefined;
  return whenKnown(hub.table.read({ keys }), (entries) => {
    const now = { state: stateOf(page.peer), by: publicName(page.peer) };
    const changed = [...entries].filter(([, { value }]) => (value as Holding).state !== now.state || (value as Holding).by !== now.by);
    return change(
      hub,
      changed.map(([key, { value }]): Step => ({ do: "amend", key, owner, value: { ...(value as Holding), ...now } })),
    );
  });
}

/** By id: whose it is. */
export function holdings(ids: readonly string[], made: readonly Done[]): Holdings {
  const all: Holdings = { mine: bare(), held: bare() };
  for (const [i, id] of ids.entries()) {
    const { ok, entry } = made[i] as Done;
    if (entry === undefined) continue;
    if (ok) all.mine[id] = entry.version;
    else all.held[id] = entry.value as Holding;
  }
  return all;
}

function claims({ peer }: PageLocks, space: string, ids: readonly string[], hub: AppHub): Step[] {
  const value: Holding = { by: publicName(peer), since: hub.clock.time(), state: stateOf(peer) };
  return ids.map((id) => ({ do: "claim", key: keyOf(space, id), owner: peer.uuid, value }));
}

function frees({ peer }: PageLocks, space: string, ids: readonly string[]): Step[] {
  return ids.map((id) => ({ do: "free", key: keyOf(space, id), owner: peer.uuid }));
}

const stateOf = (peer: Peer): Holding["state"] => (peer.away ? "reconnecting" : "held");

function change(hub: AppHub, steps: readonly Step[], all?: boolean): MaybePromise<readonly Done[]> {
  return steps.length === 0 ? [] : hub.table.change(steps, all);
}

/** It may have ended while it was granted these, and its end knew nothing of them; or it went away, and nobody sees that. */
function granted(page: PageLocks, space: string, ids: readonly string[], hub: AppHub): MaybePromise<unknown> {
  if (page.ended) return change(hub, frees(page, space, ids));
  return page.peer.away ? tellPresence(page, hub) : undefined;
}
