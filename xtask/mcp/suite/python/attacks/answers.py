"""Answers of a server as no server should give them: naive.py's odd tools."""

import base64
import gzip
import json

SSN = "123-45-6789"


def reply(message, result):
    return {"jsonrpc": "2.0", "id": message["id"], "result": result}


def texts(*all):
    return {"content": [{"type": "text", "text": text} for text in all]}


def events(connection, *messages):
    connection.whole("".join(messages).encode(), "text/event-stream")


def event(message):
    return f"data: {json.dumps(message)}\n\n"


def unasked(connection, message):
    """An answer to what nobody asked, before the one that was."""
    stray = {"jsonrpc": "2.0", "id": 987_654, "result": texts("an answer to nothing")}
    events(connection, event(stray), event(reply(message, texts("asked"))))


def second(connection, message):
    """Two responses where one is due."""
    first = json.dumps(reply(message, texts("first"))).encode()
    body = json.dumps(reply(message, texts("a second response"))).encode()
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    connection.whole(first, more=head % len(body) + body)


def escaped(connection, message):
    """A value, every character of it escaped."""
    hidden = "".join(f"\\u{ord(character):04x}" for character in SSN)
    body = json.dumps(reply(message, texts("PLACE"))).replace("PLACE", hidden)
    connection.whole(body.encode())


def lines(connection, message):
    """One event whose data is in two lines, cut within the value."""
    text = json.dumps(reply(message, texts(SSN)), indent=1)
    data = "".join(f"data: {line}\n" for line in text.split("\n"))
    connection.whole((data + "\n").encode(), "text/event-stream")


def pieces(connection, message):
    """A value in two texts of one answer."""
    connection.whole(json.dumps(reply(message, texts(SSN[:6], SSN[6:]))).encode())


def blob(connection, message):
    """A value in an encoded resource."""
    data = base64.b64encode(f"tax number {SSN}".encode()).decode()
    resource = {"uri": "file:///a", "mimeType": "text/plain", "blob": data}
    content = {"content": [{"type": "resource", "resource": resource}]}
    connection.whole(json.dumps(reply(message, content)).encode())


def twice(connection, message):
    """A result under a key that is there twice."""
    first = json.dumps(texts("nothing"))
    second = json.dumps(texts(SSN))
    body = f'{{"jsonrpc":"2.0","id":{json.dumps(message["id"])},"result":{first},"result":{second}}}'
    connection.whole(body.encode())


def cut(connection, message):
    """A value cut between two writes."""
    body = json.dumps(reply(message, texts(SSN))).encode()
    at = body.index(SSN.encode()) + 5
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    for part in (head, b"%x\r\n%s\r\n" % (at, body[:at]), b"%x\r\n%s\r\n0\r\n\r\n" % (len(body) - at, body[at:])):
        connection.peer.sendall(part)


def both(connection, message):
    """Length and chunks."""
    body = json.dumps(reply(message, texts("two framings"))).encode()
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\nTransfer-Encoding: chunked\r\n\r\n"
    connection.peer.sendall(head % len(body) + b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body))


def redirect(connection, message):
    """Sends the client elsewhere, with a value."""
    about = f"Location: http://127.0.0.1:9/?ssn={SSN}\r\nContent-Length: 0"
    connection.raw(f"HTTP/1.1 307 Temporary Redirect\r\n{about}\r\n\r\n")


def fields(connection, message):
    """Values in the head of an answer."""
    body = json.dumps(reply(message, texts("linked")))
    about = [f"Link: <http://127.0.0.1:9/{SSN}>; rel=next", f"Set-Cookie: ssn={SSN}", f"X-{SSN}: {SSN}"]
    kind = f"Content-Type: application/json; ssn={SSN}"
    head = [f"HTTP/1.1 200 {SSN}", kind, f"Content-Length: {len(body)}", *about]
    connection.raw("\r\n".join([*head, "", body]))


def early(connection, message):
    """Values in heads before the head."""
    hints = f"HTTP/1.1 103 Early Hints\r\nLink: </{SSN}>; rel=preload\r\n\r\n"
    body = json.dumps(reply(message, texts("after the hints")))
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    connection.raw(f"HTTP/1.1 100 {SSN}\r\n\r\n" + hints + head + body)


def around(connection, message):
    """Values in everything of a stream but its data."""
    odd = f": {SSN}\nid: {SSN}\nretry: {SSN}\nx-{SSN}: {SSN}\n{SSN}\n"
    events(connection, odd, event(reply(message, texts("in order"))))


def named(connection, message):
    """A value as the type of an event."""
    odd = f"event: {SSN}\n" + event(reply(message, texts("of another type")))
    events(connection, odd, event(reply(message, texts("asked"))))


def trailers(connection, message):
    """A value behind the last chunk."""
    ending = f"0\r\nX-Ssn: {SSN}\r\n\r\n"
    connection.chunks(json.dumps(reply(message, texts("before"))), "", ending)


def extensions(connection, message):
    """A value beside the size of a chunk."""
    connection.chunks(json.dumps(reply(message, texts("beside"))), f";ssn={SSN}", "0\r\n\r\n")


def zipped(connection, message):
    """A value that nobody reads who does not unpack it."""
    body = gzip.compress(json.dumps(reply(message, texts(SSN))).encode())
    connection.whole(body, "application/json\r\nContent-Encoding: gzip")


def switched(connection, message):
    """Another protocol from here on."""
    about = "Connection: Upgrade\r\nUpgrade: h2c"
    connection.raw(f"HTTP/1.1 101 Switching Protocols\r\n{about}\r\n\r\n{SSN}")


def collides(connection, message):
    """Answers to ids that look like the one that was asked with."""
    ids = [str(message["id"]), float(message["id"]) + 0.5, [message["id"]], None, {"id": message["id"]}]
    others = [{"jsonrpc": "2.0", "id": other, "result": texts("of another id")} for other in ids]
    events(connection, *map(event, others), event(reply(message, texts("asked"))))


def pretends(connection, message):
    """A notification that pretends to be the answer."""
    both = {**reply(message, texts("pretended")), "method": "notifications/message", "params": {}}
    unnamed = {**both, "id": None}
    events(connection, event(both), event(unnamed), event(reply(message, texts("asked"))))


def astray(connection, message):
    """Progress of another's call, and of nobody's."""
    params = {"progress": 1, "message": "progress of another"}
    notes = [{"jsonrpc": "2.0", "method": "notifications/progress", "params": {**params, **token}}
             for token in ({"progressToken": "another's"}, {"progressToken": 77}, {})]
    events(connection, *map(event, notes), event(reply(message, texts("asked"))))


def logs(connection, message):
    """Values in what is said beside the answer."""
    params = {"level": "info", "logger": f"of {SSN}", "data": {f"key {SSN}": [SSN]}}
    note = {"jsonrpc": "2.0", "method": "notifications/message", "params": params}
    events(connection, event(note), event(reply(message, texts(f"said {SSN}"))))


ODD = {
    run.__name__: run
    for run in (
        *(unasked, second, escaped, lines, pieces, blob, twice, cut, both),
        *(redirect, fields, early, around, named, trailers, extensions, zipped, switched),
        *(collides, pretends, astray, logs),
    )
}


