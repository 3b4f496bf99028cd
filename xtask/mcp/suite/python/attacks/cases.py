"""Requests that two readers could read differently, or that nobody may send."""

import json

MEDIA = "Content-Type: application/json\r\nAccept: application/json, text/event-stream\r\n"

def call(case, name="forbidden", **more):
    params = {"name": name, "arguments": {"case": case}}
    return json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params, **more})


def head(port, *fields, target="/mcp", method="POST", host=None):
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host or f'127.0.0.1:{port}'}"]
    return "\r\n".join([*lines, MEDIA.rstrip(), *fields, "", ""]).encode("latin-1")


def post(port, body, *fields, **more):
    body = body.encode("utf-8", "surrogatepass") if isinstance(body, str) else body
    return head(port, f"Content-Length: {len(body)}", *fields, **more) + body


def chunked(body):
    return b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)


def framings(port):
    """What is a request, and where does it end?"""

    def smuggled(case):
        return post(port, call(case))

    def raw(case, *fields, **more):
        body = call(case).encode()
        return head(port, *fields, **more), body

    def sized(case, field):
        begin, body = raw(case, field.format(size=len(call(case))))
        return begin + body

    def coded(case, *fields):
        begin, body = raw(case, *fields)
        return begin + chunked(body)

    hidden = b"0\r\n\r\n" + smuggled("length, then chunks")
    yield "length, then chunks", head(
        port, f"Content-Length: {len(hidden)}", "Transfer-Encoding: chunked"
    ) + hidden
    inner = smuggled("chunks, then length")
    opening = f"{len(inner):x}\r\n".encode()
    yield "chunks, then length", head(
        port, f"Content-Length: {len(opening)}", "Transfer-Encoding: chunked", target="/mcp?prefer=length"
    ) + opening + inner + b"\r\n0\r\n\r\n"
    yield "an odd coding", coded("an odd coding", "Transfer-Encoding: xchunked")
    yield "two codings", coded("two codings", "Transfer-Encoding: identity", "Transfer-Encoding: chunked")
    yield "two lengths", sized("two lengths", "Content-Length: 2\r\nContent-Length: {size}")
    yield "a list of lengths", sized("a list of lengths", "Content-Length: 2,{size}")
    yield "a signed length", sized("a signed length", "Content-Length: +{size}")
    yield "a space before the colon", sized("a space before the colon", "Content-Length : {size}")
    yield "a folded field", sized("a folded field", "X-A: b\r\n\tc\r\nContent-Length: {size}")
    begin, body = raw("bare line feeds", f"Content-Length: {len(call('bare line feeds'))}")
    yield "bare line feeds", begin.replace(b"\r\n", b"\n") + body
    begin, body = raw("chunks by line feeds", "Transfer-Encoding: chunked")
    yield "chunks by line feeds", begin + chunked(body).replace(b"\r\n", b"\n")
    yield "two hosts", post(port, call("two hosts", "safe"), "Host: elsewhere.example")
    yield "two sessions", post(
        port, call("two sessions", "safe"), "Mcp-Session-Id: mine", "Mcp-Session-Id: another's"
    )
    yield "a zero byte in a field", post(port, call("a zero byte in a field", "safe"), "X-A: \0")
    yield "another host in the target", post(
        port, call("another host in the target", "safe"), target="http://elsewhere.example/mcp"
    )
    yield "a host that was rebound", post(
        port, call("a host that was rebound", "safe"), host="elsewhere.example"
    )
    yield "a foreign origin", post(
        port, call("a foreign origin", "safe"), "Origin: http://elsewhere.example"
    )
    good, bad = call("a good call", "safe"), call("a denied call behind a good one")
    yield "a denied call behind a good one", post(port, good) + post(port, bad)
    upgrade = ["Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__"]
    good = call("a good call that would rather be HTTP/2", "safe")
    yield "a good call that would rather be HTTP/2", post(port, good, *upgrade)
    half = call("a call behind an upgrade", "safe")
    yield "a call behind an upgrade", head(
        port, *upgrade, "Content-Length: 0", method="OPTIONS"
    ) + post(port, half)
    begin, body = raw("beside the size of a chunk", "Transfer-Encoding: chunked")
    yield "beside the size of a chunk", begin + chunked(body).replace(b"\r\n", b";a=b\r\n", 1)
    begin, body = raw("behind the last chunk", "Transfer-Encoding: chunked")
    yield "behind the last chunk", begin + chunked(body)[:-2] + b"X-A: b\r\n\r\n"
    begin, body = raw("a method of HTTP that MCP has not", f"Content-Length: {len(call('a method of HTTP that MCP has not'))}", method="TRACE")
    yield "a method of HTTP that MCP has not", begin + body
    begin, body = raw("packed content", f"Content-Length: {len(call('packed content'))}", "Content-Encoding: gzip")
    yield "packed content", begin + body
    begin, body = raw("a field for one hop only", f"Content-Length: {len(call('a field for one hop only'))}")
    yield "a field for one hop only", begin.replace(b"\r\n\r\n", b"\r\nConnection: mcp-session-id\r\n\r\n") + body
    large = call("a body beyond all bounds", "safe", pad="x" * (17 << 20))
    yield "a body beyond all bounds", post(port, large)


