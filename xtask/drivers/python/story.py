"""What every Python story shares: how a story is told, and how values are written."""

import datetime
import decimal
import json
import os
import sys
import traceback
import uuid


def show(value):
    """One value, written so that two runs can be compared."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime.datetime) and value.tzinfo is not None:
        return value.astimezone(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    if isinstance(value, (datetime.date, datetime.time, uuid.UUID, decimal.Decimal, datetime.timedelta)):
        return str(value)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value).hex()
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, dict):
        return json.dumps(value, separators=(",", ":"), sort_keys=True)
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(show(item) for item in value) + "]"
    return str(value).replace("\\", "\\\\").replace("\n", "\\n").replace("\t", "\\t")


def tell(name, *values):
    print(name, *(show(value) for value in values), sep="\t", flush=True)


def run(stories):
    """Runs stories in order. One that raises is told as such, and the next one runs."""
    failed = False
    for name, story in stories:
        try:
            story()
        except Exception as error:  # what a driver raises is what is compared
            failed = True
            tell(name, "RAISED", type(error).__name__, str(error))
            traceback.print_exc()
    tell("done")
    sys.exit(1 if failed else 0)


def masked(row):
    """The masked row, column by column."""
    for name in MASKED:
        tell(f"masked {name}", row[name])


MASKED = ["ssn", "born", "seen", "visits", "account", "balance", "score", "insured", "token", "chart", "scan"]
HIDDEN = "SELECT id, ward, " + ", ".join(MASKED) + " FROM patients WHERE id = "
PLAIN = os.environ["DRIVER_PLAIN_DATABASE"]
