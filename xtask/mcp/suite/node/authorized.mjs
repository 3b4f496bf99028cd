// A client that gets a token for a server by itself, as the official SDK does it; its person agrees
// to everything.
// usage: [MCP_TOKEN=…] authorized.mjs URL
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { seen, step, tell } from "./story.mjs";

const [url] = process.argv.slice(2);
const about = { name: "authorized", version: "1.0.0" };
const redirectUrl = "http://127.0.0.1:1/callback";

/** What an authorization server says, as it came. */
const heard = async (asked, init) => {
  const response = await fetch(asked, init);
  const { pathname } = new URL(asked);
  if (/token|register|well-known/.test(pathname)) {
    const text = await response.clone().text();
    tell(`heard ${pathname}`, `${response.status} ${text}`);
  }
  return response;
};

/** Keeps what it is given, and opens pages. */
class Keeper {
  clientMetadata = {
    client_name: about.name,
    redirect_uris: [redirectUrl],
    grant_types: ["authorization_code"],
    response_types: ["code"],
    token_endpoint_auth_method: "client_secret_post",
  };
  get redirectUrl() { return redirectUrl; }
  state() { return "of-this-client"; }
  clientInformation() { return this.client; }
  saveClientInformation(client) { this.client = client; }
  tokens() { return this.kept; }
  saveTokens(tokens) { this.kept = tokens; }
  saveCodeVerifier(verifier) { this.verifier = verifier; }
  codeVerifier() { return this.verifier; }
  async redirectToAuthorization(page) {
    tell("challenge", `${page.searchParams.get("code_challenge_method")} ${page.searchParams.get("resource")}`);
    const { status, headers } = await fetch(page, { redirect: "manual" });
    this.back = new URL(headers.get("location"));
    tell("page", `${status} ${this.back.origin}${this.back.pathname} ${this.back.searchParams.get("state")}`);
  }
}

const token = process.env.MCP_TOKEN;
const authProvider = token ? undefined : new Keeper();
const requestInit = token ? { headers: { authorization: `Bearer ${token}` } } : {};
const opened = () => new StreamableHTTPClientTransport(new URL(url), { authProvider, requestInit, fetch: heard });
const connect = async (transport) => {
  const client = new Client(about);
  await client.connect(transport);
  return client;
};
await step("call", async () => {
  let client;
  const transport = opened();
  try {
    client = await connect(transport);
  } catch (error) {
    if (!authProvider?.back) throw error;
    await transport.finishAuth(authProvider.back.searchParams.get("code"));
    client = await connect(opened());
  }
  const result = seen(await client.callTool({ name: "whoami" }));
  await client.close();
  return { ...result, of: authProvider?.client?.client_id };
});
tell("done", "");
