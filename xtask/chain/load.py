"""Calls tools of the chain server, on connections that stay open.

    load.py URL CLIENTS CALLS [TOOL]

Each client calls its own tool, or all of them the one that is named, one call after another: the
client `c` with the numbers from `c * CALLS` on. Prints how many answers were right.
"""

import http.client
import json
import sys
import threading
import urllib.parse

URL, CLIENTS, CALLS = urllib.parse.urlsplit(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
TOOL = sys.argv[4] if len(sys.argv) > 4 else None
right = [0] * CLIENTS
wrong = []


def post(connection, message):
    body = json.dumps({"jsonrpc": "2.0", **message})
    fields = {
        "Content-Type": "application/json",
        "Accept": "application/json, text/event-stream",
        "MCP-Protocol-Version": "2025-11-25",
    }
    connection.request("POST", URL.path, body, fields)
    answer = connection.getresponse()
    text = answer.read().decode()
    return answer.status, text


def client(number):
    connection = http.client.HTTPConnection(URL.hostname, URL.port, timeout=120)
    for index in range(CALLS):
        n = number * CALLS + index
        params = {"name": TOOL or f"t{number}", "arguments": {"n": n}}
        status, text = post(connection, {"id": index, "method": "tools/call", "params": params})
        try:
            said = json.loads(text)["result"]["content"][0]["text"]
        except (ValueError, KeyError, IndexError):
            said = None
        if said == str(n):
            right[number] += 1
        elif len(wrong) < 3:
            wrong.append(f"{status} {text[:300]}")


def all_of(number):
    try:
        client(number)
    except OSError as error:
        wrong.append(repr(error))


threads = [threading.Thread(target=all_of, args=(number,)) for number in range(CLIENTS)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
print(json.dumps({"right": sum(right), "wrong": wrong[:3]}))
