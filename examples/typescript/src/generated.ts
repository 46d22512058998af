// Generated from ../../schemas by generate.js. Do not edit.

/**
 * Which rows of the snapshot to read.
 */
export interface SnapshotDataRequest {
  /**
   * The stream whose snapshot to read; without it: the stream that `/v1/init` made.
   */
  slotName?: string;
  /**
   * `table` or `schema.table`, quoted and folded as in SQL; without a schema: `public`.
   */
  table: string;
  /**
   * Whether to leave out rows of tables that inherit from this one, as `ONLY` does in SQL. A partitioned table has none of its own.
   */
  only?: boolean;
  /**
   * How many rows to pass over.
   */
  offset?: number;
  /**
   * How many rows to return at most; without it: all.
   */
  limit?: number;
  /**
   * The columns to return, in this order, each quoted and folded as in SQL, or else exactly as it is called; without it: all.
   *
   * @minItems 1
   * @maxItems 1600
   *
   * Items: A column's name.
   */
  columns?: [string, ...string[]];
  /**
   * How to write numbers; without it: as JSON numbers, with every digit.
   */
  numbers?: "string";
  /**
   * Only rows behind this one in the order: the values, as a row has them, of the column of `order_by`, if there is one, and of the table's key. To go on after a page costs the same however many rows lie before.
   */
  after?: {
    [k: string]: unknown;
  };
  /**
   * Only rows up to this one, itself included, in the order of the key: with `after`, a part of the table that others need not read.
   */
  until?: {
    [k: string]: unknown;
  };
  order_by?: OrderBy;
}
/**
 * What to order by. The table's key follows, so that pages tile; without this, the key alone.
 */
export interface OrderBy {
  /**
   * A column of the table, quoted and folded as in SQL, or else exactly as it is called.
   */
  column: string;
  /**
   * `ASC` or `DESC`, in any case.
   */
  order?: string;
}

/**
 * The query of `/v1/lr/stream`.
 */
export interface StreamQuery {
  /**
   * The stream to follow: its slot.
   */
  slotName: string;
  /**
   * What a message is like.
   */
  format?: "wal2json-v1" | "wal2json-v2" | "events";
  /**
   * The only tables to tell of: `table` (in `public`), `schema.table`, `schema.*`, as in SQL, with commas between; with all partitions.
   */
  tables?: string;
  /**
   * Tables not to tell of, in the same way, whatever `tables` says.
   */
  excludeTables?: string;
  /**
   * The only actions to send, with commas between them; without it: all. Format 1 has no `truncate`: alone, it is refused there.
   */
  actions?: string;
  /**
   * Whether to send messages of `pg_logical_emit_message`; without it: yes.
   */
  messages?: boolean;
  /**
   * Whether to take the stream from whoever has it; without it: yes.
   */
  takeover?: boolean;
  /**
   * How many transactions may be on their way before one of them is acknowledged; without it: as many as there is room for.
   */
  maxUnacked?: number;
  /**
   * Whether to send transactions without a change for the client, as `"change":[]`. Each is then to be acknowledged like any other.
   */
  emptyTransactions?: boolean;
  /**
   * How to write numbers; without it: as JSON numbers, with every digit. Only with `format=events`.
   */
  numbers?: "string";
  /**
   * wal2json: whether to say the transaction's id.
   */
  includeXids?: boolean;
  /**
   * wal2json: whether to say when the transaction was committed.
   */
  includeTimestamp?: boolean;
  /**
   * wal2json: whether to say a table's schema; without it: yes.
   */
  includeSchemas?: boolean;
  /**
   * wal2json: whether to say the columns' types; without it: yes.
   */
  includeTypes?: boolean;
  /**
   * wal2json: whether to say the OIDs of the columns' types.
   */
  includeTypeOids?: boolean;
  /**
   * wal2json: whether types have their modifiers, as in `numeric(5,2)`; without it: yes.
   */
  includeTypmod?: boolean;
  /**
   * wal2json: whether to say the type that a domain is over, instead of the domain.
   */
  includeDomainDataType?: boolean;
  /**
   * wal2json: whether to say the columns' numbers.
   */
  includeColumnPositions?: boolean;
  /**
   * wal2json: whether to say the replication origin.
   */
  includeOrigin?: boolean;
  /**
   * wal2json: whether to say which columns are `NOT NULL`.
   */
  includeNotNull?: boolean;
  /**
   * wal2json: whether to say the columns' defaults.
   */
  includeDefault?: boolean;
  /**
   * wal2json: whether to say the primary key's columns.
   */
  includePk?: boolean;
  /**
   * wal2json: numbers of replication origins whose transactions not to send, with commas between them.
   */
  filterOrigins?: string;
  /**
   * wal2json: prefixes of messages not to send, with commas between them.
   */
  filterMsgPrefixes?: string;
  /**
   * wal2json: the only prefixes of messages to send, with commas between them.
   */
  addMsgPrefixes?: string;
  /**
   * wal2json, since 2.6: whether to write numbers as strings.
   */
  numericDataTypesAsString?: boolean;
}

