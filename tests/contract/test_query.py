"""Queries of every kind for a stream: what the schemas accept begins one, and what is refused is refused for what is wrong with it."""

import base64
import hashlib
import http.client
import json
import re
from urllib.parse import quote, unquote_to_bytes, urlsplit

import pytest
import schemathesis
from conftest import SERVICE, fetch, validator
from hypothesis import given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode

PATH = "/v1/lr/stream"

# How many queries there are of those that the parameters' schemas accept, and of those that they refuse.
EXAMPLES = 300

# What wal2json can do and clients may not ask for.
NOT_FOR_CLIENTS = ["includeLsn", "includeTransaction", "prettyPrint", "writeInChunks", "formatVersion"]

# Lists of tables that mean something, among those that are made up.
LISTS = ["orders", 'shop."Line Items", orders', "public.*", "shop.*,nothing", "pg_catalog.*", "pgdeltastream.stream", '"größe 😀"']

# The limit of a name, in bytes, which a schema cannot say.
MAX_NAME_BYTES = 63

IDENTIFIER = r'"(?:[^"]|"")*"|[^\s,."*]+'
TABLE = re.compile(rf"({IDENTIFIER})(?:\.({IDENTIFIER}|\*))?")


@pytest.fixture
def operation(openapi):
    return schemathesis.openapi.from_dict(openapi)[PATH]["GET"]


@pytest.mark.parametrize("mode", GenerationMode)
def test_a_stream_begins_or_what_is_wrong_is_said(mode, operation, openapi, slot):
    rules = fetch("/v1/schemas/stream-query")
    check = Check(openapi, rules, slot)

    @settings(max_examples=EXAMPLES)
    @given(operation.as_strategy(generation_mode=mode).map(parameters), st.sampled_from([True] * 3 + [False]), EXTRA)
    def each_gets_its_answer(drawn, is_real, extra):
        named = [(name, slot.encode() if name == b"slotName" and is_real else value) for name, value in drawn]
        check("&".join(f"{quote(name)}={quote(value)}" for name, value in [*named, *extra]))

    each_gets_its_answer()


def test_a_stream_is_a_websocket(slot):
    for headers in [{"Upgrade": "h2c"}, {"Connection": "close"}, {"Sec-WebSocket-Version": "12"}]:
        response, problem = answer(f"slotName={slot}", headers)
        assert (response.status, problem["code"]) == (426, "upgrade_required")
        assert (response.headers["Upgrade"], response.headers["Sec-WebSocket-Version"]) == ("websocket", "13")
    # As browsers and proxies may write it.
    for headers in [{"Connection": "keep-alive, Upgrade"}, {"Connection": "upgrade", "Upgrade": "h2c, WebSocket"}]:
        assert answer(f"slotName={slot}", headers)[0].status == 101


def parameters(case):
    """The parameters of a generated case, as a form has them."""
    values = [(name, value) for name, values in case.query.items() for value in (values if isinstance(values, list) else [values])]
    text = [(name, value if isinstance(value, str) else json.dumps(value)) for name, value in values]
    return [(name.encode(errors="surrogatepass"), value.encode(errors="surrogatepass")) for name, value in text]


# Mostly nothing: what is refused for this is refused, and nothing else about it is tried.
EXTRA = st.one_of(
    st.just([]),
    st.tuples(st.sampled_from([b"tables", b"excludeTables"]), st.sampled_from(LISTS).map(str.encode)).map(lambda one: [one]),
    st.just([]),
    st.lists(
        st.one_of(
            st.tuples(st.sampled_from(NOT_FOR_CLIENTS).map(str.encode), st.just(b"true")),
            st.tuples(st.sampled_from([b"format", b"messages"]), st.sampled_from([b"events", b"false"])),
            st.tuples(st.binary(max_size=3), st.binary(max_size=3)),
        ),
        min_size=1,
        max_size=3,
    ),
)


