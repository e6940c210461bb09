// Each mistake an operator can make, one a row: what is changed in a good file, and the error for it.

import { describe } from "node:test";
import { ALONE_YAML, expectEach } from "./pair-yaml.ts";

describe("YAML", () => {
  expectEach(ALONE_YAML, [
    [
      "listeners:",
      "listeners: []\nlisteners:",
      "2:1  listeners: This key stands here twice, first in line 1. Remove one.",
    ],
    [
      "listeners:",
      "? [a]\n: 1\nlisteners:",
      "1:3  A key must be a word. Put it in quotes if it is meant so.",
    ],
    ["listeners:", "__proto__: 1\nlisteners:", '1:1  "__proto__" cannot be a key. Use another name.'],
    [
      "listeners:",
      "a: *x\nlisteners:",
      "1:4  a: This alias names no anchor above. A value that begins with * needs quotes.",
    ],
    [
      "0.0.0.0:80",
      "[::]:80",
      '2:28  Not valid YAML: Missing , between flow map items. An address in brackets needs quotes: "[::]:80".',
    ],
    [
      "web: { backends",
      "\tweb: { backends",
      "4:3  Not valid YAML: Tabs are not allowed as indentation. Use spaces.",
    ],
    [
      "pools:",
      "---\npools:",
      '3:1  A second document begins here. Remove the "---" between them: one file is one document.',
    ],
    ["listeners:", "a: !x 1\nlisteners:", "1:4  Not valid YAML: Unresolved tag."],
    ["listeners:", "a: 'x\nlisteners:", "6:1  Not valid YAML: Missing closing 'quote."],
  ]);
});

