// What every client does, told a line at a time: a name, a tab, and what was seen. Lines that
// begin with "masked " hold what Weir's policy hides from an engineer.

/** Prints one line. */
export function tell(step, seen) {
  console.log(`${step}\t${typeof seen === "string" ? seen : JSON.stringify(seen)}`);
}

/** What a caller sees of a tool's result. */
export function seen({ content, structuredContent, isError }) {
  return { content, structuredContent, isError: isError ?? false };
}

/** Runs a step; what it throws is what it saw. */
export async function step(name, run) {
  try {
    tell(name, await run());
  } catch (error) {
    tell(name, `RAISED ${error.code ?? error.name} ${error.message}`);
  }
}

/**
 * Tells the whole story. `client` is connected; `heard` collects its log messages; `asked` what it
 * was asked; `_meta` goes with every call.
 */
export async function story(client, { heard, asked, _meta }) {
  const call = (name, inputs, options) => client.callTool({ name, arguments: inputs, _meta }, ...options);
  // The first SDK takes a schema before the options.
  const plain = client.legacyArguments ? [undefined] : [];
  const ask = async (name, inputs = {}, options = {}) => seen(await call(name, inputs, [...plain, options]));

  const { tools } = await client.listTools();
  for (const tool of tools.filter((tool) => !tool.name.startsWith("test_"))) {
    tell(`tool ${tool.name}`, { description: tool.description, in: tool.inputSchema, out: tool.outputSchema });
  }
  await step("resources", async () => (await client.listResources()).resources.map(({ uri }) => uri).sort());
  await step("prompts", async () => (await client.listPrompts()).prompts.map(({ name }) => name).sort());
  await step("add", () => ask("add", { a: 2, b: 40 }));
  await step("wrong arguments", () => ask("add", { a: "two", b: 40 }));
  await step("text", () => ask("test_simple_text"));
  await step("image", () => ask("test_image_content"));
  await step("error", () => ask("test_error_handling"));
  await step("many at once", async () => {
    const all = await Promise.all([...Array(16).keys()].map((n) => ask("add", { a: n, b: 1000 })));
    return all.map(({ structuredContent }) => structuredContent.result);
  });
  await step("masked structured", () => ask("customer_card", { id: 1 }));
  await step("masked text and embedded", () => ask("customer_file", { id: 1 }));
  await step("masked failure", () => ask("failing_lookup", { id: 1 }));
  await step("masked error", async () => {
    try {
      return await ask("broken_lookup", { id: 1 });
    } catch ({ message, data }) {
      return { message, data };
    }
  });
  await step("masked resource", async () => (await client.readResource({ uri: "customers://1" })).contents);
  await step("masked prompt", async () =>
    (await client.getPrompt({ name: "letter", arguments: { tone: "kind" } })).messages);
  await step("resource", async () => (await client.readResource({ uri: "test://static-text" })).contents);
  await step("template", async () => (await client.readResource({ uri: "test://template/7/data" })).contents);
  await step("completion", async () =>
    (await client.complete({
      ref: { type: "ref/prompt", name: "test_prompt_with_arguments" },
      argument: { name: "arg1", value: "a" },
    })).completion);

  const progress = [];
  await step("walk", () => ask("walk", { steps: 3 }, { onprogress: (at) => progress.push(at) }));
  tell("masked progress", progress);
  // Log messages come before the answer, on the same stream.
  tell("masked log", heard.splice(0));
  await step("elicitation", () => ask("ask_back"));
  tell("masked elicitation", asked.splice(0));
  await step("cancelled", async () => {
    const abort = new AbortController();
    const onprogress = () => abort.abort(new Error("no longer wanted"));
    try {
      return await ask("wait_long", {}, { signal: abort.signal, onprogress });
    } catch (error) {
      return `gave up: ${error.message.includes("no longer wanted")}`;
    }
  });
  await step("after the cancelled one", () => ask("add", { a: 1, b: 1 }));

  await step("absent tool", () => ask("no_such_tool_", { id: 1 }));
  await step("hidden tool", () => ask("hidden_report", { id: 1 }));
  await step("denied tool", () => ask("denied_purge"));
  await step("absent resource", async () => (await client.readResource({ uri: "customers://9" })).contents);
  await step("absent prompt", async () => (await client.getPrompt({ name: "no_such_prompt" })).messages);
}
