// What a server asks its client, by the TypeScript SDK's first generation.
// usage: asked.mjs able|unable URL        calls a tool that asks, for everything that can be asked
//        asked.mjs waits URL FOLDER       is asked, tells what, and answers once FOLDER/go is there
//        asked.mjs answers URL SESSION ID answers in somebody's session, or in its `own`
import { existsSync, renameSync, writeFileSync } from "node:fs";
import { setTimeout } from "node:timers/promises";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import {
  CreateMessageRequestSchema,
  ElicitRequestSchema,
  ListRootsRequestSchema,
} from "@modelcontextprotocol/sdk/types.js";
import { seen, step, tell } from "./story.mjs";

const [what, url, ...more] = process.argv.slice(2);
const transport = new StreamableHTTPClientTransport(new URL(url));
const ABLE = { sampling: {}, elicitation: {}, roots: {} };

async function connected(capabilities) {
  const client = new Client({ name: `asked-${what}`, version: "1.0.0" }, { capabilities });
  return [client, () => client.connect(transport)];
}

const ask = async (client, kind, apart) =>
  seen(await client.callTool({ name: "ask", arguments: { kind, apart } }));

async function everything(capabilities) {
  const [client, connect] = await connected(capabilities);
  const asked = [];
  if (capabilities.sampling) {
    client.setRequestHandler(CreateMessageRequestSchema, () => {
      asked.push("sampling");
      return { model: "m", role: "assistant", content: { type: "text", text: "nobody" } };
    });
    client.setRequestHandler(ElicitRequestSchema, () => {
      asked.push("elicitation");
      return { action: "accept", content: { colour: "blue" } };
    });
    client.setRequestHandler(ListRootsRequestSchema, () => {
      asked.push("roots");
      return { roots: [{ uri: "file:///srv/secret" }] };
    });
  }
  await connect();
  for (const kind of ["sampling", "elicitation", "roots"]) {
    await step(kind, () => ask(client, kind, false));
  }
  await step("apart", () => ask(client, "sampling", true));
  tell("asked", asked);
  await client.close();
}

async function waits(folder) {
  const [client, connect] = await connected(ABLE);
  client.setRequestHandler(ElicitRequestSchema, async (_, { requestId }) => {
    writeFileSync(`${folder}/asked.part`, JSON.stringify({ id: requestId, session: transport.sessionId }));
    renameSync(`${folder}/asked.part`, `${folder}/asked`);
    while (!existsSync(`${folder}/go`)) await setTimeout(50);
    return { action: "accept", content: { colour: "blue" } };
  });
  await connect();
  await step("elicitation", () => ask(client, "elicitation", false));
  await client.close();
}

async function answers(session, id) {
  if (session === "own") {
    const [, connect] = await connected(ABLE);
    await connect();
  }
  const result = { action: "accept", content: { colour: "stolen" } };
  const { status } = await fetch(url, {
    method: "POST",
    headers: {
      "content-type": "application/json",
      accept: "application/json, text/event-stream",
      "mcp-protocol-version": "2025-11-25",
      "mcp-session-id": session === "own" ? transport.sessionId : session,
    },
    body: JSON.stringify({ jsonrpc: "2.0", id: JSON.parse(id), result }),
  });
  tell("status", String(status));
  await transport.close();
}

if (what === "waits") await waits(...more);
else if (what === "answers") await answers(...more);
else await everything(what === "able" ? ABLE : {});
tell("done", "");
