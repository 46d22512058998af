# Generated from ../../schemas by generate.py. Do not edit.

from __future__ import annotations

from typing import Any, Literal, NotRequired, TypeAlias, TypedDict


class OrderBy(TypedDict):
    """
    One column and a direction, for all columns of the order.
    """

    column: str
    """
    A column of the table, quoted and folded as in SQL, or else exactly as it is called.
    """
    order: NotRequired[str]
    """
    `ASC` or `DESC`, in any case.
    """


Column: TypeAlias = str
"""
A column's name.
"""


class SnapshotDataRequest(TypedDict):
    """
    Which rows of the snapshot to read.
    """

    slotName: NotRequired[str]
    """
    The stream whose snapshot to read; without it: the stream that `/v1/init` made.
    """
    table: str
    """
    `table` or `schema.table`, quoted and folded as in SQL; without a schema: `public`.
    """
    only: NotRequired[bool]
    """
    Whether to leave out rows of tables that inherit from this one, as `ONLY` does in SQL. A partitioned table has none of its own.
    """
    offset: NotRequired[int]
    """
    How many rows to pass over.
    """
    limit: NotRequired[int]
    """
    How many rows to return at most; without it: all.
    """
    columns: NotRequired[list[Column]]
    """
    The columns to return, in this order, each quoted and folded as in SQL, or else exactly as it is called; without it: all.
    """
    numbers: NotRequired[Literal['string']]
    """
    How to write numbers; without it: as JSON numbers, with every digit.
    """
    after: NotRequired[dict[str, Any]]
    """
    Only rows behind this one in the order: the values, as a row has them, of the column of `order_by`, if there is one, and of the table's key. To go on after a page costs the same however many rows lie before.
    """
    until: NotRequired[dict[str, Any]]
    """
    Only rows up to this one, itself included, in the order of the key: with `after`, a part of the table that others need not read.
    """
    order_by: NotRequired[OrderBy]
    """
    What to order by. The table's key follows, so that pages tile; without this, the key alone.
    """


class StreamQuery(TypedDict):
    """
    The query of `/v1/lr/stream`.
    """

    slotName: str
    """
    The stream to follow: its slot.
    """
    format: NotRequired[Literal['wal2json-v1', 'wal2json-v2', 'events']]
    """
    What a message is like.
    """
    tables: NotRequired[str]
    """
    The only tables to tell of: `table` (in `public`), `schema.table`, `schema.*`, as in SQL, with commas between; with all partitions.
    """
    excludeTables: NotRequired[str]
    """
    Tables not to tell of, in the same way, whatever `tables` says.
    """
    actions: NotRequired[str]
    """
    The only actions to send, with commas between them; without it: all. Format 1 has no `truncate`: alone, it is refused there.
    """
    messages: NotRequired[bool]
    """
    Whether to send messages of `pg_logical_emit_message`; without it: yes.
    """
    takeover: NotRequired[bool]
    """
    Whether to take the stream from whoever has it; without it: yes.
    """
    maxUnacked: NotRequired[int]
    """
    How many transactions may be on their way before one of them is acknowledged; without it: as many as there is room for.
    """
    emptyTransactions: NotRequired[bool]
    """
    Whether to send transactions without a change for the client, as `"change":[]`. Each is then to be acknowledged like any other.
    """
    numbers: NotRequired[Literal['string']]
    """
    How to write numbers; without it: as JSON numbers, with every digit. Only with `format=events`.
    """
    includeXids: NotRequired[bool]
    """
    wal2json: whether to say the transaction's id.
    """
    includeTimestamp: NotRequired[bool]
    """
    wal2json: whether to say when the transaction was committed.
    """
    includeSchemas: NotRequired[bool]
    """
    wal2json: whether to say a table's schema; without it: yes.
    """
    includeTypes: NotRequired[bool]
    """
    wal2json: whether to say the columns' types; without it: yes.
    """
    includeTypeOids: NotRequired[bool]
    """
    wal2json: whether to say the OIDs of the columns' types.
    """
    includeTypmod: NotRequired[bool]
    """
    wal2json: whether types have their modifiers, as in `numeric(5,2)`; without it: yes.
    """
    includeDomainDataType: NotRequired[bool]
    """
    wal2json: whether to say the type that a domain is over, instead of the domain.
    """
    includeColumnPositions: NotRequired[bool]
    """
    wal2json: whether to say the columns' numbers.
    """
    includeOrigin: NotRequired[bool]
    """
    wal2json: whether to say the replication origin.
    """
    includeNotNull: NotRequired[bool]
    """
    wal2json: whether to say which columns are `NOT NULL`.
    """
    includeDefault: NotRequired[bool]
    """
    wal2json: whether to say the columns' defaults.
    """
    includePk: NotRequired[bool]
    """
    wal2json: whether to say the primary key's columns.
    """
    filterOrigins: NotRequired[str]
    """
    wal2json: numbers of replication origins whose transactions not to send, with commas between them.
    """
    filterMsgPrefixes: NotRequired[str]
    """
    wal2json: prefixes of messages not to send, with commas between them.
    """
    addMsgPrefixes: NotRequired[str]
    """
    wal2json: the only prefixes of messages to send, with commas between them.
    """
    numericDataTypesAsString: NotRequired[bool]
    """
    wal2json, since 2.6: whether to write numbers as strings.
    """


