"""Calls that wait for people, by each of the Python clients, as node/hold.mjs makes them.

usage: hold.py mcp | fastmcp FOLDER FIRST-ORDER URL
"""

import asyncio
import pathlib
import sys

from story import step, tell


async def main(which, folder, first, url):
    if which == "mcp":
        from mcp.client.client import Client

        client, options = Client(url, mode="legacy"), {}
    else:
        from fastmcp import Client

        client, options = Client(url, mode="legacy"), {"raise_on_error": False}

    async def refund(order, cents, name="refund"):
        inputs = {"order": int(first) + order, "cents": cents}
        result = await client.call_tool(name, inputs, **options)
        return {"content": result.content, "isError": bool(result.is_error)}

    async with client:
        await step("within", refund(1, 100))
        await step("denied", refund(2, 100))
        await step("expired", refund(4, 100, "refund_soon"))
        await step("late", refund(3, 100))
        pathlib.Path(folder, f"{first}-late").touch()
        while not pathlib.Path(folder, f"{first}-go").exists():
            await asyncio.sleep(0.1)
        await step("changed", refund(3, 999))
        await step("retried", refund(3, 100))
    tell("done", "")


asyncio.run(main(*sys.argv[1:]))
