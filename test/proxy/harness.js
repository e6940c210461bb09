// What the integration tests share: a real worker process, listening sockets handed to it over IPC,
// and raw sockets at both ends of it.
import assert from "node:assert/strict";
import { fork, spawn } from "node:child_process";
import { once } from "node:events";
import { connect, createServer } from "node:net";
const WORKER = new URL("../../src/proxy/worker.ts", import.meta.url);
const WAIT_MS = 10_000;
/** Waits for a condition that nothing announces. */
export async function eventually(what, holds) {
    const end = performance.now() + WAIT_MS;
    while (!holds()) {
        assert.ok(performance.now() < end, `not in time: ${what}`);
        await new Promise((resolve) => {
            setTimeout(resolve, 5);
        });
    }
}
/** Rejects when the promise takes too long. */
export async function inTime(what, promise) {
    let timer;
    const late = new Promise((_, reject) => {
        timer = setTimeout(() => {
            reject(new Error(`not in time: ${what}`));
        }, WAIT_MS);
    });
    try {
        return await Promise.race([promise, late]);
    }
    finally {
        clearTimeout(timer);
    }
}
export class TestWorker {
    process;
    messages = [];
    /** What it wrote to stdout and stderr. */
    output = "";
    exited;
    constructor(env = {}) {
        this.process = fork(WORKER, [], {
            execPath: process.execPath,
            serialization: "advanced",
            silent: true,
            env: { ...process.env, ...env },
        });
        this.process.on("message", (message) => {
            this.messages.push(message);
        });
        for (const stream of [this.process.stdout, this.process.stderr]) {
            stream?.on("data", (bytes) => {
                this.output += bytes.toString();
            });
        }
        this.exited = new Promise((resolve) => {
            this.process.once("exit", (code) => {
                resolve(code);
            });
        });
    }
    /** The first message of a kind that satisfies the test; waits for it. */
    async message(kind, accept = () => true) {
        const find = () => this.messages.find((message) => message.kind === kind && accept(message));
        await eventually(`message ${kind}`, () => find() !== undefined);
        return find();
    }
    send(message, handle) {
        this.process.send(message, handle);
    }
    configure(config, health = {}) {
        this.send({ kind: "configure", config, health });
    }
    /** Binds a socket, hands it over, closes our copy. Returns the port. */
    async listen(options = {}) {
        const { listener = "web", socketId = "s1", host = "127.0.0.1" } = options;
        const server = createServer();
        server.listen(0, host);
        await once(server, "listening");
        const { port } = server.address();
        this.send({ kind: "listen", listener, socketId }, server);
        await this.message("listening", (message) => message.socketId === socketId);
        server.close();
        return port;
    }
    /** A fresh report. */
    async counters() {
        const seen = this.messages.length;
        this.send({ kind: "report" });
        const find = () => this.messages.slice(seen).find((message) => message.kind === "report");
        await eventually("report", () => find() !== undefined);
        const report = find();
        assert.ok(report?.kind === "report");
        return report.counters;
    }
    async stop() {
        if (this.process.exitCode === null && this.process.connected)
            this.process.disconnect();
        await inTime("the worker's exit", this.exited);
    }
}
export function pool({ name = "web", ports = [], backends, timeouts = {} }) {
    return {
        name,
        balance: "round-robin",
        backends: backends ?? ports.map((port, i) => ({ name: `b${String(i + 1)}`, host: "127.0.0.1", port, weight: 1 })),
        health: { kind: "none" },
        timeouts: { connectMs: 2000, responseMs: 5000, bodyMs: 5000, tunnelIdleMs: 60_000, ...timeouts },
    };
}
export function workerConfig(pools, listener = {}) {
    return {
        node: "test",
        logLevel: "warn",
        pools,
        listeners: [
            {
                name: "web",
                bind: { kind: "address", host: "127.0.0.1", port: 0 },
                protocol: "http",
                routes: [{ match: {}, pool: pools[0]?.name ?? "none" }],
                timeouts: { headMs: 5000, idleMs: 10_000 },
                limits: { headBytes: 16_384, bodyBytes: null },
                trustedProxies: [],
                ...listener,
            },
        ],
    };
}
/** A worker that serves the pools on one listener. */
export async function startWorker(pools, listener = {}) {
    const worker = new TestWorker();
    worker.configure(workerConfig(pools, listener));
    const port = await worker.listen();
    return { worker, port };
}
/** A socket that remembers everything it read. */
export class RawPeer {
    socket;
    received = Buffer.alloc(0);
    hasEnded = false;
    hasClosed = false;
    error = null;
    constructor(socket) {
        this.socket = socket;
        socket.on("data", (bytes) => {
            this.received = Buffer.concat([this.received, bytes]);
        });
        socket.on("end", () => {
            this.hasEnded = true;
        });
        socket.on("error", (error) => {
            this.error = error;
        });
        socket.on("close", () => {
            this.hasClosed = true;
        });
    }
    get text() {
        return this.received.toString("latin1");
    }
    send(data) {
        this.socket.write(data, "latin1");
    }
    /** Waits until the text received contains `part`; returns all of it. */
    async receives(part) {
        await eventually(`${JSON.stringify(part)} (got ${JSON.stringify(this.text.slice(0, 300))})`, () => this.text.includes(part) || this.hasClosed);
        assert.ok(this.text.includes(part), `closed before ${JSON.stringify(part)}: ${JSON.stringify(this.text)}`);
        return this.text;
    }
    /** Waits until the other side has ended or closed; returns everything it sent. */
    async endsOrCloses() {
        await eventually("the end of the connection", () => this.hasEnded || this.hasClosed);
        return this.text;
    }
    forget() {
        this.received = Buffer.alloc(0);
    }
    close() {
        this.socket.destroy();
    }
}
export async function connectRaw(port, host = "127.0.0.1") {
    const socket = connect({ port, host, allowHalfOpen: true, noDelay: true });
    await inTime("connect", once(socket, "connect"));
    return new RawPeer(socket);
}
/** Sends bytes on a new connection and returns what came until the worker ended it. */
export async function askOnce(port, request) {
    const client = await connectRaw(port);
    client.send(request);
    const answer = await client.endsOrCloses();
    client.close();
    return answer;
}
/** A backend of raw sockets: records every byte, answers what the test says. */
export class RawBackend {
    peers = [];
    port = 0;
    server;
    /** `onPeer` is called for each connection. */
    constructor(onPeer = () => undefined) {
        this.server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
            const peer = new RawPeer(socket);
            this.peers.push(peer);
            onPeer(peer);
        });
    }
    async start() {
        this.server.listen(0, "127.0.0.1");
        await once(this.server, "listening");
        this.port = this.server.address().port;
        return this;
    }
    /** The connection number `index`; waits for it. */
    async peer(index = 0) {
        await eventually(`backend connection ${String(index)}`, () => this.peers.length > index);
        return this.peers[index];
    }
    close() {
        for (const peer of this.peers)
            peer.close();
        this.server.close();
    }
}
/** A backend that answers each request head with fixed bytes; bodies are not read. */
export function answering(response) {
    return new RawBackend((peer) => {
        let answered = 0;
        peer.socket.on("data", () => {
            const heads = peer.text.split("\r\n\r\n").length - 1;
            for (; answered < heads; answered += 1)
                peer.send(response);
        });
    });
}
/** `GET path` with what HTTP/1.1 asks for, and more field lines. */
export function get(path, ...lines) {
    return [`GET ${path} HTTP/1.1`, "Host: example.lan", ...lines, "", ""].join("\r\n");
}
export const OK = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
/**
 * A worker that serves one pool on one listener until the test ends: of raw backends, which it starts and
 * stops, or of ports.
 */