class Check:
    """Asks for streams, and knows what is to come of it."""

    def __init__(self, openapi, rules, slot):
        self.openapi = openapi
        self.rules = validator(rules)
        self.properties = rules["properties"]
        self.slot = slot

    def __call__(self, query):
        expected = self.expected(query)
        response, problem = answer(query)
        if response.status == 101:
            assert expected in [(101, None, set()), (400, "unsupported_option", set())], query
            return
        described = self.openapi["paths"][PATH]["get"]["responses"][str(response.status)]
        schema = described["content"][response.headers["Content-Type"]]["schema"]
        for error in validator(schema, self.openapi).iter_errors(problem):
            raise AssertionError(f"{error.message} at {error.json_path}")
        pointers = {fault["pointer"] for fault in problem.get("errors", [])}
        assert (response.status, problem["code"], pointers) == expected, (query, problem)

    def expected(self, query):
        """What is to come of a query: status, code, and where the faults are."""
        sent = [pair.partition("=")[::2] for pair in query.split("&") if pair]
        for name, value in sent:
            if not is_text(name) or not is_text(value):
                return 400, "invalid_request", {pointer(decoded(name)) if is_text(name) else ""}
        sent = [(decoded(name), decoded(value)) for name, value in sent]
        names = [name for name, _ in sent]
        query = {name: self.value(name, value) for name, value in sent if name not in NOT_FOR_CLIENTS}
        faults = {name for name in names if name in query and names.count(name) > 1}
        faults |= {name for error in self.rules.iter_errors(query) for name in places(error)}
        faults |= set(names) & set(NOT_FOR_CLIENTS)
        rest = {name: value for name, value in query.items() if name not in faults}
        missing = set()
        if self.rules.is_valid({**rest, "slotName": "_"}):
            lists = {name: tables(rest[name]) for name in ["tables", "excludeTables"] if name in rest}
            too_long = {name for name, patterns in lists.items() if any(map(is_too_long, patterns))}
            missing = {name for name, patterns in lists.items() if name not in too_long and any(map(is_hidden, patterns))}
            lists = {name: [] if name in too_long | missing else patterns for name, patterns in lists.items()}
            faults |= too_long
            named, excluded = lists.get("tables", []), lists.get("excludeTables", [])
            if named and all(table in excluded or (table[0], "*") in excluded for table in named):
                faults.add("excludeTables")
        if faults:
            return 400, "invalid_request", {pointer(name) for name in faults | missing}
        if missing:
            return 404, "no_such_table", {pointer(name) for name in missing}
        if query["slotName"] != self.slot:
            return 404, "no_such_stream", set()
        if "numericDataTypesAsString" in query:
            # Since wal2json 2.6 this is possible.
            return 400, "unsupported_option", set()
        return 101, None, set()

    def value(self, name, text):
        kind = self.properties.get(name, {}).get("type")
        if kind == "boolean" and text in ["true", "false"]:
            return text == "true"
        return int(text) if kind == "integer" and re.fullmatch("[0-9]{1,19}", text) else text


# A close frame with code 1000, masked with zeros.
GOODBYE = bytes([0x88, 0x82, 0, 0, 0, 0, 0x03, 0xE8])


def answer(query, headers={}):
    """Asks for a websocket: the answer, and the problem if that is one."""
    connection = http.client.HTTPConnection(urlsplit(SERVICE).netloc, timeout=60)
    key = base64.b64encode(bytes(16)).decode()
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": key}
    connection.request("GET", f"{PATH}?{query}", headers={**upgrade, **headers})
    response = connection.getresponse()
    problem = None
    if response.status == 101:
        accepted = hashlib.sha1(f"{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11".encode()).digest()
        assert response.headers["Sec-WebSocket-Accept"] == base64.b64encode(accepted).decode()
        # Until the service has said goodbye too, the stream is still taken.
        connection.sock.sendall(GOODBYE)
        while connection.sock.recv(4096):
            pass
    else:
        problem = json.loads(response.read())
    response.close()
    connection.close()
    return response, problem


def decoded(text):
    return unquote_to_bytes(text.replace("+", " ")).decode()


def is_text(text):
    try:
        decoded(text)
    except UnicodeDecodeError:
        return False
    return True


def pointer(name):
    return "/" + name.replace("~", "~0").replace("/", "~1")


def places(error):
    """The parameters that an error is about."""
    if error.validator == "required":
        return [name for name in error.validator_value if name not in error.instance]
    if error.validator == "additionalProperties":
        return [name for name in error.instance if name not in error.schema["properties"]]
    return [error.absolute_path[0]]


def tables(text):
    """A list of tables, each with its schema, as the catalogue spells them."""
    found = [(first, second) if second else ("public", first) for first, second in TABLE.findall(text)]
    return [(spelled(schema), table if table == "*" else spelled(table)) for schema, table in found]


def spelled(name):
    if name.startswith('"'):
        return name[1:-1].replace('""', '"')
    return re.sub("[A-Z]", lambda letter: letter[0].lower(), name)


def is_too_long(table):
    return any(len(name.encode()) > MAX_NAME_BYTES for name in table)


def is_hidden(table):
    return table[0].startswith("pg_") or table[0] in ["information_schema", "pgdeltastream"]
