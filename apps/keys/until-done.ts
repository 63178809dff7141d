import type { AppHub, MaybePromise } from "../../server/app.js";

/** Before the other hubs are tried again, ms. */
export const RETRY = 1_000;

/** What has to happen though the other hubs cannot be reached now: it is tried again until it has. */
export function untilDone(hub: AppHub, work: () => MaybePromise<unknown>, done: () => void = () => {}): void {
  const failed = (error: unknown): void => {
    hub.log.warn("keys.kept", { error: (error as Error).message });
    hub.clock.after(RETRY, () => untilDone(hub, work, done));
  };
  try {
    const result = work();
    if (result instanceof Promise) result.then(done, failed);
    else done();
  } catch (error) {
    failed(error);
  }
}
