"""Frames of every kind on a live stream: each faulty one is answered, none breaks the stream, and nothing is lost or comes twice."""

import json
import math
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass
from urllib.parse import urlencode

import pytest
from conftest import SERVICE, database, operation_with_body, reference, validator
from hypothesis import given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from websockets.exceptions import ConnectionClosedError
from websockets.sync.client import connect

# What a stream of each format may send, besides answers to faulty frames.
MESSAGES = {
    "wal2json-v1": ["Wal2jsonV1Message"],
    "wal2json-v2": ["Wal2jsonV2Record"],
    "events": ["EventsMessage", "NoticeMessage"],
}

# The limit of a frame, in bytes.
MAX_FRAME = 64 * 1024

# How deep the service reads JSON.
MAX_DEPTH = 127

# How many lists of frames each format gets.
EXAMPLES = 600

# Longer than anything takes on a busy machine.
PATIENCE = 60

# What else the transactions do that are written meanwhile.
NOISE = [
    "UPDATE orders SET quantity = quantity + 1, shipped = NOT shipped WHERE id % 10 = :n % 10",
    "UPDATE logs SET line = line || :n; DELETE FROM logs WHERE length(line) > 20; INSERT INTO logs VALUES ('')",
    """DELETE FROM shop."Line Items" WHERE "order" = :n; INSERT INTO shop."Line Items" VALUES (:n, 1, repeat('ä😀"\\', :n))""",
    "DELETE FROM orders WHERE id = :n; INSERT INTO orders (customer) VALUES ('' || :n)",
    "SELECT pg_logical_emit_message(true, 'contract', 'within ' || :n)",
    "SELECT pg_logical_emit_message(false, 'contract', 'outside ' || :n)",
    "INSERT INTO kinds (big, \"numeric\", jsonb) VALUES (:n, 'NaN', '{\"n\": 1.50}')",
    "UPDATE measured SET at = CASE WHEN at < '2026-01-01' THEN date '2026-06-01' ELSE '2025-06-01' END WHERE value = 14",
    "INSERT INTO without_key VALUES ('' || :n, '{}'); UPDATE without_key SET name = NULL",
    "TRUNCATE empty",
]


class Writer:
    """Writes transactions, each with the next number in `numbered`: one, or one after the other until it is told to stop."""

    def __init__(self):
        self.connection = database()
        self.connection.run("DROP TABLE IF EXISTS numbered")
        self.connection.run("CREATE TABLE numbered (n integer PRIMARY KEY)")
        self.positions = []
        self.stopped = threading.Event()

    def __enter__(self):
        self.thread = ThreadPoolExecutor(max_workers=1)
        return self

    def __exit__(self, *_):
        self.stopped.set()
        self.thread.shutdown()
        self.connection.close()

    def start(self):
        self.writing = self.thread.submit(self._write_on)

    def stop(self):
        self.stopped.set()
        self.writing.result()

    def write(self):
        """Writes the next number, which is returned."""
        n = len(self.positions)
        [[before]] = self.connection.run("SELECT pg_current_wal_insert_lsn()::text")
        self.positions.append(position(before))
        noise = NOISE[n % len(NOISE)].replace(":n", str(n))
        self.connection.run(f"BEGIN; INSERT INTO numbered VALUES ({n}); {noise}; COMMIT")
        return n

    def _write_on(self):
        while not self.stopped.wait(0.01):
            self.write()


