// Calls that wait for people, by each of the TypeScript clients.
// usage: hold.mjs v1|v2 FOLDER FIRST-ORDER URL, or hold.mjs v1 FOLDER FIRST-ORDER - COMMAND…
import { existsSync, writeFileSync } from "node:fs";
import { setTimeout } from "node:timers/promises";
import * as second from "@modelcontextprotocol/client";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { seen, step, tell } from "./story.mjs";

const [generation, folder, first, url, command, ...args] = process.argv.slice(2);
const about = { name: `hold-${generation}`, version: "1.0.0" };
const [client, transport] = generation === "v2"
  ? [new second.Client(about), new second.StreamableHTTPClientTransport(new URL(url))]
  : [new Client(about), url === "-"
    ? new StdioClientTransport({ command, args, env: process.env })
    : new StreamableHTTPClientTransport(new URL(url))];
await client.connect(transport);

const refund = (order, cents, name = "refund") => async () =>
  seen(await client.callTool({ name, arguments: { order: Number(first) + order, cents } }));
await step("within", refund(1, 100));
await step("denied", refund(2, 100));
await step("expired", refund(4, 100, "refund_soon"));
await step("late", refund(3, 100));
writeFileSync(`${folder}/${first}-late`, "");
while (!existsSync(`${folder}/${first}-go`)) await setTimeout(100);
await step("changed", refund(3, 999));
await step("retried", refund(3, 100));
await client.close();
tell("done", "");
