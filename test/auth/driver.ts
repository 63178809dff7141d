// Lets a test decide when a job does what: a line of standard input is a step, a line of standard output says what came of it.
import { createInterface } from "node:readline";
import { connect, type Job } from "../../tcp-client/index.js";

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

async function progress(job: Job, [at, of, ...message]: readonly string[]): Promise<void> {
  const { status } = await job.progress({ at: Number(at), of: Number(of), message: message.join(" ") });
  say(status === "sent" ? "go" : status);
}

async function drive(job: Job): Promise<{ rows: number } | undefined> {
  for await (const line of createInterface({ input: process.stdin })) {
    const [step, ...words] = line.split(" ");
    if (step === "progress") await progress(job, words);
    else return { rows: 7 };
  }
  return undefined;
}

try {
  const hub = await connect(process.env.SIGNALBOX_HUB);
  await hub.run(process.argv[2] ?? "", "job", drive, { title: "Driven" });
  hub.close();
  say("ended");
} catch (error) {
  say(`error ${(error as Error).message}`);
  process.exitCode = 1;
}
// An open standard input keeps a process alive.
process.stdin.destroy();