def documents(port):
    """What does the body say?"""

    def body(case, text, *fields):
        return case, post(port, text, *fields)

    def about(label, begin='"method":"tools/call",', name='"name":"forbidden",', end=""):
        arguments = f'"arguments":{{"case":"{label}"}}'
        return f'{{"jsonrpc":"2.0","id":1,{begin}"params":{{{name}{arguments}}}{end}}}'

    def case(label, **more):
        return body(label, about(label, **more))

    list_ = '"method":"tools/list",'
    yield case("a method twice", begin=list_ + '"method":"tools/call",')
    yield case("a method in capitals", begin=list_ + '"METHOD":"tools/call",')
    yield case("a name twice", name='"name":"safe","name":"forbidden",')
    yield case("a late name", end=',"params":{"name":"forbidden","arguments":{"case":"a late name"}}', name='"name":"safe",')
    yield case("a name in capitals", name='"name":"safe","NAME":"forbidden",')
    yield case("a key with a long s", end=',"param\u017f":{"name":"forbidden","arguments":{"case":"a key with a long s"}}', name='"name":"safe",')
    yield case("an escaped key", name='"name":"safe","\\u006eame":"forbidden",')
    yield body("a second document", call("a second document", "safe") + call("a second document"))
    yield case("a lone surrogate", name='"name":"forbidden\\ud800",')
    invalid = about("invalid UTF-8", name='"name":"forbidden\xff",').encode("latin-1")
    yield "invalid UTF-8", post(port, invalid)
    yield body("a byte order mark", "\ufeff" + call("a byte order mark"))
    yield body("deep nesting", call("deep nesting")[:-1] + ',"deep":' + "[" * 5000 + "]" * 5000 + "}")
    yield body("a huge number", call("a huge number")[:-1] + ',"n":' + "9" * 4000 + "}")
    yield body("not a number", call("not a number")[:-1] + ',"n":NaN}')
    yield body("an id that is a list", call("an id that is a list", id=[1]))
    batch = f'[{call("a batch without batches", "safe")},{call("a batch without batches")}]'
    yield body("a batch without batches", batch, "MCP-Protocol-Version: 2025-06-18")
    mixed = f'[{call("a denied call in a batch", "safe", id=2)},{call("a denied call in a batch")}]'
    yield body("a denied call in a batch", mixed)
    answer = {"jsonrpc": "2.0", "id": "1", "result": {"case": "an answer to no question"}}
    yield body("an answer to no question", json.dumps(answer))
    answer = {"method": "tools/call", "params": {"name": "safe"}, "result": {"case": "an answer that calls"}}
    yield body("an answer that calls", json.dumps({"jsonrpc": "2.0", "id": "1", **answer}))
    answer = {"method": "notifications/initialized", "result": {"case": "a notification that answers"}}
    yield body("a notification that answers", json.dumps({"jsonrpc": "2.0", **answer}))
    untold = json.loads(call("a call that wants no answer"))
    del untold["id"]
    yield body("a call that wants no answer", json.dumps(untold))
    for label in ("a call with the id of none", "an id that is no whole number", "an id that is true"):
        ids = {"none": None, "number": 1.5, "true": True}
        yield body(label, call(label, "safe", id=ids[label.split()[-1]]))
    yield body("a tool that is denied", call("a tool that is denied"))
    yield body("a tool that is denied, in a batch", f'[{call("a tool that is denied, in a batch")}]')


