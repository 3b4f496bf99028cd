// The official SDK's client of a server that it starts itself, as anybody would use it: it knows
// nothing of Weir.
// usage: node client.mjs story | call TOOL ARGUMENTS-AS-JSON [PROGRESS-FILE] -- COMMAND…
// Prints one line of JSON: what became of each step, or the tool's result, or
// { "failed": message }. Progress is appended to PROGRESS-FILE as it comes.
import { appendFileSync } from "node:fs";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import { CreateMessageRequestSchema, ElicitRequestSchema } from "@modelcontextprotocol/sdk/types.js";

const words = process.argv.slice(2);
const end = words.indexOf("--");
const [verb, tool, inputs, progressFile] = words.slice(0, end);
const [command, ...args] = words.slice(end + 1);
const transport = new StdioClientTransport({ command, args, env: { ...process.env }, stderr: "pipe" });
const client = new Client(
  { name: "weir-stdio-client", version: "0.1.0" },
  { capabilities: { sampling: {}, elicitation: {} } },
);
client.setRequestHandler(CreateMessageRequestSchema, async ({ params }) => ({
  model: "none", role: "assistant",
  content: { type: "text", text: `sampled: ${params.messages[0].content.text}` },
}));
client.setRequestHandler(ElicitRequestSchema, async () => ({ action: "decline" }));

const text = (result) => result.content.map((part) => part.text ?? part.type).join("|");

// A tool that cannot be called fails in one of two ways, by revision and server.
async function outcome(ask) {
  try {
    return await ask();
  } catch (error) {
    return `failed: ${error.message}`;
  }
}

const call = (name, inputs = {}, options) =>
  outcome(async () => client.callTool({ name, arguments: inputs }, undefined, options));
const said = async (...asked) => {
  const result = await call(...asked);
  return typeof result === "string" ? result : text(result);
};

async function story() {
  const progress = [];
  const onprogress = (told) => progress.push(told.progress);
  const [tools, prompts, resources] = [
    await client.listTools(), await client.listPrompts(), await client.listResources(),
  ];
  const side = await Promise.all([1, 2, 3, 4, 5, 6, 7, 8].map((n) => said("echo", { message: `n${n}` })));
  return {
    server: client.getServerVersion().name,
    tools: tools.tools.map((tool) => tool.name).sort(),
    prompts: prompts.prompts.map((prompt) => prompt.name).sort(),
    resources: resources.resources.length,
    side,
    structured: (await call("get-structured-content", { location: "Chicago" })).structuredContent,
    long: await said("trigger-long-running-operation", { duration: 1, steps: 4 }, { onprogress }),
    progress,
    sampling: await said("trigger-sampling-request", { prompt: "hello", maxTokens: 5 }),
    elicitation: await said("trigger-elicitation-request"),
    ssn: await said("echo", { message: "ssn 123-45-6789" }),
    env: await said("get-env"),
    absent: await said("get-vne"),
    stderr: transport.stderr !== null,
  };
}

async function ask() {
  if (verb === "story") return story();
  const onprogress = progressFile && ((told) => appendFileSync(progressFile, `${told.progress}\n`));
  return client.callTool({ name: tool, arguments: JSON.parse(inputs) }, undefined, onprogress ? { onprogress } : {});
}

try {
  await client.connect(transport);
  console.log(JSON.stringify(await ask()));
} catch (error) {
  console.log(JSON.stringify({ failed: error.message }));
  process.exitCode = 1;
} finally {
  await client.close();
}
