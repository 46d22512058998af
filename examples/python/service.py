"""The service: its requests, its stream, and what each way to fail means."""

import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from enum import Enum
from typing import Any, cast

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

from generated import Acknowledgement, EventsMessage, Frame, InitResponse, Problem, SnapshotDataRequest, StreamError, StreamQuery

Row = dict[str, Any]

# A slot is made only when the transactions that are open now have ended.
PATIENCE_SECONDS = 300


class Remedy(Enum):
    """What to do about an error."""

    TRY_AGAIN = "try again"
    START_OVER = "start over"
    GIVE_UP = "give up"


class ServiceError(Exception):
    """What can go wrong with the service."""

    remedy = Remedy.TRY_AGAIN


class Refused(ServiceError):
    """A request was refused, and the service says why."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(f"{problem['status']} {problem['code']}: {problem['detail']}")
        self.problem = problem
        if problem["status"] == 410 or problem["code"] == "no_such_stream":
            self.remedy = Remedy.START_OVER
        elif problem["status"] not in (409, 429, 503):
            self.remedy = Remedy.GIVE_UP


class NotAccepted(ServiceError):
    """An acknowledgement was not accepted."""

    def __init__(self, answer: StreamError) -> None:
        super().__init__(f"{answer['code']}: {answer['error']}")
        self.answer = answer
        if answer["code"] != "postgres_unavailable":
            self.remedy = Remedy.GIVE_UP


class Closed(ServiceError):
    """The stream was closed."""

    def __init__(self, closed: ConnectionClosed) -> None:
        super().__init__(f"the stream was closed: {closed}")
        self.code = closed.rcvd.code if closed.rcvd else 1006
        if self.code == 4409:
            # Somebody else has the stream, and to connect again would take it back from them.
            self.remedy = Remedy.GIVE_UP
        elif self.code == 4410:
            self.remedy = Remedy.START_OVER


class Unreachable(ServiceError):
    """Nobody answered, or the answer broke off."""


class Stream:
    """A connection to a stream."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket

    async def messages(self) -> AsyncIterator[EventsMessage]:
        """The messages, until an error ends them; a close is one."""
        while True:
            try:
                text = await self.socket.recv()
            except ConnectionClosed as closed:
                raise Closed(closed) from closed
            # Numbers come with every digit, but Python keeps only what fits a double of those with a point: `numbers=string` is for tables
            # that need more.
            frame: Frame = json.loads(text)
            # A frame has exactly one of `events`, `notice` and `error`.
            if "events" in frame:
                yield cast(EventsMessage, frame)
            elif "error" in frame:
                raise NotAccepted(cast(StreamError, frame))
            else:
                print(f"{frame['notice']['code']}: {frame['notice']['message']}", file=sys.stderr)

    async def acknowledge(self, acknowledgement: Acknowledgement) -> None:
        try:
            await self.socket.send(json.dumps(acknowledgement))
        except ConnectionClosed as closed:
            raise Closed(closed) from closed


class Service:
    """The service at a URL."""

    def __init__(self, url: str) -> None:
        self.url = httpx.URL(url)
        self.http = httpx.AsyncClient(base_url=url, timeout=PATIENCE_SECONDS)

    async def init(self) -> InitResponse:
        return cast(InitResponse, await self._post("/v1/init"))

    async def rows(self, request: SnapshotDataRequest) -> list[Row]:
        return cast(list[Row], await self._post("/v1/snapshot/data", request))

    @asynccontextmanager
    async def stream(self, query: StreamQuery) -> AsyncIterator[Stream]:
        """Connects to a stream. At the end of the block it is closed, with 1000."""
        scheme = self.url.scheme.replace("http", "ws")
        address = self.url.copy_with(scheme=scheme, path="/v1/lr/stream", params=query)
        try:
            # The service limits the length of a message. A close waits behind messages that nobody reads any more: it gets a second.
            socket = await connect(str(address), max_size=None, close_timeout=1)
        except InvalidStatus as refused:
            raise refusal(refused.response.status_code, refused.response.body or b"") from refused
        except (OSError, EOFError, InvalidHandshake) as error:
            raise Unreachable(f"{address}: {error}") from error
        async with socket:
            yield Stream(socket)

    async def _post(self, path: str, request: SnapshotDataRequest | None = None) -> Any:
        try:
            # A page that breaks off breaks the connection: what ends well is whole.
            response = await self.http.post(path, json=request)
        except httpx.TransportError as error:
            raise Unreachable(f"POST {path}: {error!r}") from error
        if response.is_error:
            raise refusal(response.status_code, response.content)
        return response.json()


def refusal(status: int, body: bytes | bytearray) -> ServiceError:
    """The service says what is wrong as a problem; something between us and it says what it likes."""
    try:
        return Refused(cast(Problem, json.loads(body)))
    except (ValueError, KeyError, TypeError):
        return Unreachable(f"{status}: {body[:200]!r}")
