"""An MCP server as people write them: the official SDK, and a pool of Postgres connections.

    server.py PORT DSN POOL trace|plain

It has the tools t0 … t63 for one call at a time each, and each sends two statements that name
their tool, so that whoever reads the audit log can tell which call they are for; and `pair`, which
asks once two calls of it are open. With `trace` the statements carry the call's trace context in a
comment, as sqlcommenter writes it; one in eight calls of a numbered tool leaves its second
statement to a task that outlives the answer.
"""

import asyncio
import contextlib
import sys

import uvicorn
from mcp.server.mcpserver import Context, MCPServer
from psycopg_pool import AsyncConnectionPool

TOOLS = 64
PORT, DSN, POOL, MODE = int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4]

pool = AsyncConnectionPool(DSN, min_size=POOL, max_size=POOL, open=False, kwargs={"autocommit": True})
server = MCPServer("chain", log_level="WARNING")
late: set[asyncio.Task] = set()


async def ask(text: str) -> int:
    async with pool.connection() as connection:
        row = await (await connection.execute(text)).fetchone()
        return row[0]


def comment_of(ctx: Context) -> str:
    parent = (ctx.headers or {}).get("traceparent")
    return f" /*traceparent='{parent}'*/" if MODE == "trace" and parent else ""


def tool(number: int):
    async def call(n: int, ctx: Context) -> str:
        comment = comment_of(ctx)
        first = await ask(f"SELECT {n} AS tool_{number}{comment}")
        second = f"SELECT {n} + 1 AS tool_{number}{comment}"
        if comment and n % 8 == 0:
            task = asyncio.create_task(ask(second))
            late.add(task)
            task.add_done_callback(late.discard)
        else:
            await ask(second)
        return str(first)

    return call


both = asyncio.Barrier(2)


async def pair(who: str, ctx: Context) -> str:
    await both.wait()
    await ask(f"SELECT 1 AS pair_{who}{comment_of(ctx)}")
    await both.wait()
    return f"asked for {who}"


server.add_tool(pair, name="pair", description="asks Postgres once it is open twice")
for number in range(TOOLS):
    server.add_tool(tool(number), name=f"t{number}", description="asks Postgres")

app = server.streamable_http_app(json_response=True, stateless_http=True)
inner = app.router.lifespan_context


@contextlib.asynccontextmanager
async def lifespan(application):
    async with pool, inner(application):
        yield


app.router.lifespan_context = lifespan
uvicorn.run(app, host="127.0.0.1", port=PORT, log_level="warning")
