// The TypeScript SDK's first generation.
// usage: v1.mjs URL, or v1.mjs - COMMAND ARGUMENTS… for a server behind standard input and output
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { connected } from "./first.mjs";
import { step, story, tell } from "./story.mjs";

const [url, command, ...args] = process.argv.slice(2);
const transport = url === "-"
  ? new StdioClientTransport({ command, args, env: process.env })
  : new StreamableHTTPClientTransport(new URL(url));
const { client, heard, asked } = await connected("story-v1", transport);
tell("server", { of: client.getServerVersion().name, revision: transport.protocolVersion });
await step("ping", () => client.ping());
await story(client, { heard, asked });
await step("resumed", async () => (await client.callTool({ name: "test_reconnection" })).content);
await step("level", () => client.setLoggingLevel("info"));
await step("subscribe", () => client.subscribeResource({ uri: "test://watched-resource" }));
if (url !== "-") await step("end of session", async () => String(await transport.terminateSession()));
await client.close();
tell("done", "");
