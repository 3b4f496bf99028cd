// What only a server that checks nothing shows, by each of the clients for Node.
// usage: loose_client.mjs v1|v2 URL
import * as second from "@modelcontextprotocol/client";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { seen, step, tell } from "./story.mjs";

const [which, url] = process.argv.slice(2);
const about = { name: `loose-${which}`, version: "1.0.0" };
const [client, transport] = which === "v1"
  ? [new Client(about), new StreamableHTTPClientTransport(new URL(url))]
  : [new second.Client(about), new second.StreamableHTTPClientTransport(new URL(url))];
await client.connect(transport);
// Clients hold results against the schemas that the list has.
await client.listTools();
const call = (name, inputs = {}) => async () => seen(await client.callTool({ name, arguments: inputs }));
await step("record", call("staff_record", { id: 1 }));
await step("torn", call("torn_record"));
await step("of the type", call("list_orders", { limit: 5 }));
await step("as a text", call("list_orders", { limit: "150" }));
await step("as a list", call("list_orders", { limit: [150] }));
await step("too many", call("list_orders", { limit: 150 }));
await step("another of another type", call("list_orders", { limit: 5, owner: 7 }));
await client.close();
tell("done", "");
