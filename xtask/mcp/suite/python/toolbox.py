"""Asks a server before Postgres two things, on the official SDK.

usage: toolbox.py URL
"""

import asyncio
import sys

from mcp.client.client import Client

from story import tell

# A value of a column that Postgres' side hides, and one that only this side can know.
ASKED = {
    "column": "SELECT id, ssn FROM customers WHERE id = 1",
    "constant": "SELECT 'number ' || '219-09-9999' AS typed",
}


async def main(url):
    async with Client(url, mode="legacy") as client:
        tools = (await client.list_tools()).tools
        tell("tools", sorted(tool.name for tool in tools if tool.name in ("execute_sql", "list_tables")))
        for name, sql in ASKED.items():
            result = await client.call_tool("execute_sql", {"sql": sql})
            tell(name, " ".join(content.text for content in result.content))


asyncio.run(main(sys.argv[1]))