class Stream:
    """A client of a stream, which keeps what it has heard."""

    def __init__(self, slot, format, asyncapi, options=()):
        query = urlencode([("slotName", slot), ("format", format), *options])
        self.url = f"{SERVICE.replace('http', 'ws', 1)}/v1/lr/stream?{query}"
        self.format = format
        self.valid = validator({"oneOf": [reference(name) for name in MESSAGES[format]]}, asyncapi)
        self.valid_error = validator(reference("StreamError"), asyncapi)
        self.numbers = []
        self.positions = [0]
        # How many of the numbers are of transactions that have come to their end.
        self.whole = 0
        # What was said to be had already: how many numbers had come by then, and the position.
        self.claims = []
        self.marks = 0

    def __enter__(self):
        self.opened = ExitStack()
        self.socket = self.opened.enter_context(connect(self.url, max_size=None, max_queue=None, compression=None))
        self.connection = self.opened.enter_context(closing(database()))
        return self

    def __exit__(self, *exception):
        return self.opened.__exit__(*exception)

    def hear(self):
        """The next message. What it says of `numbered`, and where its transaction ends, is kept."""
        text = self.socket.recv(timeout=PATIENCE)
        message = json.loads(text)
        valid = self.valid_error if "error" in message else self.valid
        for error in valid.iter_errors(message):
            raise AssertionError(f"{error.message} at {error.json_path}: {text}")
        self.numbers += numbers(self.format, message)
        if "nextlsn" in message and message.get("action") != "B":
            self.positions.append(position(message["nextlsn"]))
            self.whole = len(self.numbers)
        return message

    def hear_until(self, n):
        """Hears all of a transaction, and of those before it."""
        while n not in self.numbers[: self.whole]:
            self.hear()

    def answers(self, frames):
        """What is answered to each of these frames, all of which are sent at once."""
        self.marks += 1
        marks = [f'"mark {self.marks} {number}"' for number in range(len(frames))]
        for (_, is_text, pieces), mark in zip(frames, marks):
            self.socket.send(pieces if len(pieces) > 1 else pieces[0], text=is_text)
            # It is refused for sure, and so says that the frame before it was dealt with.
            self.socket.send(f'{{"lsn":{mark}}}')
        return [self._answers_before(mark) for mark in marks]

    def _answers_before(self, mark):
        answers = []
        while True:
            message = self.hear()
            if mark in message.get("error", ""):
                return answers
            if "error" in message:
                answers.append(message)

    def flushed(self):
        [[flushed]] = self.connection.run("SELECT pg_current_wal_flush_lsn()::text")
        return position(flushed)


def numbers(format, message):
    if format == "wal2json-v1":
        return [c["columnvalues"][0] for c in message.get("change", []) if c.get("table") == "numbered"]
    if format == "wal2json-v2":
        return [message["columns"][0]["value"]] if message.get("table") == "numbered" else []
    return [int(e["new"]["n"]) for e in message.get("events", []) if e.get("table") == "numbered"]


def position(text):
    upper, lower = text.split("/")
    return int(upper, 16) << 32 | int(lower, 16)


def lsn(position):
    return f"{position >> 32:X}/{position & 0xFFFFFFFF:X}"


def frames(acknowledgements):
    """How to make frames. What they are made of does not depend on what the stream has said, so that it can be made again."""
    bases = st.one_of(
        *acknowledgements,
        st.builds(Near, st.integers(0, 5), st.integers(-1, 1)),
        st.builds(Flushed),
        st.builds(padded, st.integers(MAX_FRAME - 1, MAX_FRAME)),
        st.builds(nested, st.integers(MAX_DEPTH - 2, MAX_DEPTH + 2) | st.just(20_000)),
        st.sampled_from(ODD),
        st.binary(max_size=40),
    )
    places = st.floats(0, 1)
    bytes = st.binary(min_size=1, max_size=1)
    return st.builds(Recipe, bases, st.sampled_from(DAMAGE), places, bytes, st.booleans(), st.lists(places, max_size=3))


@dataclass
class Near:
    """An acknowledgement of a position that came lately, or is a little beside it."""

    back: int
    by: int

    def frame(self, stream):
        return acknowledgement_of(max(0, stream.positions[-1 - self.back % len(stream.positions)] + self.by))


@dataclass
class Flushed:
    """An acknowledgement of all that the server has written down, whether or not it has come."""

    def frame(self, stream):
        return acknowledgement_of(stream.flushed())


