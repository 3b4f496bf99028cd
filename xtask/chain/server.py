"""An MCP server as people write them: the official SDK, and a pool of Postgres connections.

    server.py PORT|stdio DSN POOL plain|trace|name|otel

It has the tools t0 … t63 for one call at a time each, and `shared` for many at once. Each sends
two statements that name their tool, or their call, so that whoever reads the audit log can tell
which call they are for; and `pair` asks once two calls of it are open. How a statement carries the
call's trace context:

    plain   not at all
    trace   in a comment, as sqlcommenter writes it; one in eight calls leaves its second
            statement to a task that outlives the answer
    name    in the name of its session, which is set when a connection is taken from the pool
    otel    in whatever way OpenTelemetry's instrumentations of ASGI and psycopg do it
"""

import asyncio
import contextlib
import sys

import uvicorn
from mcp.server.mcpserver import Context, MCPServer
from psycopg_pool import AsyncConnectionPool

TOOLS = 64
DOOR, DSN, POOL, MODE = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]

if MODE == "otel":
    from opentelemetry import trace
    from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
    from opentelemetry.instrumentation.psycopg import PsycopgInstrumentor
    from opentelemetry.sdk.trace import TracerProvider

    trace.set_tracer_provider(TracerProvider())
    PsycopgInstrumentor().instrument(enable_commenter=True)

pool = AsyncConnectionPool(DSN, min_size=POOL, max_size=POOL, open=False, kwargs={"autocommit": True})
server = MCPServer("chain", log_level="WARNING")
late: set[asyncio.Task] = set()


async def ask(text: str, parent: str | None) -> int:
    async with pool.connection() as connection:
        if MODE == "name" and parent:
            await connection.execute("SELECT set_config('application_name', %s, false)", [parent])
        cursor = connection.cursor()
        await cursor.execute(text)
        return (await cursor.fetchone())[0]


def carried(ctx: Context) -> tuple[str | None, str]:
    """The call's trace context, and the comment with it."""
    parent = (ctx.headers or {}).get("traceparent")
    return parent, f" /*traceparent='{parent}'*/" if MODE == "trace" and parent else ""


async def twice(n: int, name: str, ctx: Context) -> str:
    parent, comment = carried(ctx)
    first = await ask(f"SELECT {n} AS {name}{comment}", parent)
    second = ask(f"SELECT {n} + 1 AS {name}{comment}", parent)
    if comment and n % 8 == 0:
        task = asyncio.create_task(second)
        late.add(task)
        task.add_done_callback(late.discard)
    else:
        await second
    return str(first)


def tool(number: int):
    async def call(n: int, ctx: Context) -> str:
        return await twice(n, f"tool_{number}", ctx)

    return call


async def shared(n: int, ctx: Context) -> str:
    return await twice(n, f"tool_shared_{n}", ctx)


both = asyncio.Barrier(2)


async def pair(who: str, ctx: Context) -> str:
    parent, comment = carried(ctx)
    await both.wait()
    await ask(f"SELECT 1 AS pair_{who}{comment}", parent)
    await both.wait()
    return f"asked for {who}"


server.add_tool(pair, name="pair", description="asks Postgres once it is open twice")
for number in range(TOOLS):
    server.add_tool(tool(number), name=f"t{number}", description="asks Postgres")
server.add_tool(shared, name="shared", description="asks Postgres, too")


async def by_pipe():
    async with pool:
        await server.run_stdio_async()


if DOOR == "stdio":
    asyncio.run(by_pipe())
    sys.exit()

app = server.streamable_http_app(json_response=True, stateless_http=True)
inner = app.router.lifespan_context


@contextlib.asynccontextmanager
async def lifespan(application):
    async with pool, inner(application):
        yield


app.router.lifespan_context = lifespan
served = OpenTelemetryMiddleware(app) if MODE == "otel" else app
uvicorn.run(served, host="127.0.0.1", port=int(DOOR), log_level="warning")