export async function serve(t, options) {
    const { backends = [], timeouts = {}, listener = {} } = options;
    for (const backend of backends) {
        await backend.start();
        t.after(() => {
            backend.close();
        });
    }
    const ports = options.ports ?? backends.map((backend) => backend.port);
    const started = await startWorker([pool({ ports, timeouts })], listener);
    t.after(() => started.worker.stop());
    return started;
}
/** A raw client connection that the test's end closes. */
export async function openClient(t, port) {
    const peer = await connectRaw(port);
    t.after(() => {
        peer.close();
    });
    return peer;
}
/** A port on 127.0.0.1 on which nobody listens: connects are refused. */
export async function freePort() {
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address();
    server.close();
    await once(server, "close");
    return port;
}
const DEAF = `
const server = require("node:net").createServer().listen({ port: 0, host: "127.0.0.1", backlog: 1 }, () => {
  require("node:fs").writeSync(1, String(server.address().port) + "\\n");
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
});`;
/** A port on which somebody listens but never accepts, and whose queue is full: SYNs are dropped. */
export async function deafPort(t) {
    const child = spawn(process.execPath, ["-e", DEAF], { stdio: ["ignore", "pipe", "inherit"] });
    t.after(() => child.kill("SIGKILL"));
    const [line] = (await inTime("the deaf server", once(child.stdout, "data")));
    const port = Number(line.toString());
    for (;;) {
        const filler = connect(port, "127.0.0.1");
        filler.on("error", () => filler.destroy());
        t.after(() => filler.destroy());
        const late = new Promise((resolve) => {
            setTimeout(resolve, 200, "full");
        });
        const connected = once(filler, "connect").then(() => "connected");
        if ((await Promise.race([connected, late])) === "full") {
            // The end of the test destroys it, and nobody waits for it any more.
            connected.catch(() => undefined);
            return port;
        }
    }
}
