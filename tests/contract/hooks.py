"""What schemathesis is told about this service beside its OpenAPI document."""

import functools
import json
import zlib
from urllib.parse import quote

import requests
import schemathesis
from jsonschema import Draft202012Validator
from schemathesis.specs.openapi.checks import RejectedPositiveData

# Why a request may be refused that its schemas accept: what it names may not be there, or not have what it takes.
REFUSALS = {
    "readSnapshot": {"no_such_stream", "stream_gone", "snapshot_gone", "no_such_table", "no_such_column", "no_order", "no_key"},
    "getTableSchema": {"no_such_table"},
    "createStream": {"no_such_table", "name_taken", "too_many_streams"},
    "getStream": {"no_such_stream", "stream_gone"},
    "deleteStream": {"no_such_stream", "stream_gone"},
    "releaseSnapshot": {"no_such_stream", "stream_gone"},
    "acknowledge": {"no_such_stream", "stream_gone", "lsn_ahead"},
    "listSnapshotTables": {"no_such_stream", "stream_gone", "snapshot_gone", "no_such_table"},
}

# Columns to order by, each with its table: some can be, some cannot.
COLUMNS = [
    ("orders", "id"),
    ("orders", "ITEM"),
    ('shop."Line Items"', '"order"'),
    ('shop."Line Items"', 'say "what"'),
    ("kinds", "numeric"),
    ("kinds", "integers"),
    ("kinds", "json"),
    ("kinds", "xml"),
    ("kinds", "nothing"),
    ("orders", "i d"),
    ("without_key", "name"),
    ("without_key", "doc"),
]

# The limit of a name, in bytes, which a schema cannot say.
MAX_NAME_BYTES = 63

# The slots that the last calls of /v1/init made. Only the very last is still there.
slots = []


@schemathesis.hook
def filter_failure(context, failure, case, response):
    """Whether a failure is one."""
    if not isinstance(failure, RejectedPositiveData):
        return True
    problem = response.json()
    if problem["code"] == "invalid_request":
        return not all(is_beyond_schemas(fault["pointer"]) or is_too_long(case, fault["pointer"]) for fault in problem["errors"])
    return problem["code"] not in REFUSALS.get(case.operation.definition.raw["operationId"], ())


def is_beyond_schemas(pointer):
    """Whether a pointer names a place in a table's order, or a list that leaves nothing of another."""
    return pointer.startswith(("/after", "/until")) or pointer == "/excludeTables"


def is_too_long(case, pointer):
    """Whether what a pointer names holds a name that is over the limit in bytes, but not in characters."""
    body = case.body if isinstance(case.body, dict) else {}
    member, _, index = pointer[1:].partition("/")
    items = body.get(member)
    names = {
        pointer: items[int(index)] if isinstance(items, list) and index.isdigit() else (case.query or {}).get(member, ""),
        "/table": (case.path_parameters or body).get("table", ""),
        "/order_by/column": body.get("order_by", {}).get("column", ""),
    }
    name = names.get(pointer, "")
    return not name.isascii() and len(name.encode()) > MAX_NAME_BYTES


@schemathesis.hook
def before_call(context, case, kwargs):
    """Many slots and columns that are made up give way to real ones, so that there are rows."""
    is_made_up = case.meta is not None and case.meta.generation.mode.is_positive
    if case.path == "/v1/snapshot" and "slotName" not in (case.query or {}):
        # The snapshot of the last call of /v1/init is still wanted.
        case.query = {**(case.query or {}), "slotName": "nobody"}
    if not is_made_up or case.path != "/v1/snapshot/data" or case.method != "POST" or not isinstance(case.body, dict):
        return
    chance = zlib.crc32(json.dumps(case.body, sort_keys=True).encode())
    if slots and "slotName" in case.body:
        case.body["slotName"] = [case.body["slotName"], slots[0], slots[-1], slots[-1]][chance % 4]
    if chance // 4 % 3 == 0:
        case.body["table"], column = COLUMNS[chance // 12 % len(COLUMNS)]
        case.body["order_by"] = {**case.body.get("order_by", {}), "column": column}


@schemathesis.hook
def after_call(context, case, response):
    if case.path == "/v1/init" and response.status_code == 200:
        slots.append(response.json()["slotName"])


@schemathesis.check
class EverythingWasTried:
    """What only what is put in above brings about: without it, nothing would be tried in earnest."""

    def __init__(self):
        self.answers = set()

    def after_response(self, ctx, response, case):
        if case.path == "/v1/snapshot/data" and case.method == "POST":
            self.answers.add(200 if response.status_code == 200 else response.json()["code"])

    def after_run(self, ctx):
        missing = {200, "stream_gone", "no_such_column", "no_order"} - self.answers
        assert not missing, f"there was no {missing}"


@schemathesis.check
def rows_are_as_the_schema_of_their_table_says(ctx, response, case):
    if case.path != "/v1/snapshot/data" or response.status_code != 200:
        return
    rows = json.loads(response.text)
    validator = validator_of(case.operation.base_url, case.body["table"], case.body.get("numbers"))
    for row in rows:
        for error in validator.iter_errors(row):
            if error.validator == "required" and "columns" in case.body:
                continue
            raise AssertionError(f"{case.body['table']}: {error.message} at {error.json_path}")
    assert len(rows) <= case.body.get("limit", len(rows)), "more rows than asked for"


@functools.cache
def validator_of(url, table, numbers):
    response = requests.get(f"{url.rstrip('/')}/v1/schemas/tables/{quote(table, safe='')}", {"numbers": numbers}, timeout=30)
    response.raise_for_status()
    return Draft202012Validator(response.json())
