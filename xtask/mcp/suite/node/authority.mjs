// A real MCP server that is its own authorization server, at its own address: the official SDK's
// router, and the provider that the SDK ships.
// usage: authority.mjs PORT WITNESS
// Every request that reaches it is appended to WITNESS: { path, method, authorization }.
import { appendFileSync } from "node:fs";
import express from "express";
import { DemoInMemoryAuthProvider } from "@modelcontextprotocol/sdk/examples/server/demoInMemoryOAuthProvider.js";
import { requireBearerAuth } from "@modelcontextprotocol/sdk/server/auth/middleware/bearerAuth.js";
import { createOAuthMetadata, getOAuthProtectedResourceMetadataUrl, mcpAuthRouter } from "@modelcontextprotocol/sdk/server/auth/router.js";
import { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js";
import { StreamableHTTPServerTransport } from "@modelcontextprotocol/sdk/server/streamableHttp.js";

const [port, witness] = process.argv.slice(2);
const issuerUrl = new URL(`http://127.0.0.1:${port}`);
const resourceServerUrl = new URL("/mcp", issuerUrl);
// What no client has a use for, and says too much.
const ASIDE = { x_operator: "alva@corp.example, 123-45-6789" };

class Provider extends DemoInMemoryAuthProvider {
  async exchangeAuthorizationCode(...how) {
    return { ...(await super.exchangeAuthorizationCode(...how)), ...ASIDE };
  }
}

function shop() {
  const server = new McpServer({ name: "weir-authority", version: "1.0.0" });
  server.registerTool("whoami", { description: "Whose token it is" }, ({ authInfo }) => ({
    content: [{ type: "text", text: `client ${authInfo.clientId} with 123-45-6789` }],
  }));
  return server;
}

const provider = new Provider((resource) => resource?.href === resourceServerUrl.href);
const options = { provider, issuerUrl, resourceServerUrl, scopesSupported: ["mcp:tools"] };
const app = express();
app.use(({ path, method, headers: { authorization } }, _, next) => {
  appendFileSync(witness, JSON.stringify({ path, method, authorization }) + "\n");
  next();
});
app.get("/.well-known/oauth-authorization-server", (_, response) => {
  response.json({ ...createOAuthMetadata(options), ...ASIDE });
});
app.use(mcpAuthRouter(options));
app.use(
  "/mcp",
  requireBearerAuth({
    verifier: provider,
    resourceMetadataUrl: getOAuthProtectedResourceMetadataUrl(resourceServerUrl),
    expectedResource: resourceServerUrl,
  }),
  express.json(),
  async (request, response) => {
    const transport = new StreamableHTTPServerTransport({ sessionIdGenerator: undefined });
    await shop().connect(transport);
    await transport.handleRequest(request, response, request.body);
  },
);
app.listen(Number(port), "127.0.0.1");
process.on("SIGTERM", () => process.exit(0));
