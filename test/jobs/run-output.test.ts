import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import fc from "fast-check";
import { type Find, finder, guess, OutputReader, type Progress, Told } from "../../tcp-client/run-output.js";

/** What an output tells that comes in these pieces. */
function read(pieces: readonly (string | Uint8Array)[], find: Find = guess, look: (progress: Progress) => void = () => {}): Progress {
  const told = new Told(find);
  const reader = new OutputReader(told);
  for (const piece of pieces) {
    reader.write(typeof piece === "string" ? Buffer.from(piece) : piece);
    look(reader.progress);
  }
  reader.end();
  return { amount: told.amount, message: told.message };
}

const amountIn = (text: string, find?: Find): unknown => {
  const { amount } = read([text], find);
  return amount && [amount.at, amount.of];
};

describe("how far a command is, as its output says", () => {
  const LINES: readonly (readonly [line: string, amount: readonly [at: number, of: number] | undefined])[] = [
    ["40%", [40, 100]],
    ["Reading database ... 45 %", [45, 100]],
    ["######    12.5%", [12.5, 100]],
    ["12,5 % fertig", [12.5, 100]],
    ["10% 20% 30%", [30, 100]],
    ["[3/10] Building", [3, 10]],
    ["Step 3/10: done.", [3, 10]],
    ["1.5/3.0 MB", [1.5, 3]],
    ["  1,234  45%  1.2MB/s  (xfr#3, to-chk=5/10)", [45, 100]],
    ["\u001b[32m 55%\u001b[0m|#### | 55/100 [00:01<00:02]", [55, 100]],
    ["\u001b]0;99%\u0007 7%", [7, 100]],
    ["\u001b[10%", undefined],
    ["0/5", [0, 5]],
    ["nothing", undefined],
    ["150%", undefined],
    ["CPU 250%, 5/3, 0/0", undefined],
    ["2024/01/12 and src/1/2/file", undefined],
    ["01/12/2024", undefined],
    ["% Total", undefined],
    ["", undefined],
  ];
  for (const [line, amount] of LINES)
    test(`${JSON.stringify(line)}: ${amount ?? "unknown"}`, () => assert.deepEqual(amountIn(line), amount));

  test("a line without an amount leaves it as it was, and so does one with a wrong one", () => {
    assert.deepEqual(amountIn("30%\nReading\n7/3\n"), [30, 100]);
  });

  test("between carriage returns is a line", () => {
    assert.deepEqual(read(["\r10%\r\r20%\rdone 30%   "]), { amount: { at: 30, of: 100 }, message: "done 30%" });
  });

  test("what stands there without a line end counts until it has grown to something else", () => {
    const seen: unknown[] = [];
    const end = read(["5", "0", "%", " of it\n", "1/2", "/2024"], guess, ({ amount, message }) => seen.push([amount?.at, message]));
    assert.deepEqual(seen, [
      [undefined, "5"],
      [undefined, "50"],
      [50, "50%"],
      [50, "50% of it"],
      [1, "1/2"],
      [50, "1/2/2024"],
    ]);
    assert.deepEqual(end, { amount: { at: 50, of: 100 }, message: "1/2/2024" });
  });

  test("a pattern with one group is the percentage, with two how much of how much", () => {
    assert.deepEqual(amountIn("at 12 of 48 (25%)", finder("at (\\d+) of (\\d+)")), [12, 48]);
    assert.deepEqual(amountIn("  45 1000M   45  450M", finder("^\\s*(\\d+)\\s")), [45, 100]);
    assert.deepEqual(amountIn("50%", finder("never (x)")), undefined);
    assert.deepEqual(amountIn("n=", finder("n=(\\d*)")), undefined);
    assert.deepEqual(amountIn("n=1e999/x", finder("n=(.*)/(.*)")), undefined);
  });

  test("a pattern without groups, or with three, is none", () => {
    for (const pattern of ["\\d+%", "(a)(b)(c)"]) assert.throws(() => finder(pattern), { name: "TypeError", message: /one or two groups/ });
    assert.throws(() => finder("("), SyntaxError);
  });
});

describe("what a command says last", () => {
  const messageIn = (text: string | Uint8Array): string => read([text]).message;

  test("is the last line that is not empty, with or without line end", () => {
    assert.equal(messageIn("one\ntwo\r\n\n  \n"), "two");
    assert.equal(messageIn("one\n  two"), "two");
    assert.equal(messageIn("\n"), "");
  });

  test("has no escape sequences and no control characters; a tab is a blank", () => {
    assert.equal(messageIn("\u001b[1;31mred\u001b[0m \u001b]8;;http://x\u001b\\link\u001b(B\u0007\ta\u0000b\u009b2Kc"), "red link abc");
  });

  test("an escape sequence that never ends takes its line and no more", () => {
    assert.equal(messageIn("\u001b]0;title without end\nnext"), "next");
  });

  test("is cut to 200 characters, none of them halved", () => {
    assert.equal(messageIn("😀".repeat(300)), "😀".repeat(200));
    assert.equal(messageIn(`   ${"ab".repeat(300)}`), "ab".repeat(100));
  });

  test("what is no UTF-8 is replaced", () => {
    assert.equal(messageIn(Buffer.from([0x61, 0xff, 0x62])), "a\ufffdb");
  });
});

/** Bytes in use, without what nobody holds any more. */
function heap(): number {
  setFlagsFromString("--expose-gc");
  runInNewContext("gc")();
  return process.memoryUsage().heapUsed;
}

describe("the reader of an output", () => {
  const text = fc.array(
    fc.oneof(
      fc.constantFrom(
        "40%",
        "3/10",
        "é",
        "😀",
        "\u001b[3",
        "1m",
        "\u001b]0;",
        "\u0007",
        "\r",
        "\n",
        "\r\n",
        " ",
        "\t",
        "\u001b",
        "9",
        "/",
        "x".repeat(500),
      ),
      fc.string({ unit: "binary" }),
      fc.uint8Array({ maxLength: 4 }),
    ),
  );

  test("tells the same however the bytes are split", () => {
    fc.assert(
      fc.property(text, fc.array(fc.nat(5_000)), (parts, cuts) => {
        const bytes = Buffer.concat(parts.map((part) => (typeof part === "string" ? Buffer.from(part) : part)));
        const at = [0, ...cuts.map((cut) => cut % (bytes.length + 1)).sort((a, b) => a - b), bytes.length];
        const pieces = at.slice(1).map((end, i) => bytes.subarray(at[i], end));
        assert.deepEqual(read(pieces), read([bytes]));
      }),
      { numRuns: 2_000 },
    );
  });

  test("keeps no more than 1 MiB of a line of 100 MiB", () => {
    const reader = new OutputReader(new Told(guess));
    const piece = Buffer.from("0123456789abcdef".repeat(4_096));
    const before = heap();
    for (let n = 0; n < 1_600; n++) reader.write(piece);
    reader.write(Buffer.from(" 77%"));
    const grown = heap() - before;
    assert.ok(grown < 2 ** 20, `${grown} bytes`);
    assert.deepEqual(reader.progress.amount, { at: 77, of: 100 });
    assert.match(reader.progress.message, /^0123456789abcdef/);
  });
});
