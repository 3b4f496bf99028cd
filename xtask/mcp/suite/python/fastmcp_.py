"""fastmcp's client.

usage: fastmcp_.py URL legacy | auto
"""

import asyncio
import sys

from fastmcp import Client

from story import Story, step, tell


class Fast(Story):
    async def call(self, name, arguments=None, on_progress=None):
        result = await self.client.call_tool(
            name, arguments, progress_handler=on_progress, raise_on_error=False
        )
        seen = {"content": result.content, "isError": bool(result.is_error)}
        return {**seen, "structuredContent": result.structured_content}

    async def lists(self):
        client = self.client
        return await client.list_tools(), await client.list_resources(), await client.list_prompts()

    async def read(self, uri):
        return await self.client.read_resource(uri)

    async def prompt(self, name, arguments=None):
        return (await self.client.get_prompt(name, arguments)).messages


async def main(url, mode):
    story = Fast(None)

    async def hear(message):
        story.heard.append(message.data)

    async def ask(message, response_type, params, context):
        story.asked.append(message)
        return {"colour": "blue"}

    async with Client(url, mode=mode, log_handler=hear, elicitation_handler=ask) as client:
        story.client = client
        tell("server", {"of": client.server_info.name, "revision": client.protocol_version})
        await story.tell()
        if mode == "legacy":
            await step("resumed", story.call("test_reconnection"))
    tell("done", "")


asyncio.run(main(*sys.argv[1:]))
