// Node's HTTP, for values. An import statement of a built-in module reads all that it exports, and of `node:http` that is
// also a browser's fetch and WebSocket: 10 MB more in every process, for what nobody here uses. `getBuiltinModule`
// leaves it where it is.

export const http = process.getBuiltinModule("node:http");
export const https = process.getBuiltinModule("node:https");
