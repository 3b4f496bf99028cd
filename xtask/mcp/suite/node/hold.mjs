// Calls that wait for people, by each of the clients for Node.
// usage: hold.mjs v1 FOLDER FIRST-ORDER URL, or hold.mjs v1 FOLDER FIRST-ORDER - COMMAND…
//        hold.mjs v2 FOLDER FIRST-ORDER URL [REVISION]
//        hold.mjs inspector FOLDER FIRST-ORDER URL LAUNCHER
import { existsSync, writeFileSync } from "node:fs";
import { setTimeout } from "node:timers/promises";
import * as second from "@modelcontextprotocol/client";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { inspector } from "./inspect.mjs";
import { seen, step, tell } from "./story.mjs";

const [which, folder, first, url, ...more] = process.argv.slice(2);
const about = { name: `hold-${which}`, version: "1.0.0" };

/** What calls a tool, and what ends the client. */
async function opened() {
  if (which === "inspector") {
    const ask = inspector(more[0], url);
    const pairs = (inputs) => Object.entries(inputs).map(([name, value]) => `${name}=${value}`);
    const call = (name, inputs) =>
      ask("--method", "tools/call", "--tool-name", name, "--tool-arg", ...pairs(inputs));
    return [call, () => {}];
  }
  const [client, transport] = which === "v1" ? ofFirst() : ofSecond();
  await client.connect(transport);
  const call = async (name, inputs) => seen(await client.callTool({ name, arguments: inputs }));
  return [call, () => client.close()];
}

function ofFirst() {
  const [command, ...args] = more;
  const transport = url === "-"
    ? new StdioClientTransport({ command, args, env: process.env })
    : new StreamableHTTPClientTransport(new URL(url));
  return [new Client(about), transport];
}

function ofSecond() {
  const [pin] = more;
  const options = pin ? { versionNegotiation: { mode: { pin } } } : {};
  return [new second.Client(about, options), new second.StreamableHTTPClientTransport(new URL(url))];
}

const [call, close] = await opened();
const refund = (order, cents, name = "refund") => () => call(name, { order: Number(first) + order, cents });
await step("within", refund(1, 100));
await step("denied", refund(2, 100));
await step("expired", refund(4, 100, "refund_soon"));
await step("late", refund(3, 100));
writeFileSync(`${folder}/${first}-late`, "");
while (!existsSync(`${folder}/${first}-go`)) await setTimeout(100);
await step("changed", refund(3, 999));
await step("retried", refund(3, 100));
await close();
tell("done", "");
