import { CONTENDERS, type Contender, type Program } from "./contenders.js";
import { ServerProcess, type ServerSettings } from "./server-process.js";

/** Starts servers for the scenarios and knows all that are running, so that none is left behind. */
export class Arena {
  readonly #running = new Set<ServerProcess<Program>>();

  constructor(
    private readonly settings: ServerSettings,
    /** Says how far it is; never part of the result. */
    readonly progress: (text: string) => void,
  ) {}

  /** @param flags for Node, beside those that all have */
  async start<P extends Program>(contender: P, flags: readonly string[] = []): Promise<ServerProcess<P>> {
    const server = await ServerProcess.start(contender, { ...this.settings, flags });
    this.#running.add(server);
    return server;
  }

  /** One of each kind, at the same time: rounds can then take turns. */
  async startAll(contenders: readonly Contender[] = CONTENDERS): Promise<ServerProcess[]> {
    const servers: ServerProcess[] = [];
    for (const contender of contenders) servers.push(await this.start(contender));
    return servers;
  }

  async stop(server: ServerProcess<Program>): Promise<void> {
    await server.stop();
    this.#running.delete(server);
  }

  async stopAll(): Promise<void> {
    await Promise.all([...this.#running].map((server) => this.stop(server)));
  }

  /** At once, for the way out. */
  killAll(): void {
    for (const server of this.#running) server.kill();
  }
}