def methods(port):
    """What is not a tool, and may not be had either."""
    prompt = {"type": "ref/prompt", "name": "payroll"}
    letters = {"argument": {"name": "who", "value": "a"}}
    for label, method, params in (
        ("a denied resource", "resources/read", {"uri": "file:///payroll"}),
        ("changes of a denied resource", "resources/subscribe", {"uri": "file:///payroll"}),
        ("no more changes of a denied resource", "resources/unsubscribe", {"uri": "file:///payroll"}),
        ("a denied prompt", "prompts/get", {"name": "payroll"}),
        ("a denied prompt, completed", "completion/complete", {"ref": prompt, **letters}),
        (
            "a denied resource, completed",
            "completion/complete",
            {"ref": {"type": "ref/resource", "uri": "file:///{who}"}, **letters},
        ),
        ("a prompt behind a reference twice", "completion/complete", {"ref": {**prompt, "NAME": "safe"}, **letters}),
        ("a method that nobody knows", "secrets/read", {}),
        ("a task of no call", "tasks/get", {"taskId": "t-1"}),
    ):
        message = {"jsonrpc": "2.0", "id": 1, "method": method, "params": {**params, "case": label}}
        yield label, post(port, json.dumps(message))


def stateless(label, name="safe", method="tools/call", revision="2026-07-28", **params):
    """A request of 2026-07-28."""
    meta = {"io.modelcontextprotocol/protocolVersion": revision}
    meta |= {"io.modelcontextprotocol/clientCapabilities": {"extensions": {"io.modelcontextprotocol/tasks": {}}}}
    about = {"name": name, "arguments": {"case": label, "region": "eu"}} if method == "tools/call" else {"case": label}
    params = {**about, **params, "_meta": meta}
    return json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})


REVISION, METHOD, NAME = "MCP-Protocol-Version: 2026-07-28", "Mcp-Method: tools/call", "Mcp-Name: safe"


def repeated(port):
    """Fields that repeat the body, as of 2026-07-28: which of them is believed?"""
    region = "Mcp-Param-Region: "
    encoded = "=?base64?Zm9yYmlkZGVu?="
    for label, *fields in (
        ("a good call with its fields", REVISION, METHOD, NAME, region + "eu"),
        ("no method in the fields", REVISION, NAME),
        ("another method in the fields", REVISION, "Mcp-Method: tools/list", NAME),
        ("a method in capitals in the fields", REVISION, "Mcp-Method: TOOLS/CALL", NAME),
        ("two methods in the fields", REVISION, METHOD, "Mcp-Method: tools/list", NAME),
        ("no name in the fields", REVISION, METHOD),
        ("another name in the fields", REVISION, METHOD, "Mcp-Name: forbidden"),
        ("a name in capitals in the fields", REVISION, METHOD, "Mcp-Name: SAFE"),
        ("two names in the fields", REVISION, METHOD, NAME, "Mcp-Name: forbidden"),
        ("another name, encoded", REVISION, METHOD, f"Mcp-Name: {encoded}"),
        ("a name that is not what it is encoded as", REVISION, METHOD, "Mcp-Name: =?base64?!?="),
        ("another revision in the fields", "MCP-Protocol-Version: 2025-11-25", METHOD, NAME),
        ("no revision in the fields", METHOD, NAME),
        ("two revisions in the fields", REVISION, "MCP-Protocol-Version: 2025-11-25", METHOD, NAME),
        ("another argument in the fields", REVISION, METHOD, NAME, region + "us"),
        ("two arguments in the fields", REVISION, METHOD, NAME, region + "eu", region + "us"),
        ("an argument without its name", REVISION, METHOD, NAME, "Mcp-Param-: eu"),
    ):
        yield label, post(port, stateless(label), *fields)
    other = "a header that says another"
    yield other, post(port, stateless(other, "forbidden"), REVISION, METHOD, NAME)
    alone = "a revision in the fields alone"
    yield alone, post(port, call(alone, "safe"), REVISION, METHOD, NAME)
    unknown = "a revision that nobody has"
    body = stateless(unknown, revision="2099-01-01")
    yield unknown, post(port, body, "MCP-Protocol-Version: 2099-01-01", METHOD, NAME)
