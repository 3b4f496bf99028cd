"""Throws requests at a server that two readers could read differently, or that nobody may send.

usage: throw.py PORT requests | answers | session | later TOOL | VERB …

`requests` throws every case of requests and prints for each a line: its name, a tab, and how the
first response begins, or `closed`. `answers` calls each of the naive server's odd tools and prints
its name, a tab, and all that came back. The others are one step of a longer attack each.
"""

import json
import socket
import sys
from concurrent.futures import ThreadPoolExecutor

from answers import ODD
from cases import METHOD, REVISION, call, documents, framings, head, methods, post, repeated, stateless

# How long a side may take to say something, and to go on saying it.
FIRST_S, NEXT_S = 20, 1.5

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
    cases = dict([*framings(port), *documents(port), *methods(port), *repeated(port)])
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


def notify(port, session, method, case):
    """Tells the server something about a request: in a session, or in none, whose name is empty."""
    about = {"requestId": 1, "progressToken": 1, "progress": 1, "case": case}
    body = json.dumps({"jsonrpc": "2.0", "method": method, "params": about})
    fields = [f"Mcp-Session-Id: {session}"] if session else []
    print(told(throw(port, post(port, body, *fields))))


def end(port, session, case):
    """Ends a session."""
    fields = [f"Mcp-Session-Id: {session}", f"X-Case: {case}", "Content-Length: 0"]
    print(told(throw(port, head(port, *fields, method="DELETE"))))


def later(port, tool):
    """Calls a tool that is not done at once, and prints what to come back with."""
    said = throw(port, post(port, stateless("", tool), REVISION, METHOD, f"Mcp-Name: {tool}"))
    result = json.loads(said.split(b"\r\n\r\n", 1)[1])["result"]
    print(result.get("taskId") or result.get("requestState"))


def task(port, name, method, case):
    """Asks for a task, or does something to it."""
    body = stateless(case, method=method, taskId=name)
    print(told(throw(port, post(port, body, REVISION, f"Mcp-Method: {method}", f"Mcp-Name: {name}"))))


def again(port, state, case):
    """Comes back with a state."""
    # The arguments belong to what the state is for.
    body = stateless("", "rounds", requestState=state, case=case)
    print(told(throw(port, post(port, body, REVISION, METHOD, "Mcp-Name: rounds"))))


VERBS = {
    **{"requests": requests, "answers": answers, "session": session, "call": in_session, "resume": resume},
    **{"notify": notify, "end": end, "later": later, "task": task, "again": again},
}

if __name__ == "__main__":
    VERBS[sys.argv[2]](int(sys.argv[1]), *sys.argv[3:])
