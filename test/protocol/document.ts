import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { ROOT } from "../support/process.js";

const read = (path: string): string => readFileSync(join(ROOT, path), "utf8");

/** PROTOCOL.md, for tests that hold the code to it. */
export const PROTOCOL = read("PROTOCOL.md");

/** One chapter, by its number. */
export function chapter(number: number): string {
  const text = PROTOCOL.split(/^## /m).find((each) => each.startsWith(`${number} `));
  if (text === undefined) throw new Error(`PROTOCOL.md has no chapter ${number}.`);
  return text;
}

/** One rule's sentence, by its number, until the next rule or empty line. */
export function rule(number: string): string {
  const text = new RegExp(`^- \`\\[${number}\\]\` ((?:.|\n(?!- |\n))*)`, "m").exec(PROTOCOL)?.[1];
  if (text === undefined) throw new Error(`PROTOCOL.md has no rule ${number}.`);
  return text;
}

/** The rows of the first table, of the document or a chapter, whose header begins with this cell: one object a row, by column name. */
export function table(firstColumn: string, inChapter?: number): Record<string, string>[] {
  const lines = (inChapter === undefined ? PROTOCOL : chapter(inChapter)).split("\n");
  const start = lines.findIndex((line) => cells(line)[0] === firstColumn);
  if (start === -1) throw new Error(`PROTOCOL.md has no table that begins with the column ${firstColumn}.`);
  const end = lines.findIndex((line, i) => i > start && !line.startsWith("|"));
  const columns = cells(lines[start] as string);
  return lines.slice(start + 2, end).map((line) => {
    const values = cells(line);
    return Object.fromEntries(columns.map((column, i) => [column, values[i] ?? ""]));
  });
}

function cells(line: string): string[] {
  return line
    .split("|")
    .slice(1, -1)
    .map((cell) => cell.trim());
}

/** All that stands in backticks. */
export const codesIn = (text: string): string[] => [...text.matchAll(/`([^`]+)`/g)].map((match) => match[1] as string);

/** The TypeScript files of these rooms, by path. */
export function sources(...rooms: string[]): Map<string, string> {
  const paths = rooms.flatMap((room) => (room.endsWith(".ts") ? [room] : filesOf(room)));
  return new Map(paths.map((path) => [path, read(path)]));
}

function filesOf(room: string): string[] {
  if (!existsSync(join(ROOT, room))) return [];
  const names = readdirSync(join(ROOT, room), { recursive: true, encoding: "utf8" });
  return names.filter((name) => name.endsWith(".ts")).map((name) => `${room}/${name}`);
}