describe("listeners", () => {
  expectEach(ALONE_YAML, [
    [
      "0.0.0.0:80",
      "80",
      "2:24  listeners[0].bind: 80 is a number. Write address and port, such as 0.0.0.0:80.",
    ],
    [
      "0.0.0.0:80",
      "'80'",
      '2:24  listeners[0].bind: "80" has no port. Write address and port, such as 0.0.0.0:80.',
    ],
    [
      "0.0.0.0:80",
      "0.0.0.0",
      '2:24  listeners[0].bind: "0.0.0.0" has no port. Write address and port, such as 0.0.0.0:80.',
    ],
    [
      "0.0.0.0:80",
      "'*:80'",
      '2:24  listeners[0].bind: "*:80": write 0.0.0.0:80 for every IPv4 address, or "[::]:80" for IPv6.',
    ],
    [
      "0.0.0.0:80",
      "localhost:80",
      '2:24  listeners[0].bind: "localhost" is not an IP address. Use one, such as 0.0.0.0 for all, or the word vip.',
    ],
    [
      "0.0.0.0:80",
      "'::1:80'",
      '2:24  listeners[0].bind: "::1:80" looks like IPv6 without brackets. Write it as "[fd00::21]:8080".',
    ],
    [
      "0.0.0.0:80",
      "'[1.2.3.4]:80'",
      '2:24  listeners[0].bind: "1.2.3.4" is not an IPv6 address. Only IPv6 addresses stand in brackets.',
    ],
    ["0.0.0.0:80", "0.0.0.0:65536", '2:24  listeners[0].bind: "65536" is not a port. Use 1 to 65535.'],
    [
      "0.0.0.0:80",
      "vip:80",
      "2:24  listeners[0].bind: There is no virtual address to listen on. Add virtualAddresses and pair, or use 0.0.0.0.",
    ],
    [
      ", bind: 0.0.0.0:80",
      "",
      "2:5  listeners[0].bind: Missing. Write address and port, such as 0.0.0.0:80.",
    ],
    ["pool: web }", "pool: wep }", '2:42  listeners[0].pool: There is no pool "wep". Did you mean "web"?'],
    [
      "pool: web }",
      "pool: something }",
      '2:42  listeners[0].pool: There is no pool "something". Add it to pools, or use web.',
    ],
    [", pool: web", "", "2:5  listeners[0]: The listener leads nowhere. Add pool: NAME, or routes."],
    [
      "pool: web }",
      "pool: web, routes: [{ pool: web }] }",
      "2:36  listeners[0].pool: There are routes as well. Keep one of the two.",
    ],
    [
      "pool: web }",
      "routes: [] }",
      "2:36  listeners[0].routes: The list is empty. Add a route, or use pool instead.",
    ],
    [
      "pool: web }",
      "routes: [{}] }",
      "2:45  listeners[0].routes[0]: The route leads nowhere. Add pool: NAME, split, redirect or respond.",
    ],
    [
      "pool: web }",
      "routes: [{ match: {}, pool: web }, { pool: web }, { pool: web }] }",
      "2:71  listeners[0].routes[1]: No request gets here: routes[0] above matches all of them. Give it a match, or put it last.",
    ],
    [
      "pool: web }",
      "routes: [{ match: { path: /a }, pool: web }, { match: { path: /a }, pool: web }, { pool: web }] }",
      "2:83  listeners[0].routes[1].match: No request gets here: it matches what listeners[0].routes[0].match matches. Merge the two, or remove one.",
    ],
    [
      "pool: web }",
      "pool: web }\n  - { name: web, bind: '[::]:80', pool: web }",
      '3:13  listeners[1].name: "web" is listeners[0].name already. Use another name.',
    ],
    [
      "pool: web }",
      "pool: web }\n  - { name: b, bind: 0.0.0.0:80, pool: web }",
      '3:22  listeners[1].bind: "0.0.0.0:80" is listeners[0].bind already. Use another port, or put the routes into one listener.',
    ],
    [
      "pool: web }",
      "routes: [{ match: { host: 'a.lan:80' }, pool: web }] }",
      '2:62  listeners[0].routes[0].match.host: "a.lan:80" has a port. Write the host alone: it matches on every port.',
    ],
    [
      "pool: web }",
      "routes: [{ match: { host: '*' }, pool: web }] }",
      '2:62  listeners[0].routes[0].match.host: "*" matches every host. Leave host out for that.',
    ],
    [
      "pool: web }",
      "routes: [{ match: { host: 'a b' }, pool: web }] }",
      '2:62  listeners[0].routes[0].match.host: "a b" is not a host. Use a name such as api.example.lan or *.example.lan.',
    ],
    [
      "pool: web }",
      "routes: [{ match: { path: v1 }, pool: web }] }",
      '2:62  listeners[0].routes[0].match.path: "v1" is not a path. Begin it with "/".',
    ],
    [
      "pool: web }",
      "routes: [{ match: { path: /v1/ }, pool: web }] }",
      '2:62  listeners[0].routes[0].match.path: "/v1/" ends in "/". Write "/v1": it matches "/v1" and everything below it.',
    ],
    [
      "pool: web }",
      "routes: [{ match: { path: '/v1?x' }, pool: web }] }",
      '2:62  listeners[0].routes[0].match.path: "/v1?x" has a query. A route matches the path before the "?".',
    ],
    [
      "pool: web }",
      "routes: [{ match: { path: '/ä' }, pool: web }] }",
      '2:62  listeners[0].routes[0].match.path: "/ä" has characters that a path cannot have. Percent-encode them, such as %20 for a space.',
    ],
    [
      "pool: web }",
      "routes: [{ match: { method: get }, pool: web }] }",
      '2:64  listeners[0].routes[0].match.method: "get" is not a method: methods are capitals. Use GET.',
    ],
    [
      "pool: web }",
      "routes: [{ match: { header: x }, pool: web }] }",
      "2:64  listeners[0].routes[0].match.header: This is not a map. Write a map of fields, such as { x-beta-user: yes }.",
    ],
    [
      "pool: web }",
      "routes: [{ match: /v1, pool: web }] }",
      '2:54  listeners[0].routes[0].match: "/v1" is text. Write a map of settings (host, path, method, header …).',
    ],
    [
      "pool: web }",
      "pool: web, protocol: tcp }",
      '2:57  listeners[0].protocol: "tcp" is not known here. Use http.',
    ],
    [
      "pool: web }",
      "pool: web, timeouts: { head: 1ms } }",
      '2:65  listeners[0].timeouts.head: "1ms" is too small. Use 100ms to 10m.',
    ],
    [
      "pool: web }",
      "pool: web, timeouts: { head: 10 } }",
      "2:65  listeners[0].timeouts.head: 10 is a number. Write a duration with a unit, such as 5s.",
    ],
    [
      "pool: web }",
      "pool: web, limits: { head: 16KB } }",
      '2:63  listeners[0].limits.head: "16KB" is not a size. Write a whole number and a unit: 512B, 16KiB, 1MiB or 2GiB.',
    ],
    [
      "pool: web }",
      "pool: web, limits: { head: 2MiB } }",
      '2:63  listeners[0].limits.head: "2MiB" is too large. Use 1KiB to 1MiB.',
    ],
    [
      "pool: web }",
      "pool: web, limits: { connections: 0 } }",
      "2:70  listeners[0].limits.connections: 0 is not possible here. Use 1 to 1000000, or unlimited.",
    ],
    [
      "pool: web }",
      "pool: web, limits: { requestsPerConnection: many } }",
      '2:80  listeners[0].limits.requestsPerConnection: "many" is text. Write a whole number, 1 to 1000000, or unlimited.',
    ],
    [
      "pool: web }",
      "pool: web, limits: { body: none } }",
      '2:63  listeners[0].limits.body: "none" is not a size. Write a whole number and a unit: 512B, 16KiB, 1MiB or 2GiB.',
    ],
    [
      "pool: web }",
      "pool: web, limits: { body: 1000000 } }",
      "2:63  listeners[0].limits.body: 1000000 is a number. Write a size with a unit, such as 10MiB, or the word unlimited.",
    ],
    [
      "pool: web }",
      "pool: web, trustedProxies: 10.0.0.0/8 }",
      '2:63  listeners[0].trustedProxies: "10.0.0.0/8" is text. Write a list of addresses or blocks of addresses.',
    ],
    [
      "pool: web }",
      "pool: web, trustedProxies: [10.0.0.1/8] }",
      '2:64  listeners[0].trustedProxies[0]: "10.0.0.1/8" has bits set behind its prefix. Use 10.0.0.0/8 for the network, or 10.0.0.1/32 for the one address.',
    ],
    [
      "pool: web }",
      "pool: web, trustedProxies: [10.0.0.0/40] }",
      '2:64  listeners[0].trustedProxies[0]: "40" is not a prefix length. Use 0 to 32.',
    ],
    [
      "pool: web }",
      "pool: web, trustedProxies: [proxy.lan] }",
      '2:64  listeners[0].trustedProxies[0]: "proxy.lan" is not an IP address. Use IPv4 or IPv6, such as 192.168.1.11 or fd00::11.',
    ],
    [
      "  - { name: web, bind: 0.0.0.0:80, pool: web }",
      "  - web",
      '2:5  listeners[0]: "web" is text. Write a map of settings (name, bind, protocol, pool …).',
    ],
    [
      "listeners:\n  - { name: web, bind: 0.0.0.0:80, pool: web }",
      "listeners: []",
      "1:1  listeners: The list is empty. Add a listener: name, bind and pool.",
    ],
  ]);
});