/**
 * What a client sends over the websocket: everything up to this position is durable on its side. Further members are ignored.
 */
export interface Acknowledgement {
  /**
   * A `nextlsn` that came over this stream.
   */
  lsn: string;
}

/**
 * The answer to `/v1/init`.
 */
export interface InitResponse {
  /**
   * The replication slot that was made: the stream's name from here on.
   */
  slotName: string;
}

/**
 * What happened.
 */
export type Event = InsertEvent | UpdateEvent | DeleteEvent | TruncateEvent | MessageEvent;

/**
 * Everything that one transaction did, or a part of it. A message outside of transactions comes alone, with neither `xid` nor `nextlsn`.
 */
export interface EventsMessage {
  /**
   * Where the transaction ends: what to acknowledge. Only on its last part.
   */
  nextlsn?: string;
  /**
   * The transaction's number.
   */
  xid: number | null;
  /**
   * When it was committed, in UTC.
   */
  commitTime: string | null;
  /**
   * Which part of the transaction this is, from 0. A new connection starts at 0 again: what came of an incomplete one is to be dropped.
   */
  part: number;
  /**
   * Whether it is the last one.
   */
  last: boolean;
  /**
   * What happened, in its order.
   */
  events: Event[];
}
/**
 * A new row.
 */
export interface InsertEvent {
  op: "insert";
  /**
   * The same at every delivery and with every filter: what to deduplicate by. `<commit lsn>/<change lsn>/<n>`.
   */
  id: string;
  /**
   * The table's schema.
   */
  schema: string;
  /**
   * The table; a partition is one.
   */
  table: string;
  /**
   * The partitioned table at the top, if the table is a partition.
   */
  root?: string;
  /**
   * The schema of `root`, if it is another.
   */
  rootSchema?: string;
  /**
   * The row.
   */
  new: {
    [k: string]: unknown;
  };
}
/**
 * A row changed.
 */
export interface UpdateEvent {
  op: "update";
  /**
   * The same at every delivery and with every filter: what to deduplicate by. `<commit lsn>/<change lsn>/<n>`.
   */
  id: string;
  /**
   * The table's schema.
   */
  schema: string;
  /**
   * The table; a partition is one.
   */
  table: string;
  /**
   * The partitioned table at the top, if the table is a partition.
   */
  root?: string;
  /**
   * The schema of `root`, if it is another.
   */
  rootSchema?: string;
  /**
   * What the row was known by before: the columns of its replica identity; under `REPLICA IDENTITY FULL` the primary key, if there is one.
   */
  key?: {
    [k: string]: unknown;
  };
  /**
   * The whole row before, under `REPLICA IDENTITY FULL`.
   */
  old?: {
    [k: string]: unknown;
  };
  /**
   * The row from now on, without the columns that are `unchanged`.
   */
  new: {
    [k: string]: unknown;
  };
  /**
   * Columns whose large values did not change, which Postgres does not send.
   *
   * @minItems 1
   */
  unchanged?: [string, ...string[]];
  /**
   * Columns may be left out of `new` because they are unchanged, or because the table did not have them yet: it cannot be told.
   */
  unchangedUnknown?: true;
}
/**
 * A row is gone.
 */
export interface DeleteEvent {
  op: "delete";
  /**
   * The same at every delivery and with every filter: what to deduplicate by. `<commit lsn>/<change lsn>/<n>`.
   */
  id: string;
  /**
   * The table's schema.
   */
  schema: string;
  /**
   * The table; a partition is one.
   */
  table: string;
  /**
   * The partitioned table at the top, if the table is a partition.
   */
  root?: string;
  /**
   * The schema of `root`, if it is another.
   */
  rootSchema?: string;
  /**
   * What the row was known by: the columns of its replica identity; under `REPLICA IDENTITY FULL` the primary key, if there is one.
   */
  key?: {
    [k: string]: unknown;
  };
  /**
   * The whole row, under `REPLICA IDENTITY FULL`.
   */
  old?: {
    [k: string]: unknown;
  };
}
/**
 * All rows of a table are gone. That of a partitioned table comes for itself and for each partition.
 */
