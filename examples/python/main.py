"""Keeps a durable copy of some tables up to date: their snapshot, then every change. What was applied is told on stdout, a line each."""

import argparse
import asyncio
import json
import random
import signal
import sys
from pathlib import Path

from generated import Event
from service import Remedy, Service, ServiceError
from store import Keys, Store, rows

PAGE_ROWS = 1000
LONGEST_PAUSE_SECONDS = 30


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", default="http://localhost:12312")
    parser.add_argument("--state", type=Path, required=True, metavar="FILE", help="where the copy is kept")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--table", action="append", metavar="SCHEMA.TABLE:KEY,…", help="a table and its key's columns, as they are called")
    what.add_argument("--show", action="store_true", help="print the copy, a line a row")
    arguments = parser.parse_args()
    if arguments.show:
        for table, row in rows(arguments.state):
            tell({"table": table, "row": row})
    else:
        try:
            asyncio.run(run(arguments.url, arguments.state, keys(arguments.table)))
        except ServiceError as error:
            sys.exit(f"{error}; {error.remedy.value}")


def keys(tables: list[str]) -> Keys:
    """`public.orders:id` and `public.lines:order,number`: names as they are, without quotes."""
    pairs = [table.rpartition(":") for table in tables]
    return {name: columns.split(",") for name, _, columns in pairs}


async def run(url: str, file: Path, keys: Keys) -> None:
    """Copies and follows until a signal comes. It comes between two transactions: what is being stored is stored."""
    store = Store(file, keys)
    following = asyncio.create_task(keep_following(Service(url), store))
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, following.cancel)
    await asyncio.wait([following])
    store.close()
    if not following.cancelled():
        following.result()


class Pauses:
    """Between tries: longer after each failure without progress, and half left to chance, so that many clients do not come back at once."""

    failures = 0

    def reset(self) -> None:
        self.failures = 0

    async def next(self) -> None:
        longest: float = min(LONGEST_PAUSE_SECONDS, 0.1 * 2**self.failures)
        self.failures += 1
        await asyncio.sleep(longest * random.uniform(0.5, 1))


async def keep_following(service: Service, store: Store) -> None:
    pauses = Pauses()
    while True:
        try:
            if store.slot_name is None:
                await snapshot(service, store)
            await follow(service, store, pauses)
        except ServiceError as error:
            if error.remedy is Remedy.GIVE_UP:
                raise
            if error.remedy is Remedy.START_OVER:
                store.slot_name = None
            print(f"{error}; {error.remedy.value}", file=sys.stderr)
        await pauses.next()


async def snapshot(service: Service, store: Store) -> None:
    """Makes a slot and copies the tables as they were then. A copy that is not whole is not kept: the next try makes a new slot."""
    slot_name = (await service.init())["slotName"]
    with store.replace(slot_name):
        for table in store.keys:
            offset = 0
            while page := await service.rows({"slotName": slot_name, "table": quoted(table), "offset": offset, "limit": PAGE_ROWS}):
                for row in page:
                    store.put(table, row)
                offset += len(page)


async def follow(service: Service, store: Store, pauses: Pauses) -> None:
    assert store.slot_name is not None
    tables = ",".join(map(quoted, store.keys))
    async with service.stream({"slotName": store.slot_name, "format": "events", "tables": tables, "messages": False}) as stream:
        # A large transaction comes in parts. A new connection begins it again, so that what came of it before is not kept.
        events: list[Event] = []
        async for message in stream.messages():
            events += message["events"]
            if "nextlsn" not in message:
                continue
            if store.apply(message["nextlsn"], events):
                pauses.reset()
                # Told only now that it is durable: to be killed between the two leaves out some lines, but no line comes twice.
                for event in events:
                    if event["op"] != "message":
                        tell({"id": event["id"], "op": event["op"], "table": f"{event['schema']}.{event['table']}"})
            await stream.acknowledge({"lsn": message["nextlsn"]})
            events = []


def tell(line: dict[str, object]) -> None:
    print(json.dumps(line), flush=True)


def quoted(table: str) -> str:
    """A name as it is becomes one as SQL writes it."""
    return ".".join('"' + name.replace('"', '""') + '"' for name in table.split(".", 1))


if __name__ == "__main__":
    main()