describe("pools", () => {
  expectEach(ALONE_YAML, [
    [
      "[192.168.1.21:8080]",
      "192.168.1.21:8080",
      '4:20  pools.web.backends: "192.168.1.21:8080" is text. Write a list of backends.',
    ],
    [
      "[192.168.1.21:8080]",
      "[8080]",
      "4:21  pools.web.backends[0]: 8080 is a number. Write address and port, such as 192.168.1.21:8080, or a map with an address.",
    ],
    [
      "[192.168.1.21:8080]",
      "[192.168.1.21]",
      '4:21  pools.web.backends[0]: "192.168.1.21" has no port. Write address and port, such as 192.168.1.21:8080.',
    ],
    [
      "[192.168.1.21:8080]",
      "[192.168.1.321:8080]",
      '4:21  pools.web.backends[0]: "192.168.1.321" is neither an IP address nor a host name. Use one, such as 192.168.1.21:8080.',
    ],
    [
      "[192.168.1.21:8080]",
      "['http://a:80']",
      '4:21  pools.web.backends[0]: "http://a:80" is a URL. Write address and port alone, such as 192.168.1.21:8080.',
    ],
    [
      "[192.168.1.21:8080]",
      "['fd00::21:80']",
      '4:21  pools.web.backends[0]: "fd00::21:80" looks like IPv6 without brackets. Write it as "[fd00::21]:8080".',
    ],
    [
      "[192.168.1.21:8080]",
      "[{ name: a }]",
      "4:21  pools.web.backends[0].address: Missing. Write address and port, such as 192.168.1.21:8080.",
    ],
    [
      "[192.168.1.21:8080]",
      "[{ address: a:1, weight: 257 }]",
      "4:45  pools.web.backends[0].weight: 257 is not a weight. Use 0 to 256.",
    ],
    [
      "[192.168.1.21:8080]",
      "[a:1, { address: A:1 }]",
      '4:26  pools.web.backends[1]: "a:1" is pools.web.backends[0] already. Remove one, or give it another name.',
    ],
    [
      "[192.168.1.21:8080]",
      "[{ name: x, address: a:1 }, { name: x, address: a:2 }]",
      '4:56  pools.web.backends[1].name: "x" is pools.web.backends[0].name already. Remove one, or give it another name.',
    ],
    [
      "[192.168.1.21:8080]",
      "[0.0.0.0:80]",
      '4:21  pools.web.backends[0]: "0.0.0.0" means every address. Use the backend\'s own.',
    ],
    [
      "[192.168.1.21:8080]",
      "[{ address: a:1, max: 1 }]",
      '4:37  pools.web.backends[0].max: Unknown key. Did you mean "maxConnections"?',
    ],
    [
      "8080] }",
      "8080], balance: fastest }",
      '4:50  pools.web.balance: "fastest" is not known here. Use round-robin, least-connections, least-response-time, random, first, source-hash or uri-hash.',
    ],
    [
      "8080] }",
      "8080], health: tcp }",
      '4:49  pools.web.health: "tcp" is text. Write a map with a kind, such as { kind: tcp }.',
    ],
    [
      "8080] }",
      "8080], health: { kind: htpp } }",
      '4:57  pools.web.health.kind: "htpp" is not known here. Did you mean http? Use tcp, http, https, exec or none.',
    ],
    [
      "8080] }",
      "8080], health: { path: /x } }",
      "4:41  pools.web.health.kind: Missing. Write tcp, http, https, exec or none.",
    ],
    [
      "8080] }",
      "8080], health: { kind: tcp, path: /x } }",
      "4:62  pools.web.health.path: Unknown key. It belongs to kind: http and kind: https.",
    ],
    [
      "8080] }",
      "8080], health: { kind: http, expectedStatus: 99 } }",
      '4:79  pools.web.health.expectedStatus: 99 is not a status. Use 200 to 599, or a range such as "200-399".',
    ],
    [
      "8080] }",
      "8080], health: { kind: http, expectedStatus: [200, 300-200] } }",
      '4:85  pools.web.health.expectedStatus[1]: "300-200" is not a status. Use 200 to 599, or a range such as "200-399".',
    ],
    [
      "8080] }",
      "8080], health: { kind: http, expectedStatus: { from: 1 } } }",
      '4:63  pools.web.health.expectedStatus: This is a map. Write a status or a range, such as 200 or "200-399", or a list of them.',
    ],
    [
      "8080] }",
      "8080], health: { kind: http, expectedStatus: [] } }",
      '4:63  pools.web.health.expectedStatus: The list is empty. Write a status or a range, such as 200 or "200-399", or a list of them.',
    ],
    [
      "8080] }",
      "8080], health: { kind: tcp, timeout: 2s } }",
      "4:71  pools.web.health.timeout: The timeout (2s) is longer than the interval (1s). Lower the timeout, or check less often.",
    ],
    [
      "8080] }",
      "8080], health: { kind: tcp, interval: 200ms } }",
      "4:72  pools.web.health.interval: The timeout (500ms) is longer than the interval (200ms). Lower the timeout, or check less often.",
    ],
    [
      "8080] }",
      "8080], health: { kind: tcp, rise: 0 } }",
      "4:68  pools.web.health.rise: 0 is not possible here. Use 1 to 100.",
    ],
    [
      "8080] }",
      "8080], health: { kind: http, path: health } }",
      '4:69  pools.web.health.path: "health" is not a path. Begin it with "/".',
    ],
    [
      "8080] }",
      "8080], health: { kind: http, host: 'a b' } }",
      '4:69  pools.web.health.host: "a b" is not a host. Use a name such as www.example.lan, with a port if need be.',
    ],
    [
      "8080] }",
      "8080], timeouts: { connect: 1h } }",
      '4:62  pools.web.timeouts.connect: "1h" is too large. Use 10ms to 1m.',
    ],
  ]);
});

