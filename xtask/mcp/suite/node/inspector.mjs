// What the Inspector's command line can be asked.
// usage: inspector.mjs LAUNCHER URL
import { inspector } from "./inspect.mjs";
import { tell } from "./story.mjs";

const [launcher, url] = process.argv.slice(2);
const ask = inspector(launcher, url);
const call = (name, ...args) => ask("--method", "tools/call", "--tool-name", name, ...args);
const asked = [
  ["names", async () => (await ask("--method", "tools/list")).tools.map(({ name }) => name).filter((name) => !name.startsWith("test_"))],
  ["resources", async () => (await ask("--method", "resources/list")).resources.map(({ uri }) => uri).sort()],
  ["add", () => call("add", "--tool-arg", "a=2", "b=40")],
  ["error", () => call("test_error_handling")],
  ["walk", () => call("walk", "--tool-arg", "steps=3")],
  ["masked structured", () => call("customer_card", "--tool-arg", "id=1")],
  ["masked text and embedded", () => call("customer_file", "--tool-arg", "id=1")],
  ["masked failure", () => call("failing_lookup", "--tool-arg", "id=1")],
  ["masked resource", () => ask("--method", "resources/read", "--uri", "customers://1")],
  ["masked prompt", () => ask("--method", "prompts/get", "--prompt-name", "letter", "--prompt-args", "tone=kind")],
  ["denied tool", () => call("denied_purge")],
];
// Two at a time: as many as CI has cores.
while (asked.length > 0) {
  const now = asked.splice(0, 2);
  const told = await Promise.all(now.map(([, run]) => run()));
  now.forEach(([name], at) => tell(name, told[at]));
}
// By itself: the server's SDK tells streams apart by their request's id, which every process has.
tell("resumed", await call("test_reconnection"));
tell("done", "");
