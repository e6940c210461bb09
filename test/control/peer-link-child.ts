// A node's peer link in a process of its own, for the tests that kill and freeze it. Prints "open" when
// it is connected; sends an advertisement each interval.

import { PeerLink } from "../../src/control/peer-link.ts";
import { monotonicClock } from "../../src/system/clock.ts";

const [name = "", address = "", peerName = "", peerAddress = "", port = "0", silenceMs = "0"] =
  process.argv.slice(2);
const INTERVAL_MS = 50;

const link = new PeerLink({
  self: { name, address, priority: 100 },
  peer: { name: peerName, address: peerAddress, priority: 100 },
  port: Number(port),
  secret: "a secret of the test",
  intervalMs: INTERVAL_MS,
  silenceMs: Number(silenceMs),
  clock: monotonicClock,
  log: { debug() {}, info() {}, warn() {}, error() {} },
  events: {
    advertisement() {},
    dead() {},
    estranged() {},
    connected: () => console.log("open"),
    disconnected() {},
  },
});
link.start();
let epoch = 0;
setInterval(() => {
  epoch += 1;
  link.send({
    node: name,
    role: "standby",
    priority: 100,
    epoch,
    ready: true,
    intent: "none",
    configHash: "x",
  });
}, INTERVAL_MS);
process.once("SIGTERM", () => {
  void link.stop().then(() => process.exit(0));
});
