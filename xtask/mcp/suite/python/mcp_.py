"""The official Python SDK's client.

usage: mcp_.py URL legacy | auto | sse
"""

import asyncio
import sys

from mcp.client.client import Client
from mcp.client.sse import sse_client
from mcp.types import ElicitResult

from story import Story


class Official(Story):
    def opened(self, url, mode):
        server = sse_client(url) if mode == "sse" else url
        return Client(
            server,
            mode="legacy" if mode == "sse" else mode,
            logging_callback=self.hear,
            elicitation_callback=self.ask,
            log_level="info",
        )

    def options(self, on_progress):
        return {"progress_callback": on_progress}

    async def ask(self, context, params):
        self.asked.append(params.message)
        return ElicitResult(action="accept", content={"colour": "blue"})


asyncio.run(Official().play(*sys.argv[1:]))
