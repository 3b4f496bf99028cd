// A real MCP server on the official SDK's own ground: it says what its tools take and give, and
// checks nothing of what it is given, as many servers do.
// usage: loose.mjs PORT WITNESS
// What reaches it is appended to WITNESS, a line of JSON each: { posted: method }, or `answer` for an
// answer of a client's, with what a new client `can`; and { tool, arguments } for what it ran, or
// what came of asking.
import { randomUUID } from "node:crypto";
import { appendFileSync } from "node:fs";
import { createServer } from "node:http";
import { setTimeout } from "node:timers/promises";
import { Server } from "@modelcontextprotocol/sdk/server/index.js";
import { StreamableHTTPServerTransport } from "@modelcontextprotocol/sdk/server/streamableHttp.js";
import {
  CallToolRequestSchema,
  CreateMessageResultSchema,
  ElicitResultSchema,
  ListRootsResultSchema,
  ListToolsRequestSchema,
} from "@modelcontextprotocol/sdk/types.js";

const [port, witness] = process.argv.slice(2);
const note = (line) => appendFileSync(witness, JSON.stringify(line) + "\n");
const text = (said) => ({ content: [{ type: "text", text: said }] });
const object = (properties) => ({ type: "object", properties, required: Object.keys(properties) });

// What detectors know nothing of: hidden by its place, and each with a form that must stay.
const RECORD = {
  name: "Alva Lindqvist",
  salary: 73250,
  grade: "principal",
  badge: "QX-4711",
  ward: "seven-north",
  rooms: ["north-101", "north-204"],
};
const RECORD_SCHEMA = object({
  name: { type: "string" },
  salary: { type: "integer", minimum: 20000, maximum: 90000 },
  grade: { type: "string", enum: ["junior", "senior", "principal"] },
  badge: { type: "string", pattern: "^[A-Z]{2}-[0-9]{4}$" },
  ward: { type: "string", minLength: 1 },
  rooms: { type: "array", items: { type: "string", minLength: 5 } },
});

/** What a server can ask of its client: the request, and how its answer is read. */
const QUESTIONS = {
  sampling: [
    { method: "sampling/createMessage", params: { messages: [{ role: "user", content: { type: "text", text: "who is on call?" } }], maxTokens: 10 } },
    CreateMessageResultSchema,
  ],
  elicitation: [
    { method: "elicitation/create", params: { message: "Which colour?", requestedSchema: object({ colour: { type: "string" } }) } },
    ElicitResultSchema,
  ],
  roots: [{ method: "roots/list" }, ListRootsResultSchema],
};

const TOOLS = {
  staff_record: {
    description: "One of the staff",
    inputSchema: object({ id: { type: "integer" } }),
    outputSchema: RECORD_SCHEMA,
    run: () => ({ ...text(JSON.stringify(RECORD)), structuredContent: RECORD }),
  },
  torn_record: {
    description: "Gives what its schema does not admit",
    inputSchema: { type: "object" },
    outputSchema: object({ pages: { type: "integer" } }),
    run: () => ({ ...text("torn"), structuredContent: { pages: "some" } }),
  },
  list_orders: {
    description: "The newest orders",
    inputSchema: { type: "object", properties: { limit: { type: "integer" }, owner: { type: "string" } }, required: ["limit"] },
    run: ({ limit }) => text(`${Array.from({ length: limit }).length} orders`),
  },
  ask: {
    description: "Asks its client for something, on the stream of the call or on the server's own",
    inputSchema: object({ kind: { type: "string" }, apart: { type: "boolean" } }),
    run: async ({ kind, apart }, extra, server) => {
      const [request, schema] = QUESTIONS[kind];
      const send = apart ? server.request.bind(server) : extra.sendRequest;
      // What is sent on a stream that is not there yet is lost.
      while (apart && !server.transport.own?.headersSent) await setTimeout(20);
      try {
        const answer = await send(request, schema);
        note({ tool: "answered", arguments: { kind, apart, answer } });
        return text(`answered: ${JSON.stringify(answer)}`);
      } catch ({ code, message }) {
        note({ tool: "refused", arguments: { kind, apart, code } });
        return { ...text(`refused: ${code} ${message}`), isError: true };
      }
    },
  },
};

function shop() {
  const about = { name: "weir-loose", version: "1.0.0" };
  const server = new Server(about, { capabilities: { tools: {} } });
  const tools = Object.entries(TOOLS).map(([name, { run, ...tool }]) => ({ name, ...tool }));
  server.setRequestHandler(ListToolsRequestSchema, () => ({ tools }));
  server.setRequestHandler(CallToolRequestSchema, ({ params }, extra) => {
    note({ tool: params.name, arguments: params.arguments });
    return TOOLS[params.name].run(params.arguments ?? {}, extra, server);
  });
  return server;
}

const sessions = new Map();

async function transportOf(session, body) {
  if (session || body?.method !== "initialize") return sessions.get(session);
  const transport = new StreamableHTTPServerTransport({
    sessionIdGenerator: randomUUID,
    onsessioninitialized: (id) => sessions.set(id, transport),
    onsessionclosed: (id) => sessions.delete(id),
  });
  await shop().connect(transport);
  return transport;
}

async function read(request) {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  return chunks.length > 0 ? JSON.parse(Buffer.concat(chunks)) : undefined;
}

createServer(async (request, response) => {
  const body = await read(request);
  if (body) {
    const can = body.params?.capabilities;
    note({ posted: body.method ?? "answer", ...(can && { can: Object.keys(can) }) });
  }
  const transport = await transportOf(request.headers["mcp-session-id"], body);
  if (!transport) return response.writeHead(404).end();
  if (request.method === "GET") transport.own = response;
  await transport.handleRequest(request, response, body);
}).listen(Number(port), "127.0.0.1");
process.on("SIGTERM", () => process.exit(0));