describe("the rest of the file", () => {
  expectEach(ALONE_YAML, [
    [
      "listeners:",
      "workers: 65\nlisteners:",
      "1:10  workers: 65 is not possible here. Use 1 to 64, or auto.",
    ],
    [
      "listeners:",
      "workers: many\nlisteners:",
      '1:10  workers: "many" is text. Write a whole number, 1 to 64, or auto.',
    ],
    [
      "listeners:",
      "logging: { level: trace }\nlisteners:",
      '1:19  logging.level: "trace" is not known here. Use debug, info, warn or error.',
    ],
    [
      "listeners:",
      "logging: { access: sometimes }\nlisteners:",
      '1:20  logging.access: "sometimes" is text. Write true, false, or a map with a file, such as { file: /var/log/vipair/access.log }.',
    ],
    [
      "listeners:",
      "logging: { access: {} }\nlisteners:",
      "1:12  logging.access.file: Missing. Write the path of a file.",
    ],
    [
      "listeners:",
      "logging: { access: { fle: a.log } }\nlisteners:",
      '1:22  logging.access.fle: Unknown key. Did you mean "file"?',
    ],
    [
      "listeners:",
      "shutdownGrace: 1h\nlisteners:",
      '1:16  shutdownGrace: "1h" is too large. Use 0ms to 10m.',
    ],
    [
      "listeners:",
      "shutdownGrace:\nlisteners:",
      "1:1  shutdownGrace: Empty. Write a duration with a unit, such as 5s.",
    ],
    [
      "listeners:",
      "admin: { bind: 127.0.0.1:7947 }\nlisteners:",
      "1:1  admin: Unknown key. Known here: pair, virtualAddresses, listeners, pools, workers, logging, shutdownGrace.",
    ],
    ["listeners:", "poools: {}\nlisteners:", '1:1  poools: Unknown key. Did you mean "pools"?'],
    ["pools:", "poools:", '3:1  poools: Unknown key. Did you mean "pools"?'],
    [
      "listeners:",
      "pair: { nodes: { a: { address: 1.1.1.1 }, b: { address: 1.1.1.2 } }, secret: aaaaaaaaaaaaaaaa }\nlisteners:",
      "1:1  pair: A pair needs an address to move between its nodes. Add virtualAddresses, or remove pair: without both, one node balances alone.",
    ],
    [
      "listeners:",
      "virtualAddresses: [{ address: 10.0.0.1/8, interface: e }]\nlisteners:",
      "1:1  virtualAddresses: Virtual addresses need a pair to move between. Add pair, or remove virtualAddresses: without both, one node balances alone.",
    ],
  ]);
});
