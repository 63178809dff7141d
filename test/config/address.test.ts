import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { AddressCounter, isLoopback } from "../../server/address.js";

describe("is an address this host's own?", () => {
  const ROWS: readonly [address: string, own: boolean][] = [
    ["127.0.0.1", true],
    ["127.255.255.254", true],
    ["::1", true],
    ["::ffff:127.0.0.1", true],
    ["::FFFF:127.0.0.1", true],
    ["::ffff:7f00:1", true],
    ["localhost", true],
    ["0.0.0.0", false],
    ["::", false],
    ["126.255.255.255", false],
    ["128.0.0.1", false],
    ["10.0.0.1", false],
    ["::2", false],
    ["::ffff:10.0.0.1", false],
    ["fe80::1", false],
    ["127.0.0.1.evil.example", false],
    ["localhost.evil.example", false],
    ["127.1", false],
    ["unix", false],
    ["", false],
  ];
  for (const [address, own] of ROWS) test(`${address || "nothing"}: ${own ? "yes" : "no"}`, () => assert.equal(isLoopback(address), own));

  test("every address of 127.0.0.0/8 and no other IPv4 address", () => {
    fc.assert(fc.property(fc.ipV4(), (address) => assert.equal(isLoopback(address), address.startsWith("127."))));
  });

  test("what is no address is no, never an exception", () => {
    fc.assert(fc.property(fc.oneof(fc.string({ unit: "binary" }), fc.domain()), (text) => assert.equal(isLoopback(text), false)));
  });
});

describe("`maxPerAddress`: connections are counted by address", () => {
  test("as many as allowed may enter, and one more for each that leaves", () => {
    const counter = new AddressCounter(2);
    const enter = (): boolean => counter.enter("10.0.0.1");
    assert.deepEqual([enter(), enter(), enter()], [true, true, false]);
    counter.leave("10.0.0.1");
    assert.deepEqual([enter(), enter()], [true, false]);
  });

  test("an address does not count for another", () => {
    const counter = new AddressCounter(1);
    assert.deepEqual([counter.enter("10.0.0.1"), counter.enter("10.0.0.2")], [true, true]);
  });

  test("this host is exempt", () => {
    const counter = new AddressCounter(1);
    for (const address of ["127.0.0.1", "127.0.0.1", "::1", "::1", "::ffff:127.0.0.1", "::ffff:127.0.0.1"])
      assert.equal(counter.enter(address), true);
  });

  test("who leaves without having entered leaves no trace", () => {
    const counter = new AddressCounter(1);
    counter.leave("10.0.0.1");
    assert.deepEqual([counter.enter("10.0.0.1"), counter.enter("10.0.0.1")], [true, false]);
  });

  test("it agrees with a plain count, whoever comes and goes", () => {
    const step = fc.tuple(fc.constantFrom("10.0.0.1", "10.0.0.2", "2001:db8::1"), fc.boolean());
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 3 }), fc.array(step, { maxLength: 40 }), (max, steps) => {
        const counter = new AddressCounter(max);
        const inside = new Map<string, number>();
        for (const [address, coming] of steps) {
          const count = inside.get(address) ?? 0;
          if (coming) {
            assert.equal(counter.enter(address), count < max);
            inside.set(address, Math.min(count + 1, max));
          } else if (count > 0) {
            counter.leave(address);
            inside.set(address, count - 1);
          }
        }
      }),
    );
  });
});
