import type { JobInfo } from "../../apps/jobs/packets.js";
import type { Packet } from "../../protocol/index.js";
import type { Page } from "../support/page.js";
import { ROOT } from "../support/process.js";
import { untilPacket } from "./driven.js";

export const NOBODY = "00000000-0000-4000-8000-000000000000";

/** In which a job can be written. */
export interface Language {
  readonly needs: string;
  readonly driver: string;
  readonly example: string;
  /** Plain words know neither title, result nor run. */
  readonly words: boolean;
  /** How a command is given lines of this language, and what stands in front of those of a job. */
  readonly inline: readonly [flag: string, first: string];
}

export const PHP: Language = {
  needs: "php",
  driver: "test/jobs/driver.php",
  example: "examples/job.php",
  words: false,
  inline: ["-r", `require "${ROOT}/tcp-client/php/signalbox.php";`],
};
export const PYTHON: Language = {
  needs: "python3",
  driver: "test/jobs/driver.py",
  example: "examples/job.py",
  words: false,
  inline: ["-c", `import sys; sys.path.insert(0, "${ROOT}/tcp-client/python")\nfrom signalbox import *\n`],
};
export const BASH: Language = {
  needs: "bash",
  driver: "test/jobs/driver.sh",
  example: "examples/job.sh",
  words: true,
  inline: ["-c", `. "${ROOT}/tcp-client/bash/signalbox.sh"\n`],
};

/** The arguments that run a job of its own few lines, behind the client's import; `UUID` in it is the page's. */
export function inline({ inline: [flag, first] }: Language, code: string, uuid: string): string[] {
  return [flag, `${first}${code.replaceAll("UUID", uuid)}`];
}

export const is = (opcode: string) => (packet: Packet) => packet.opcode === opcode;
export const at = (n: number) => (packet: Packet) => packet.opcode === "progress" && packet.at === n;
export const ends = async (page: Page): Promise<JobInfo> => (await untilPacket(page, is("end"))) as unknown as JobInfo;