class Acknowledgement(TypedDict):
    """
    What a client sends over the websocket: everything up to this position is durable on its side. Further members are ignored.
    """

    lsn: str
    """
    A `nextlsn` that came over this stream.
    """


class InitResponse(TypedDict):
    """
    The answer to `/v1/init`.
    """

    slotName: str
    """
    The replication slot that was made: the stream's name from here on.
    """


class InsertEvent(TypedDict):
    """
    A new row.
    """

    op: Literal['insert']
    id: str
    """
    The same at every delivery and with every filter: what to deduplicate by. `<commit lsn>/<change lsn>/<n>`.
    """
    schema: str
    """
    The table's schema.
    """
    table: str
    """
    The table; a partition is one.
    """
    root: NotRequired[str]
    """
    The partitioned table at the top, if the table is a partition.
    """
    rootSchema: NotRequired[str]
    """
    The schema of `root`, if it is another.
    """
    new: dict[str, Any]
    """
    The row.
    """


class UpdateEvent(TypedDict):
    """
    A row changed.
    """

    op: Literal['update']
    id: str
    """
    The same at every delivery and with every filter: what to deduplicate by. `<commit lsn>/<change lsn>/<n>`.
    """
    schema: str
    """
    The table's schema.
    """
    table: str
    """
    The table; a partition is one.
    """
    root: NotRequired[str]
    """
    The partitioned table at the top, if the table is a partition.
    """
    rootSchema: NotRequired[str]
    """
    The schema of `root`, if it is another.
    """
    key: NotRequired[dict[str, Any]]
    """
    What the row was known by before: the columns of its replica identity; under `REPLICA IDENTITY FULL` the primary key, if there is one.
    """
    old: NotRequired[dict[str, Any]]
    """
    The whole row before, under `REPLICA IDENTITY FULL`.
    """
    new: dict[str, Any]
    """
    The row from now on, without the columns that are `unchanged`.
    """
    unchanged: NotRequired[list[str]]
    """
    Columns whose large values did not change, which Postgres does not send.
    """
    unchangedUnknown: NotRequired[Literal[True]]
    """
    Columns may be left out of `new` because they are unchanged, or because the table did not have them yet: it cannot be told.
    """


class DeleteEvent(TypedDict):
    """
    A row is gone.
    """

    op: Literal['delete']
    id: str
    """
    The same at every delivery and with every filter: what to deduplicate by. `<commit lsn>/<change lsn>/<n>`.
    """
    schema: str
    """
    The table's schema.
    """
    table: str
    """
    The table; a partition is one.
    """
    root: NotRequired[str]
    """
    The partitioned table at the top, if the table is a partition.
    """
    rootSchema: NotRequired[str]
    """
    The schema of `root`, if it is another.
    """
    key: NotRequired[dict[str, Any]]
    """
    What the row was known by: the columns of its replica identity; under `REPLICA IDENTITY FULL` the primary key, if there is one.
    """
    old: NotRequired[dict[str, Any]]
    """
    The whole row, under `REPLICA IDENTITY FULL`.
    """


class TruncateEvent(TypedDict):
    """
    All rows of a table are gone. That of a partitioned table comes for itself and for each partition.
    """

    op: Literal['truncate']
    id: str
    """
    The same at every delivery and with every filter: what to deduplicate by. `<commit lsn>/<change lsn>/<n>`.
    """
    schema: str
    """
    The table's schema.
    """
    table: str
    """
    The table; a partition is one.
    """
    root: NotRequired[str]
    """
    The partitioned table at the top, if the table is a partition.
    """
    rootSchema: NotRequired[str]
    """
    The schema of `root`, if it is another.
    """


