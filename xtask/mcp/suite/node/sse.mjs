// The TypeScript SDK's client of the transport of 2024-11-05.
// usage: sse.mjs URL, or sse.mjs URL FIRST-ORDER for calls that wait for people
import { SSEClientTransport } from "@modelcontextprotocol/sdk/client/sse.js";
import { connected } from "./first.mjs";
import { seen, step, story, tell } from "./story.mjs";

const [url, first] = process.argv.slice(2);
const transport = new SSEClientTransport(new URL(url));
const { client, heard, asked } = await connected("story-sse", transport);
if (first) {
  const refund = (order, cents) => client.callTool({ name: "refund", arguments: { order: Number(first) + order, cents } });
  // Both wait at once, and a third call is served meanwhile.
  const approved = step("approved", async () => seen(await refund(1, 100)));
  const denied = step("denied", async () => seen(await refund(2, 100)));
  await step("meanwhile", async () => seen(await client.callTool({ name: "add", arguments: { a: 1, b: 1 } })));
  await approved;
  await denied;
} else {
  tell("server", { of: client.getServerVersion().name });
  await step("ping", () => client.ping());
  await story(client, { heard, asked });
  await step("level", () => client.setLoggingLevel("info"));
  await step("subscribe", () => client.subscribeResource({ uri: "test://watched-resource" }));
}
await client.close();
tell("done", "");
