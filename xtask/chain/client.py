"""The official Python SDK's client, as anybody would use it: it knows nothing of Weir.

usage: [MCP_TOKEN=…] client.py URL TOOL ARGUMENTS-AS-JSON

Prints one line of JSON: the tool's result, or { "failed": message }.
"""

import asyncio
import json
import os
import sys

from mcp.client.client import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared._httpx_utils import create_mcp_http_client


async def ask(url, tool, inputs):
    token = os.environ.get("MCP_TOKEN")
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with create_mcp_http_client(headers=headers) as http:
        async with Client(streamable_http_client(url, http_client=http), mode="legacy") as client:
            result = await client.call_tool(tool, json.loads(inputs))
            return result.model_dump(mode="json", by_alias=True)


def causes(error):
    """What an error is made of, in words."""
    inner = error.exceptions if isinstance(error, BaseExceptionGroup) else [error.__cause__ or error.__context__]
    return " ".join([repr(error), *(causes(one) for one in inner if one)])


try:
    print(json.dumps(asyncio.run(ask(*sys.argv[1:]))))
except Exception as error:
    print(json.dumps({"failed": causes(error)}))