@dataclass
class Recipe:
    """How to make a frame."""

    base: bytes | Near | Flushed
    damage: Callable
    place: float
    byte: bytes
    as_text: bool
    cuts: list[float]

    def frame(self, stream):
        """The frame, whether it is text, and the pieces that it is sent in."""
        frame = self.base if isinstance(self.base, bytes) else self.base.frame(stream)
        frame = self.damage(frame, int(self.place * len(frame)), self.byte)[:MAX_FRAME]
        cuts = sorted(int(cut * len(frame)) for cut in self.cuts)
        pieces = [frame[start:end] for start, end in zip([0, *cuts], [*cuts, len(frame)])]
        return frame, self.as_text and is_utf8(frame), pieces


def encoded(case):
    return case.body if isinstance(case.body, bytes) else json.dumps(case.body).encode()


def acknowledgement_of(position):
    return f'{{"lsn":"{lsn(position)}"}}'.encode()


def padded(length):
    frame = b'{"lsn":"0/0","more":"%s"}'
    return frame % (b"x" * (length - len(frame % b"")))


def nested(depth):
    return b'{"lsn":"0/0","more":' + b"[" * (depth - 1) + b"]" * (depth - 1) + b"}"


# Texts that readers of JSON disagree about.
ODD = [
    b"",
    b"\x00",
    b"\xff\xfe",
    b"null",
    b'"0/0"',
    b'["0/0"]',
    b'{"lsn":"0/0"}\n',
    b'\xef\xbb\xbf{"lsn":"0/0"}',
    b'{"\\u006csn":"\\u0030/0"}',
    b'{"lsn":5,"lsn":"0/0"}',
    b'{"lsn":"0/0","lsn":5}',
    b'{"lsn":"0/0","lsn":"FFFFFFFF/FFFFFFFF"}',
    b'{"lsn":"0/0","more":1e308}',
    b'{"lsn":"0/0","more":-1e309}',
    b'{"lsn":"0/0","more":1e-999}',
    b'{"lsn":"0/0","more":%s}' % (b"9" * 5_000),
    b'{"lsn":"0/0","more":NaN}',
    b'{"lsn":"0/0","more":01}',
    b'{"lsn":"0/0","more":"\\ud800"}',
    b'{"lsn":"0/0","more":"\\ud83d\\ude00"}',
    b'{"lsn":"0/0","more":"\\u0000"}',
    b'{"lsn":"0/0\\n"}',
    b'{"lsn":"0/000000000"}',
    b'{"lsn":"0/0","more":"\x7f"}',
    b'{"lsn":"0/0","more":"\x1f"}',
    b'{"lsn":"0/0",}',
    b"{'lsn':'0/0'}",
    b'{"lsn":"0/0"}//',
]

# Mostly none: what is damaged is refused for that, and nothing else about it is tried.
DAMAGE = [lambda frame, at, byte: frame] * 4 + [
    lambda frame, at, byte: frame[:at],
    lambda frame, at, byte: frame[:at] + byte + frame[at:],
    lambda frame, at, byte: frame[:at] + byte + frame[at + 1 :],
    lambda frame, at, byte: frame + frame,
]


def is_utf8(data):
    try:
        return bool(data.decode()) or True
    except UnicodeDecodeError:
        return False


def acknowledged(frame, schema):
    """The position that a frame acknowledges; none if it is no acknowledgement by its schema, or not JSON as the service reads it: with
    numbers that a float can hold, no half of a surrogate pair, and not too deep."""
    try:
        value = json.loads(frame.decode(), parse_constant=finite, parse_int=finite, parse_float=finite)
        json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        return None
    if depth(value) > MAX_DEPTH or not schema.is_valid(value):
        return None
    return position(value["lsn"])


def finite(text):
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(text)
    return number


def depth(value):
    if isinstance(value, dict):
        value = list(value.values())
    return 1 + max(map(depth, value), default=0) if isinstance(value, list) else 0


