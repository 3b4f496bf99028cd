// The TypeScript SDK's first generation, by whichever transport: it keeps what it hears and is asked.
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { ElicitRequestSchema, LoggingMessageNotificationSchema } from "@modelcontextprotocol/sdk/types.js";

export async function connected(name, transport) {
  const client = new Client({ name, version: "1.0.0" }, { capabilities: { elicitation: {} } });
  client.legacyArguments = true;
  const heard = [], asked = [];
  client.setNotificationHandler(LoggingMessageNotificationSchema, ({ params }) => heard.push(params.data));
  client.setRequestHandler(ElicitRequestSchema, ({ params }) => {
    asked.push(params.message);
    return { action: "accept", content: { colour: "blue" } };
  });
  await client.connect(transport);
  return { client, heard, asked };
}
