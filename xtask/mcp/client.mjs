// The official SDK's client, as anybody would use it: it knows nothing of Weir.
// usage: [MCP_TOKEN=… | OAUTH_CLIENT=… OAUTH_SECRET=… OAUTH_ISSUER=… [OAUTH_SCOPE=…]] node client.mjs URL list | call TOOL ARGUMENTS-AS-JSON
// Prints one line of JSON: the tools' names, or the tool's result, or { "failed": message }.
// With a client's secret, it gets its tokens where the server says that they come from.
import { ClientCredentialsProvider } from "@modelcontextprotocol/sdk/client/auth-extensions.js";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";

const [url, verb, tool, inputs] = process.argv.slice(2);
const token = process.env.MCP_TOKEN;
const headers = token ? { Authorization: `Bearer ${token}` } : {};
const { OAUTH_CLIENT: clientId, OAUTH_SECRET: clientSecret, OAUTH_ISSUER: expectedIssuer, OAUTH_SCOPE: scope } = process.env;
const authProvider = clientId && new ClientCredentialsProvider({ clientId, clientSecret, expectedIssuer, scope });
const transport = new StreamableHTTPClientTransport(new URL(url), { requestInit: { headers }, authProvider });
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
