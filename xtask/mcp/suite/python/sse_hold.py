"""Calls that wait for people, by the official Python SDK over the transport of 2024-11-05.

usage: sse_hold.py URL FIRST-ORDER
"""

import asyncio
import sys

from mcp.client.client import Client
from mcp.client.sse import sse_client

from story import step, tell


async def main(url, first):
    async with Client(sse_client(url), mode="legacy") as client:

        async def call(name, inputs):
            result = await client.call_tool(name, inputs)
            return {"content": result.content, "isError": bool(result.is_error)}

        def refund(order):
            return call("refund", {"order": int(first) + order, "cents": 100})

        # Both wait at once, and a third call is served meanwhile.
        waiting = [
            asyncio.ensure_future(step("approved", refund(1))),
            asyncio.ensure_future(step("denied", refund(2))),
        ]
        await asyncio.sleep(0)
        await step("meanwhile", call("add", {"a": 1, "b": 1}))
        await asyncio.gather(*waiting)
    tell("done", "")


asyncio.run(main(*sys.argv[1:]))
