"""What every client does, told a line at a time, as node/story.mjs tells it."""

import asyncio
import json


def tell(step, seen):
    """Prints one line."""
    text = seen if isinstance(seen, str) else json.dumps(seen, default=plain, separators=(",", ":"))
    print(f"{step}\t{text}", flush=True)


def plain(value):
    return value.model_dump(mode="json", by_alias=True, exclude_none=True)


async def step(name, run):
    """Awaits a step; what it raises is what it saw."""
    try:
        tell(name, await run)
    except Exception as error:
        tell(name, f"RAISED {type(error).__name__} {error}")


def inside(result, member):
    """What a result is about: fastmcp has taken it out already."""
    return getattr(result, member, result)


class Story:
    """Told by a client's own adapter, which knows its names: see mcp_.py and fastmcp_.py."""

    def __init__(self):
        self.client = None
        self.heard, self.asked, self.progress = [], [], []

    def opened(self, url, mode):
        """The client, yet to be connected."""
        raise NotImplementedError

    def options(self, on_progress):
        """What a call of a tool takes beside name and arguments."""
        raise NotImplementedError

    async def play(self, url, mode):
        async with self.opened(url, mode) as client:
            self.client = client
            tell("server", {"of": client.server_info.name, "revision": client.protocol_version})
            await self.tell()
            if mode == "legacy":
                # Only Streamable HTTP with sessions can be resumed.
                await step("resumed", self.call("test_reconnection"))
        tell("done", "")

    async def hear(self, message):
        self.heard.append(message.data)

    async def call(self, name, arguments=None, on_progress=None):
        result = await self.client.call_tool(name, arguments, **self.options(on_progress))
        seen = {"content": result.content, "isError": bool(result.is_error)}
        return {**seen, "structuredContent": result.structured_content}

    async def read(self, uri):
        return inside(await self.client.read_resource(uri), "contents")

    async def prompt(self, name, arguments=None):
        return (await self.client.get_prompt(name, arguments)).messages

    async def note(self, progress, total, message):
        self.progress.append([progress, total, message])

    async def tell(self):
        client = self.client
        for tool in inside(await client.list_tools(), "tools"):
            if not tool.name.startswith("test_"):
                about = {"in": tool.input_schema, "out": tool.output_schema}
                tell(f"tool {tool.name}", {"description": tool.description, **about})
        resources = inside(await client.list_resources(), "resources")
        tell("resources", sorted(str(resource.uri) for resource in resources))
        prompts = inside(await client.list_prompts(), "prompts")
        tell("prompts", sorted(prompt.name for prompt in prompts))
        await self.calls()
        await self.talks()
        await self.refusals()

    async def calls(self):
        await step("add", self.call("add", {"a": 2, "b": 40}))
        await step("wrong arguments", self.call("add", {"a": "two", "b": 40}))
        await step("text", self.call("test_simple_text"))
        await step("image", self.call("test_image_content"))
        await step("error", self.call("test_error_handling"))
        together = (self.call("add", {"a": n, "b": 1000}) for n in range(16))
        tell("many at once", await asyncio.gather(*together))
        await step("masked structured", self.call("customer_card", {"id": 1}))
        await step("masked text and embedded", self.call("customer_file", {"id": 1}))
        await step("masked failure", self.call("failing_lookup", {"id": 1}))
        await step("masked error", self.call("broken_lookup", {"id": 1}))
        await step("masked resource", self.read("customers://1"))
        await step("masked prompt", self.prompt("letter", {"tone": "kind"}))
        await step("resource", self.read("test://static-text"))
        await step("template", self.read("test://template/7/data"))

    async def talks(self):
        await step("walk", self.call("walk", {"steps": 3}, self.note))
        tell("masked progress", self.progress)
        # Log messages come before the answer, on the same stream.
        tell("masked log", self.heard)
        await step("elicitation", self.call("ask_back"))
        tell("masked elicitation", self.asked)
        await step("cancelled", self.cancelled())
        await step("after the cancelled one", self.call("add", {"a": 1, "b": 1}))

    async def cancelled(self):
        began = asyncio.Event()

        async def begun(progress, total, message):
            began.set()

        call = asyncio.ensure_future(self.call("wait_long", {}, begun))
        await began.wait()
        call.cancel()
        try:
            return await call
        except asyncio.CancelledError:
            return "gave up"

    async def refusals(self):
        await step("absent tool", self.call("no_such_tool_", {"id": 1}))
        await step("hidden tool", self.call("hidden_report", {"id": 1}))
        await step("denied tool", self.call("denied_purge"))
        await step("absent resource", self.read("customers://9"))
        await step("absent prompt", self.prompt("no_such_prompt"))
