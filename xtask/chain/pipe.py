"""Calls tools of a server of standard input and output.

    pipe.py CLIENTS CALLS -- COMMAND…

Starts the command, and calls as many tools at once as there are clients, each its own, as often as
there are calls. Prints how many answers were right.
"""

import json
import subprocess
import sys

CLIENTS, CALLS, COMMAND = int(sys.argv[1]), int(sys.argv[2]), sys.argv[4:]
server = subprocess.Popen(COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def say(message):
    server.stdin.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
    server.stdin.flush()


def answers(ids):
    """The answers to these requests, by id, in whatever order they come."""
    found = {}
    while ids - found.keys():
        line = server.stdout.readline()
        if not line:
            sys.exit(f"the server ended: {server.wait()}")
        message = json.loads(line)
        if "method" not in message:
            found[message["id"]] = message
    return found


start = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "pipe", "version": "1"}}
say({"id": "start", "method": "initialize", "params": start})
answers({"start"})
say({"method": "notifications/initialized"})
right, wrong = 0, []
for index in range(CALLS):
    asked = {number * CALLS + index: f"t{number}" for number in range(CLIENTS)}
    for n, name in asked.items():
        say({"id": n, "method": "tools/call", "params": {"name": name, "arguments": {"n": n}}})
    for n, message in answers(asked.keys()).items():
        content = message.get("result", {}).get("content", [{}])
        if content[0].get("text") == str(n):
            right += 1
        else:
            wrong.append(json.dumps(message)[:300])
print(json.dumps({"right": right, "wrong": wrong[:3]}))
server.stdin.close()
server.wait(60)
