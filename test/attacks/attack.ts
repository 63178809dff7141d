import type { TestContext } from "node:test";
import type { HubProcess, HubProcessOptions } from "./hub-process.js";

/** What an attack has to do with. */
export interface Target {
  /** What is opened for it is closed when the attack is over. */
  readonly t: TestContext;
  readonly hub: HubProcess;
  readonly wsPort: number;
  readonly tcpPort: number;
  /** Who must hear nothing of all this. */
  readonly bystander: string;
  /** A word for tokens, cookies, queries and payloads, which must stand in no line of the log. */
  readonly secret: string;
  /** Where the log was when the attack began. */
  readonly from: number;
}

/** One attack, for the rows of the threat table that it stands for. */
export interface Attack {
  readonly threats: readonly number[];
  readonly name: string;
  /** Attacks, and asserts how the hub reacts to it. */
  run(target: Target): Promise<void>;
  /** Events of which the log must have a line afterwards. */
  readonly logs?: readonly string[];
  /** Lines `app.failed` are what it is after; otherwise there must be none. */
  readonly appsFail?: true;
  /** MiB that it may cost, and why that is more than 64: a limit of the hub allows it. */
  readonly mayCost?: { readonly mebibytes: number; readonly because: string };
}

/** Attacks on one hub process, one after the other. */
export interface AttackGroup {
  readonly name: string;
  readonly hub: HubProcessOptions;
  readonly attacks: readonly Attack[];
}
