// The TypeScript SDK's second generation.
// usage: v2.mjs URL [REVISION]
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { step, story, tell } from "./story.mjs";

const [url, pin] = process.argv.slice(2);
const transport = new StreamableHTTPClientTransport(new URL(url));
const client = new Client(
  { name: "story-v2", version: "1.0.0" },
  { capabilities: { elicitation: {} }, ...(pin && { versionNegotiation: { mode: { pin } } }) },
);
const heard = [], asked = [];
client.setNotificationHandler("notifications/message", ({ params }) => heard.push(params.data));
client.setRequestHandler("elicitation/create", ({ params }) => {
  asked.push(params.message);
  return { action: "accept", content: { colour: "blue" } };
});
await client.connect(transport);
tell("server", { of: client.getServerVersion().name, revision: client.getNegotiatedProtocolVersion() });
// The newer revision asks for log messages with each call.
const _meta = pin && { "io.modelcontextprotocol/logLevel": "info" };
await story(client, { heard, asked, _meta });
if (!pin) await step("resumed", async () => (await client.callTool({ name: "test_reconnection" })).content);
if (!pin) await step("end of session", async () => String(await transport.terminateSession()));
await client.close();
tell("done", "");
