"""The official Python SDK's client.

usage: mcp_.py URL legacy | auto | sse
"""

import asyncio
import sys

from mcp.client.client import Client
from mcp.client.sse import sse_client
from mcp.types import ElicitResult

from story import Story, step, tell


class Official(Story):
    async def call(self, name, arguments=None, on_progress=None):
        result = await self.client.call_tool(name, arguments, progress_callback=on_progress)
        seen = {"content": result.content, "isError": bool(result.is_error)}
        return {**seen, "structuredContent": result.structured_content}

    async def lists(self):
        client = self.client
        return (
            (await client.list_tools()).tools,
            (await client.list_resources()).resources,
            (await client.list_prompts()).prompts,
        )

    async def read(self, uri):
        return (await self.client.read_resource(uri)).contents

    async def prompt(self, name, arguments=None):
        return (await self.client.get_prompt(name, arguments)).messages


async def main(url, mode):
    story = Official(None)

    async def hear(params):
        story.heard.append(params.data)

    async def ask(context, params):
        story.asked.append(params.message)
        return ElicitResult(action="accept", content={"colour": "blue"})

    server = sse_client(url) if mode == "sse" else url
    client = Client(
        server,
        mode="legacy" if mode == "sse" else mode,
        logging_callback=hear,
        elicitation_callback=ask,
        log_level="info",
    )
    async with client:
        story.client = client
        tell("server", {"of": client.server_info.name, "revision": client.protocol_version})
        await story.tell()
        if mode == "legacy":
            # Only Streamable HTTP with sessions can be resumed.
            await step("resumed", story.call("test_reconnection"))
    tell("done", "")


asyncio.run(main(*sys.argv[1:]))
