/** What one scenario found. */
export interface Section {
  readonly title: string;
  /** What was done, and how the figures are to be read. */
  readonly note: string;
  readonly columns: readonly string[];
  readonly rows: readonly (readonly string[])[];
  readonly bars: readonly Bar[];
}

/** What the hub is held to. */
export interface Bar {
  readonly what: string;
  readonly limit: number;
  readonly measured: number;
  /** `times`, `MiB`, … */
  readonly unit: string;
}

export const isMet = ({ measured, limit }: Bar): boolean => measured <= limit;

/** A section as Markdown. */
export function formatSection({ title, note, columns, rows, bars }: Section): string {
  const all = [columns, ...rows];
  const widths = columns.map((_, column) => Math.max(...all.map((row) => (row[column] ?? "").length)));
  const line = (row: readonly string[]): string => `| ${row.map((cell, i) => pad(cell, widths[i] ?? 0, i)).join(" | ")} |`;
  const rule = `| ${widths.map((width, i) => (i === 0 ? "-".repeat(width) : `${"-".repeat(width - 1)}:`)).join(" | ")} |`;
  return [`## ${title}`, "", note, "", line(columns), rule, ...rows.map(line), "", ...bars.map(formatBar), ""].join("\n");
}

function formatBar(bar: Bar): string {
  const { what, limit, measured, unit } = bar;
  return `- ${what}: bar ${limit} ${unit}, measured ${measured.toFixed(2)} ${unit}: ${isMet(bar) ? "met" : "**NOT MET**"}`;
}

/** Names stand left, figures right. */
function pad(cell: string, width: number, column: number): string {
  return column === 0 ? cell.padEnd(width) : cell.padStart(width);
}
