"""A durable copy of some tables, in a file of SQLite. A transaction of Postgres is one of SQLite, and its position goes with it."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from generated import DeleteEvent, Event, UpdateEvent
from service import Row

# The columns that tell the rows of a table apart, by the table's name (`schema.table`).
Keys = dict[str, list[str]]

TABLES = """
    CREATE TABLE IF NOT EXISTS copy (slot_name TEXT NOT NULL, position TEXT, keys TEXT NOT NULL);
    CREATE TABLE IF NOT EXISTS rows (name TEXT, key TEXT, row TEXT NOT NULL, PRIMARY KEY (name, key)) WITHOUT ROWID;
"""


class Store:
    """The copy, or no copy yet. `position` is the `nextlsn` of the last transaction in it; none: it is the snapshot."""

    def __init__(self, file: Path, keys: Keys) -> None:
        self.keys = keys
        # Transactions begin and end where they are said to.
        self.database = sqlite3.connect(file, isolation_level=None)
        # Full: a commit is on the disk when it returns, which is what an acknowledgement says.
        self.database.executescript(f"PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; {TABLES}")
        # Who wrote the file may have been killed after a commit and before it was on the disk.
        self.database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        # A copy of other tables cannot be brought up to date: their changes were acknowledged without being in it.
        found = self.database.execute("SELECT slot_name, position FROM copy WHERE keys = ?", [json.dumps(keys)]).fetchone()
        self.slot_name: str | None
        self.position: str | None
        self.slot_name, self.position = found or (None, None)

    @contextmanager
    def replace(self, slot_name: str) -> Iterator[None]:
        """A block that puts the rows of a new copy. It takes the place of the one before at its end, at once and for good."""
        with self._transaction():
            self.database.execute("DELETE FROM rows")
            self.database.execute("DELETE FROM copy")
            self.database.execute("INSERT INTO copy VALUES (?, NULL, ?)", [slot_name, json.dumps(self.keys)])
            yield
        self.slot_name, self.position = slot_name, None

    def apply(self, nextlsn: str, events: list[Event]) -> bool:
        """Applies a transaction and makes it durable together with its position, unless it is in the copy already: then only its
        acknowledgement was lost. Positions rise from transaction to transaction, so that this one comparison finds every repetition; who
        cannot store a position with the changes has the ids of events for that, which are the same at every delivery."""
        if self.position is not None and lsn(nextlsn) <= lsn(self.position):
            return False
        with self._transaction():
            for event in events:
                self._apply(event)
            self.database.execute("UPDATE copy SET position = ?", [nextlsn])
        self.position = nextlsn
        return True

    def put(self, name: str, row: Row) -> None:
        self.database.execute("REPLACE INTO rows VALUES (?, ?, ?)", [name, self._key(name, row), json.dumps(row)])

    def close(self) -> None:
        self.database.close()

    def _apply(self, event: Event) -> None:
        if event["op"] == "message":
            return
        name = f"{event['schema']}.{event['table']}"
        if event["op"] == "insert":
            self.put(name, event["new"])
        elif event["op"] == "update":
            # The key itself may have changed.
            before = self._take(name, self._key(name, known(event)))
            self.put(name, unchanged(event, before) | event["new"])
        elif event["op"] == "delete":
            self._take(name, self._key(name, known(event)))
        elif event["op"] == "truncate":
            self.database.execute("DELETE FROM rows WHERE name = ?", [name])

    def _take(self, name: str, key: str) -> Row:
        """Removes a row: what it was."""
        found = self.database.execute("DELETE FROM rows WHERE name = ? AND key = ? RETURNING row", [name, key]).fetchall()
        return dict(json.loads(found[0][0])) if found else {}

    def _key(self, name: str, row: Row) -> str:
        # Of a partitioned table each partition is to be named, since its changes come under its own name.
        return json.dumps([row[column] for column in self.keys[name]])

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self.database.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self.database.execute("ROLLBACK")
            raise
        self.database.execute("COMMIT")


def rows(file: Path) -> Iterator[tuple[str, Row]]:
    """The rows of the copy in a file, which may be in use."""
    database = sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)
    for name, row in database.execute("SELECT name, row FROM rows ORDER BY name, key"):
        yield name, json.loads(row)
    database.close()


def known(event: UpdateEvent | DeleteEvent) -> Row:
    """What is known of the row before."""
    return event.get("old", {}) | event.get("key", {})


def unchanged(event: UpdateEvent, before: Row) -> Row:
    """What an update did not send because it stays as it was."""
    stay = before if "unchangedUnknown" in event else event.get("unchanged", [])
    return {column: before[column] for column in stay if column in before}


def lsn(text: str) -> tuple[int, int]:
    """`X/X` as something that can be compared: the text cannot."""
    high, low = text.split("/")
    return int(high, 16), int(low, 16)