class MessageEvent(TypedDict):
    """
    What `pg_logical_emit_message` wrote.
    """

    op: Literal['message']
    id: str
    """
    The same at every delivery and with every filter: what to deduplicate by. `<commit lsn>/<change lsn>/<n>`.
    """
    prefix: str
    """
    Whom it is for.
    """
    content: str
    """
    Its text, up to the first NUL.
    """
    transactional: bool
    """
    Whether it belongs to its transaction, or stands for itself.
    """


Event: TypeAlias = InsertEvent | UpdateEvent | DeleteEvent | TruncateEvent | MessageEvent
"""
What happened.
"""


class EventsMessage(TypedDict):
    """
    Everything that one transaction did, or a part of it. A message outside of transactions comes alone, with neither `xid` nor `nextlsn`.
    """

    nextlsn: NotRequired[str]
    """
    Where the transaction ends: what to acknowledge. Only on its last part.
    """
    xid: int | None
    """
    The transaction's number.
    """
    commitTime: str | None
    """
    When it was committed, in UTC.
    """
    part: int
    """
    Which part of the transaction this is, from 0. A new connection starts at 0 again: what came of an incomplete one is to be dropped.
    """
    last: bool
    """
    Whether it is the last one.
    """
    events: list[Event]
    """
    What happened, in its order.
    """


NoticeCode: TypeAlias = Literal['no_replica_identity']
"""
What a notice is about.
"""


StreamErrorCode: TypeAlias = Literal['invalid_frame', 'lsn_ahead', 'postgres_unavailable']
"""
Why a frame was not accepted.
"""


class StreamError(TypedDict):
    """
    What the client hears over the websocket about a frame of its own that cannot be accepted. The stream goes on.
    """

    error: str
    """
    What was expected and what came.
    """
    code: StreamErrorCode
    """
    What it is, for programs.
    """


ProblemCode: TypeAlias = Literal['invalid_request', 'malformed_request', 'unsupported_option', 'lsn_ahead', 'no_order', 'no_key', 'permission_denied', 'origin_not_allowed', 'not_found', 'no_such_stream', 'no_such_table', 'no_such_column', 'no_such_schema', 'method_not_allowed', 'not_acceptable', 'body_too_slow', 'creation_in_progress', 'slot_in_use', 'name_taken', 'blocked_by_transaction', 'snapshot_gone', 'stream_gone', 'slot_lost', 'position_ahead', 'table_rewritten', 'body_too_large', 'unsupported_media_type', 'upgrade_required', 'too_many_streams', 'internal_error', 'stream_stalled', 'postgres_unavailable', 'registry_missing', 'shutting_down']
"""
Why a request was not fulfilled.
"""


class Fault(TypedDict):
    """
    One fault of a request.
    """

    pointer: str
    """
    Where, as a JSON pointer into the body; for a query string, `/` and the parameter's name.
    """
    message: str
    """
    What is wrong with it.
    """


class Blocker(TypedDict):
    """
    A process of the server that is in the way.
    """

    pid: int | None
    """
    Its process id; none for a prepared transaction.
    """
    application: str
    """
    Its `application_name`, or the name of the prepared transaction.
    """
    ageSeconds: int | None
    """
    For how many seconds its transaction has been open; none where our role may not see it.
    """


class Problem(TypedDict):
    """
    A request that was not fulfilled, as RFC 9457 has it, with the `error` that clients of the original look for.
    """

    type: str
    """
    What it is, as a URI: `urn:pgdeltastream:problem:` and the code.
    """
    title: str
    """
    The code in words.
    """
    status: int
    """
    The HTTP status.
    """
    detail: str
    """
    What was expected, what came, and what to do.
    """
    code: ProblemCode
    """
    What it is, for programs.
    """
    error: str
    """
    The same as `detail`.
    """
    errors: NotRequired[list[Fault]]
    """
    Every fault of an invalid request.
    """
    blocker: NotRequired[Blocker]
    """
    The process whose open transaction holds up the creation of a slot, or which holds a slot.
    """


class Notice(TypedDict):
    """
    What a client should know.
    """

    code: NoticeCode
    """
    What it is, for programs.
    """
    message: str
    """
    What happened, and what to do.
    """
    schema: str
    """
    The schema of the table it is about.
    """
    table: str
    """
    The table it is about.
    """


class NoticeMessage(TypedDict):
    """
    Something that a client of `format=events` should know, and that is no event. Never before the first message.
    """

    notice: Notice
    """
    What it should know.
    """


Frame: TypeAlias = EventsMessage | NoticeMessage | StreamError
"""
What comes over the websocket.
"""