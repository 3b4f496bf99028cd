// The official SDK's client, as anybody would use it: it knows nothing of Weir.
// usage: [MCP_TOKEN=…] node client.mjs URL list | call TOOL ARGUMENTS-AS-JSON
// Prints one line of JSON: the tools' names, or the tool's result, or { "failed": message }.
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";

const [url, verb, tool, inputs] = process.argv.slice(2);
const token = process.env.MCP_TOKEN;
const headers = token ? { Authorization: `Bearer ${token}` } : {};
const transport = new StreamableHTTPClientTransport(new URL(url), { requestInit: { headers } });
const client = new Client({ name: "weir-demo-client", version: "0.1.0" });

async function ask() {
  if (verb === "list") return (await client.listTools()).tools.map((tool) => tool.name);
  return client.callTool({ name: tool, arguments: JSON.parse(inputs) });
}

try {
  await client.connect(transport);
  console.log(JSON.stringify(await ask()));
  await transport.terminateSession();
} catch (error) {
  console.log(JSON.stringify({ failed: error.message }));
  process.exitCode = 1;
} finally {
  await client.close();
}