@pytest.mark.parametrize("format", MESSAGES)
def test_each_faulty_frame_is_answered_and_nothing_is_lost(format, slot, asyncapi):
    schema = validator(reference("Acknowledgement"), asyncapi)
    operation = operation_with_body(reference("Acknowledgement"), asyncapi)
    acknowledgements = [operation.as_strategy(generation_mode=mode).map(encoded) for mode in GenerationMode]
    with Writer() as writer, Stream(slot, format, asyncapi) as stream:
        writer.start()

        @settings(max_examples=EXAMPLES)
        @given(st.lists(frames(acknowledgements), min_size=1, max_size=20))
        def each_gets_its_answer(recipes):
            made = [recipe.frame(stream) for recipe in recipes]
            heard, flushed = len(stream.numbers), stream.flushed()
            answers = stream.answers(made)
            flushed_since = stream.flushed()
            for (frame, _, _), answer in zip(made, answers):
                position = acknowledged(frame, schema)
                codes = [message["code"] for message in answer]
                if position is None:
                    assert codes == ["invalid_frame"], frame
                elif codes:
                    assert codes == ["lsn_ahead"] and position > flushed, (frame, flushed)
                else:
                    assert position <= flushed_since, frame
                    stream.claims.append((heard, position))

        each_gets_its_answer()
        writer.stop()
        stream.hear_until(writer.write())
        check_that_nothing_is_missing(stream.numbers, stream.claims, writer.positions)
        last = acknowledgement_of(stream.positions[-1])
        assert stream.answers([(last, True, [last])]) == [[]]
        with Stream(slot, format, asyncapi) as again:
            last = writer.write()
            again.hear_until(last)
            assert again.numbers == [last], "what was acknowledged does not come again"


def check_that_nothing_is_missing(heard, claims, positions):
    """All that was written came once, in its order, but for what the client said to have before it came."""
    assert heard == sorted(set(heard)), "in the order of the commits, each once"
    for n in set(range(len(positions))) - set(heard):
        assert any(n > max(heard[:count], default=-1) and positions[n] < claim for count, claim in claims), f"{n} is missing"


@pytest.mark.parametrize("format", MESSAGES)
def test_messages_are_as_described_whatever_they_are_to_say(format, slot, asyncapi, openapi):
    parameters = openapi["paths"]["/v1/lr/stream"]["get"]["parameters"]
    names = [one["name"] for one in parameters if one["schema"].get("type") == "boolean" and one["name"] != "numericDataTypesAsString"]
    said = {name: st.sampled_from(["true", "false"]) for name in names if format != "events" or not name.startswith("include")}
    if format == "events":
        said["numbers"] = st.just("string")
    with Writer() as writer:
        written = [writer.write() for _ in NOISE]

        @settings(max_examples=30)
        @given(st.fixed_dictionaries({}, optional=said))
        def they_are(options):
            with Stream(slot, format, asyncapi, options.items()) as stream:
                stream.hear_until(written[-1])
                assert stream.numbers == written

        they_are()


@pytest.mark.parametrize("length", [MAX_FRAME + 1, 20 * MAX_FRAME])
@pytest.mark.parametrize("in_pieces", [False, True])
def test_a_frame_that_is_too_long_ends_the_connection_and_loses_nothing(length, in_pieces, slot, asyncapi):
    with Writer() as writer:
        with Stream(slot, "events", asyncapi) as stream:
            stream.hear_until(writer.write())
            frame = padded(length)
            with pytest.raises(ConnectionClosedError) as closed:
                stream.socket.send([frame[:1000], frame[1000:]] if in_pieces else frame, text=True)
                while True:
                    stream.hear()
            assert closed.value.rcvd.code == 1009
        with Stream(slot, "events", asyncapi) as again:
            again.hear_until(writer.write())
            assert again.numbers == [0, 1]
