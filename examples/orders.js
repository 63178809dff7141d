// An app is a value. Mount it:  resources: { "/orders": "./examples/orders.js" }
import { Refusal } from "signalbox";

const states = new Map();

export default {
  opcodes: {
    setState({ order, state }, peer, hub) {
      if (typeof order !== "string") throw new Refusal("bad-order", "Expected `order` to be a string.");
      states.set(order, state);
      hub.broadcast({ opcode: "orderState", order, state }, { resource: "/orders", except: peer });
    },
    getState: ({ order }) => states.get(order) ?? "unknown",
  },
};
