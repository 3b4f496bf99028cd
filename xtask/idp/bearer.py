"""Opens a session by OAUTHBEARER with a real libpq of PostgreSQL 18, the one that psycopg brings.

usage: python bearer.py CONNINFO STATEMENT, with the token in BEARER. Prints the first value.
"""
import ctypes
import glob
import importlib.util
import os
import sys

package = importlib.util.find_spec("psycopg_binary").submodule_search_locations[0]
folder = package + ".libs"
pq = ctypes.CDLL(glob.glob(os.path.join(folder, "libpq-*.so*"))[0])

BEARER_TOKEN = 1  # PQAUTHDATA_OAUTH_BEARER_TOKEN


class Request(ctypes.Structure):  # PGoauthBearerRequest
    _fields_ = [
        ("openid_configuration", ctypes.c_char_p),
        ("scope", ctypes.c_char_p),
        ("asynchronous", ctypes.c_void_p),
        ("cleanup", ctypes.c_void_p),
        ("token", ctypes.c_char_p),
        ("user", ctypes.c_void_p),
    ]


@ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)
def give_token(kind, _connection, data):
    if kind != BEARER_TOKEN:
        return 0
    request = ctypes.cast(data, ctypes.POINTER(Request)).contents
    print("asked for scope", (request.scope or b"").decode(), "at",
          (request.openid_configuration or b"").decode(), file=sys.stderr)
    request.token = TOKEN
    return 1


TOKEN = os.environ["BEARER"].encode()
for function in ("PQconnectdb", "PQexec"):
    getattr(pq, function).restype = ctypes.c_void_p
for function in ("PQerrorMessage", "PQgetvalue"):
    getattr(pq, function).restype = ctypes.c_char_p
pq.PQsetAuthDataHook(give_token)
connection = ctypes.c_void_p(pq.PQconnectdb(sys.argv[1].encode()))
if pq.PQstatus(connection) != 0:
    sys.exit(pq.PQerrorMessage(connection).decode())
answer = ctypes.c_void_p(pq.PQexec(connection, sys.argv[2].encode()))
if pq.PQresultStatus(answer) != 2:
    sys.exit(pq.PQerrorMessage(connection).decode())
print((pq.PQgetvalue(answer, 0, 0) or b"").decode())
