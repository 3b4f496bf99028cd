"""What only a server that checks nothing shows, by the Python SDK, as node/loose_client.mjs asks it.

usage: loose.py URL
"""

import asyncio
import sys

from mcp.client.client import Client

from story import step, tell


async def main(url):
    async with Client(url, mode="legacy") as client:
        # Clients hold results against the schemas that the list has.
        await client.list_tools()

        async def call(name, **inputs):
            result = await client.call_tool(name, inputs)
            seen = {"content": result.content, "structuredContent": result.structured_content}
            return {**seen, "isError": bool(result.is_error)}

        await step("record", call("staff_record", id=1))
        await step("torn", call("torn_record"))
        await step("of the type", call("list_orders", limit=5))
        await step("as a text", call("list_orders", limit="150"))
        await step("as a list", call("list_orders", limit=[150]))
        await step("too many", call("list_orders", limit=150))
        await step("another of another type", call("list_orders", limit=5, owner=7))
    tell("done", "")


asyncio.run(main(sys.argv[1]))
