// Calls that wait for people, by clients that declare how they can be told so.
// usage: ladder.mjs url|input|task FOLDER FIRST-ORDER URL
import { existsSync, writeFileSync } from "node:fs";
import { setTimeout } from "node:timers/promises";
import * as second from "@modelcontextprotocol/client";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { CallToolResultSchema } from "@modelcontextprotocol/sdk/types.js";
import { seen, step, tell } from "./story.mjs";

const [rung, folder, first, url] = process.argv.slice(2);
const about = { name: `ladder-${rung}`, version: "1.0.0" };
const urls = { elicitation: { url: {} } };
const refund = (order, cents) => ({ name: "refund", arguments: { order: Number(first) + order, cents } });

/** The first SDK: an error with a page, then the same call again. */
async function withUrl() {
  const client = new Client(about, { capabilities: urls });
  await client.connect(new StreamableHTTPClientTransport(new URL(url)));
  const call = async (order, cents) => seen(await client.callTool(refund(order, cents)));
  const told = async (order, cents) => {
    try {
      return await call(order, cents);
    } catch ({ code, elicitations }) {
      return { code, elicitations };
    }
  };
  await step("told", () => told(1, 100));
  await step("approved", () => call(1, 100));
  await step("told of the second", () => told(2, 100));
  await step("denied", () => call(2, 100));
  await step("told of the third", () => told(3, 100));
  await step("told of the changed", () => told(3, 999));
  await step("changed", () => call(3, 999));
  await client.close();
}

/** The second SDK, in 2026-07-28: asked for input, and comes back by itself. */
async function withInput() {
  const modern = { versionNegotiation: { mode: { pin: "2026-07-28" } } };
  const connect = async (options) => {
    const client = new second.Client(about, { ...modern, ...options });
    await client.connect(new second.StreamableHTTPClientTransport(new URL(url)));
    return client;
  };
  const client = await connect({ capabilities: urls });
  const asked = [];
  let action = "accept";
  client.setRequestHandler("elicitation/create", ({ params }) => {
    asked.push({ mode: params.mode, url: params.url });
    return { action };
  });
  const call = (order, cents) => async () => seen(await client.callTool(refund(order, cents)));
  await step("approved", call(1, 100));
  tell("told", asked.splice(0, 1));
  await step("denied", call(2, 100));
  action = "decline";
  await step("declined", call(5, 100));
  await client.close();

  // One that declares nothing is held; it closes the stream.
  const plain = await connect({});
  const abort = new AbortController();
  const closed = plain.callTool(refund(4, 100), { signal: abort.signal });
  const closing = step("closed", async () => seen(await closed));
  while (!existsSync(`${folder}/${first}-asked`)) await setTimeout(100);
  abort.abort(new Error("no longer wanted"));
  await closing;
  writeFileSync(`${folder}/${first}-closed`, "");
  await plain.close();
}

/** The first SDK, strict: takes a task where the server says that there are some, and asks for its result. */
async function withTask() {
  const client = new Client(about, { enforceStrictCapabilities: true });
  await client.connect(new StreamableHTTPClientTransport(new URL(url)));
  const { tools } = await client.listTools();
  const support = (wanted) => tools.find(({ name }) => name === wanted).execution?.taskSupport ?? "none";
  tell("announced", { tasks: client.getServerCapabilities().tasks, refund: support("refund"), add: support("add") });
  const stream = (params, options) => async () => {
    const types = new Set();
    let last = "";
    for await (const message of client.experimental.tasks.callToolStream(params, CallToolResultSchema, options)) {
      types.add(message.type);
      last = message.task?.statusMessage ?? last;
      if (message.type === "result") return { types: [...types], ...seen(message.result) };
      if (message.type === "error") throw new Error(`${message.error.message}: ${last}`);
    }
    return { types: [...types] };
  };
  // Nothing asks for a task here but the SDK itself, by what it was told.
  const call = (order, cents) => stream(refund(order, cents));
  const add = { name: "add", arguments: { a: 2, b: 40 } };
  await step("plain", stream(add));
  await step("at once", stream(add, { task: { ttl: 60_000 } }));
  await step("approved", call(1, 100));
  await step("denied", call(2, 100));
  await step("cancelled", async () => {
    const calls = client.experimental.tasks.callToolStream(refund(4, 100), CallToolResultSchema);
    const { value } = await calls.next();
    return (await client.experimental.tasks.cancelTask(value.task.taskId)).status;
  });
  await step("listed", async () => (await client.experimental.tasks.listTasks()).tasks.map(({ status }) => status).sort());
  await client.close();
}

await { url: withUrl, input: withInput, task: withTask }[rung]();
tell("done", "");