export interface TruncateEvent {
  op: "truncate";
  /**
   * The same at every delivery and with every filter: what to deduplicate by. `<commit lsn>/<change lsn>/<n>`.
   */
  id: string;
  /**
   * The table's schema.
   */
  schema: string;
  /**
   * The table; a partition is one.
   */
  table: string;
  /**
   * The partitioned table at the top, if the table is a partition.
   */
  root?: string;
  /**
   * The schema of `root`, if it is another.
   */
  rootSchema?: string;
}
/**
 * What `pg_logical_emit_message` wrote.
 */
export interface MessageEvent {
  op: "message";
  /**
   * The same at every delivery and with every filter: what to deduplicate by. `<commit lsn>/<change lsn>/<n>`.
   */
  id: string;
  /**
   * Whom it is for.
   */
  prefix: string;
  /**
   * Its text, up to the first NUL.
   */
  content: string;
  /**
   * Whether it belongs to its transaction, or stands for itself.
   */
  transactional: boolean;
}

/**
 * Something that a client of `format=events` should know, and that is no event. Never before the first message.
 */
export interface NoticeMessage {
  notice: Notice;
}
/**
 * What it should know.
 */
export interface Notice {
  /**
   * What it is, for programs.
   */
  code: "no_replica_identity";
  /**
   * What happened, and what to do.
   */
  message: string;
  /**
   * The schema of the table it is about.
   */
  schema: string;
  /**
   * The table it is about.
   */
  table: string;
}

/**
 * What the client hears over the websocket about a frame of its own that cannot be accepted. The stream goes on.
 */
export interface StreamError {
  /**
   * What was expected and what came.
   */
  error: string;
  /**
   * What it is, for programs.
   */
  code: "invalid_frame" | "lsn_ahead" | "postgres_unavailable";
}

/**
 * A request that was not fulfilled, as RFC 9457 has it, with the `error` that clients of the original look for.
 */
export interface Problem {
  /**
   * What it is, as a URI: `urn:pgdeltastream:problem:` and the code.
   */
  type: string;
  /**
   * The code in words.
   */
  title: string;
  /**
   * The HTTP status.
   */
  status: number;
  /**
   * What was expected, what came, and what to do.
   */
  detail: string;
  /**
   * What it is, for programs.
   */
  code:
    | "invalid_request"
    | "malformed_request"
    | "unsupported_option"
    | "lsn_ahead"
    | "no_order"
    | "no_key"
    | "permission_denied"
    | "origin_not_allowed"
    | "not_found"
    | "no_such_stream"
    | "no_such_table"
    | "no_such_column"
    | "no_such_schema"
    | "method_not_allowed"
    | "not_acceptable"
    | "body_too_slow"
    | "creation_in_progress"
    | "slot_in_use"
    | "name_taken"
    | "blocked_by_transaction"
    | "snapshot_gone"
    | "stream_gone"
    | "slot_lost"
    | "position_ahead"
    | "table_rewritten"
    | "body_too_large"
    | "unsupported_media_type"
    | "upgrade_required"
    | "too_many_streams"
    | "internal_error"
    | "stream_stalled"
    | "postgres_unavailable"
    | "registry_missing"
    | "shutting_down";
  /**
   * The same as `detail`.
   */
  error: string;
  /**
   * Every fault of an invalid request.
   *
   * @minItems 1
   */
  errors?: [Fault, ...Fault[]];
  blocker?: Blocker;
}
/**
 * One fault of a request.
 */
export interface Fault {
  /**
   * Where, as a JSON pointer into the body; for a query string, `/` and the parameter's name.
   */
  pointer: string;
  /**
   * What is wrong with it.
   */
  message: string;
}
/**
 * The process whose open transaction holds up the creation of a slot, or which holds a slot.
 */
export interface Blocker {
  /**
   * Its process id; none for a prepared transaction.
   */
  pid: number | null;
  /**
   * Its `application_name`, or the name of the prepared transaction.
   */
  application: string;
  /**
   * For how many seconds its transaction has been open; none where our role may not see it.
   */
  ageSeconds: number | null;
}
