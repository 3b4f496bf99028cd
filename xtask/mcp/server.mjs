// An MCP server over Streamable HTTP on the official SDK: a small shop's back office.
// usage: MCP_TOKEN=… [MCP_NOTE=…] [TLS_CERT=… TLS_KEY=…] node server.mjs PORT CALLS-FILE
// It serves whoever presents the token, and appends each tool call that reached it to CALLS-FILE:
// the independent witness, as the statement log is for PostgreSQL. MCP_NOTE is added to what echo
// says of itself.
import { randomUUID, timingSafeEqual } from "node:crypto";
import { appendFileSync, readFileSync } from "node:fs";
import { createServer } from "node:http";
import { createServer as createSecureServer } from "node:https";
import { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js";
import { StreamableHTTPServerTransport } from "@modelcontextprotocol/sdk/server/streamableHttp.js";
import { isInitializeRequest } from "@modelcontextprotocol/sdk/types.js";
import { z } from "zod";

const [port, callsFile] = process.argv.slice(2);
const expected = Buffer.from(`Bearer ${process.env.MCP_TOKEN}`);

const customers = new Map([
  [1, { id: 1, name: "Alva Lindqvist", ssn: "123-45-6789", email: "alva@corp.example", card: "4111 1111 1111 1111" }],
  [2, { id: 2, name: "Bram Okafor", ssn: "219-09-9999", email: "bram@corp.example", card: "5500 0000 0000 0004" }],
]);

function tell(name, inputs, answer) {
  appendFileSync(callsFile, JSON.stringify({ tool: name, arguments: inputs }) + "\n");
  return { content: [{ type: "text", text: JSON.stringify(answer) }], structuredContent: answer };
}

function shop() {
  const server = new McpServer({ name: "weir-demo-shop", version: "0.1.0" });
  const tool = (name, description, inputSchema, run) =>
    server.registerTool(name, { description, inputSchema }, (inputs) => tell(name, inputs, run(inputs)));
  tool("lookup_customer", "A customer by number", { id: z.number().int() }, ({ id }) =>
    customers.get(id) ?? { error: `no customer ${id}` });
  tool("list_orders", "The newest orders", { limit: z.number().int() }, ({ limit }) => ({
    orders: Array.from({ length: limit }, (_, n) => ({ order: `o-${1000 + n}`, cents: 1250 + 175 * n })),
  }));
  tool("echo", `Says it back${process.env.MCP_NOTE ?? ""}`, { text: z.string() }, ({ text }) => ({ text }));
  tool("refund_order", "Pays an order back", { order: z.string(), cents: z.number().int() }, ({ order, cents }) => ({
    refunded: order, cents,
  }));
  tool("run_shell", "Runs a command", { command: z.string() }, ({ command }) => ({ ran: command }));
  return server;
}

const sessions = new Map();

async function transportOf(request, body) {
  const known = sessions.get(request.headers["mcp-session-id"]);
  if (known || request.method !== "POST" || !isInitializeRequest(body)) return known;
  const transport = new StreamableHTTPServerTransport({
    sessionIdGenerator: randomUUID,
    onsessioninitialized: (id) => sessions.set(id, transport),
    onsessionclosed: (id) => sessions.delete(id),
  });
  await shop().connect(transport);
  return transport;
}

async function readJson(request) {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  return chunks.length ? JSON.parse(Buffer.concat(chunks).toString("utf8")) : undefined;
}

function isAllowed(request) {
  const given = Buffer.from(request.headers.authorization ?? "");
  return given.length === expected.length && timingSafeEqual(given, expected);
}

const { TLS_CERT, TLS_KEY } = process.env;
const listening = (answer) =>
  TLS_CERT ? createSecureServer({ cert: readFileSync(TLS_CERT), key: readFileSync(TLS_KEY) }, answer) : createServer(answer);

const server = listening(async (request, response) => {
  try {
    if (!isAllowed(request)) return response.writeHead(401).end();
    if (new URL(request.url, "http://localhost").pathname !== "/mcp") return response.writeHead(404).end();
    const body = request.method === "POST" ? await readJson(request) : undefined;
    const transport = await transportOf(request, body);
    if (!transport) return response.writeHead(request.headers["mcp-session-id"] ? 404 : 400).end();
    await transport.handleRequest(request, response, body);
  } catch (error) {
    console.error(error);
    if (!response.headersSent) response.writeHead(400).end();
  }
});
server.listen(Number(port), "127.0.0.1", () => console.log(`listening on ${server.address().port}`));
process.on("SIGTERM", () => process.exit(0));
