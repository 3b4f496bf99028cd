"""Throws requests at a server that two readers could read differently, or that nobody may send.

usage: throw.py PORT requests | answers | session | call SESSION TOOL CASE | resume SESSION EVENT

`requests` throws every case of requests and prints for each a line: its name, a tab, and how the
first response begins, or `closed`. `answers` calls each of the naive server's odd tools and prints
its name, a tab, and all that came back. The others are one step of a longer attack each.
"""

import json
import socket
import sys
from concurrent.futures import ThreadPoolExecutor

# How long a side may take to say something, and to go on saying it.
FIRST_S, NEXT_S = 20, 1.5

MEDIA = "Content-Type: application/json\r\nAccept: application/json, text/event-stream\r\n"

ODD = ["unasked", "second", "escaped", "lines", "blob", "twice", "cut", "both"]


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
    meta = {"io.modelcontextprotocol/protocolVersion": "2026-07-28"}
    meta |= {"io.modelcontextprotocol/clientCapabilities": {}}
    params = {"name": "forbidden", "arguments": {"case": "a header that says another"}, "_meta": meta}
    other = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params})
    fields = ["MCP-Protocol-Version: 2026-07-28", "Mcp-Method: tools/call", "Mcp-Name: safe"]
    yield "a header that says another", post(port, other, *fields)
    answer = {"jsonrpc": "2.0", "id": "1", "result": {"case": "an answer to no question"}}
    yield body("an answer to no question", json.dumps(answer))
    yield body("a tool that is denied", call("a tool that is denied"))
    yield body("a tool that is denied, in a batch", f'[{call("a tool that is denied, in a batch")}]')


def throw(port, data):
    """Sends it, and returns all that came back until the end, or until silence."""
    said = b""
    with socket.create_connection(("127.0.0.1", port)) as peer:
        peer.settimeout(FIRST_S)
        try:
            peer.sendall(data)
        except OSError:
            pass  # Who refuses early may not read to the end.
        try:
            while data := peer.recv(65536):
                said += data
                peer.settimeout(NEXT_S)
        except OSError:
            pass
    return said


def told(said):
    return said.split(b"\r\n\r\n", 1)[0].split(b"\r\n")[0].decode("latin-1") or "closed"


def requests(port):
    cases = dict([*framings(port), *documents(port)])
    with ThreadPoolExecutor(8) as pool:
        answers = pool.map(lambda data: throw(port, data), cases.values())
        for case, said in zip(cases, answers):
            ran = " and ran" if f" for {case}".encode() in said else ""
            print(f"{case}\t{told(said)}{ran}")


def answers(port):
    def one(tool):
        return throw(port, post(port, call(tool, tool)))

    with ThreadPoolExecutor(8) as pool:
        for tool, said in zip(ODD, pool.map(one, ODD)):
            print(f"{tool}\t{json.dumps(said.decode('latin-1'))}")


def session(port):
    """Opens a session and prints its name."""
    about = {"protocolVersion": "2025-11-25", "capabilities": {}}
    params = {**about, "clientInfo": {"name": "throw", "version": "1"}}
    message = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params}
    said = throw(port, post(port, json.dumps(message))).decode("latin-1")
    for line in said.split("\r\n"):
        name, _, value = line.partition(":")
        if name.lower() == "mcp-session-id":
            print(value.strip())


def in_session(port, session, tool, case):
    print(told(throw(port, post(port, call(case, tool), f"Mcp-Session-Id: {session}"))))


def resume(port, session, event=None):
    """Reads a stream, from an event on or from now; prints what came."""
    fields = [f"Mcp-Session-Id: {session}", *([f"Last-Event-ID: {event}"] if event else [])]
    print(throw(port, head(port, *fields, method="GET")).decode("latin-1"))


if __name__ == "__main__":
    verbs = {"requests": requests, "answers": answers, "session": session, "call": in_session, "resume": resume}
    verbs[sys.argv[2]](int(sys.argv[1]), *sys.argv[3:])
