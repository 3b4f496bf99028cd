"""fastmcp's client.

usage: fastmcp_.py URL legacy | auto
"""

import asyncio
import sys

from fastmcp import Client

from story import Story


class Fast(Story):
    def opened(self, url, mode):
        return Client(url, mode=mode, log_handler=self.hear, elicitation_handler=self.ask)

    def options(self, on_progress):
        return {"progress_handler": on_progress, "raise_on_error": False}

    async def ask(self, message, response_type, params, context):
        self.asked.append(message)
        return {"colour": "blue"}


asyncio.run(Fast().play(*sys.argv[1:]))
