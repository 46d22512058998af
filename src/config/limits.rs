//! Every wait and every limit that is no setting.

use std::time::Duration;

/// How long to wait for a connection to Postgres, log-in included.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a short statement of ours may take: the catalogue, the registry, a command on the replication connection.
pub const STATEMENT_TIMEOUT: Duration = Duration::from_secs(30);

/// How long to wait for our own tables to be made, or for another instance that makes them.
pub const MIGRATION_TIMEOUT: Duration = Duration::from_secs(60);

/// How long a session that ends, or asks after a position, waits for the registry or the server: they may be away too.
pub const IMPATIENT_TIMEOUT: Duration = Duration::from_secs(2);

/// How long a request's body may take.
pub const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a reader of a snapshot may take nothing: its table is locked against DDL for as long.
pub const READER_STALL_TIMEOUT: Duration = Duration::from_secs(60);

/// How long the creation of a slot waits for one open transaction before it gives up and names it.
pub const SLOT_LOCK_TIMEOUT: Duration = Duration::from_secs(5);

/// How long the creation of a slot may take in all.
pub const SLOT_CREATION_TIMEOUT: Duration = Duration::from_secs(30);

/// How long to wait until a slot that somebody else was streaming is free.
pub const SLOT_RELEASE_TIMEOUT: Duration = Duration::from_secs(10);

/// How often a stream may be taken over within `TAKEOVER_PERIOD`; the next time is refused.
pub const MAX_TAKEOVERS: usize = 2;

/// In which takeovers are counted.
pub const TAKEOVER_PERIOD: Duration = Duration::from_secs(10);

/// Slots that may be made at once, each of which takes two connections. One more waits for `INIT_QUEUE_TIMEOUT`.
pub const MAX_CREATIONS: usize = 4;

/// Tables without replica identity that are listed of one stream.
pub const MAX_LISTED_TABLES: usize = 1_000;

/// Blocks of a large table that are looked at for keys to split it at.
pub const SAMPLE_BLOCKS: i64 = 128;

/// How large a part of a table should be, at least; but there are two.
pub const SPLIT_BYTES: i64 = 64 * 1024 * 1024;

/// Parts of a table at most.
pub const SPLIT_RANGES: i64 = 16;

/// How long to look for keys to split at, in all tables together.
pub const SAMPLING_TIMEOUT: Duration = Duration::from_secs(10);

/// How long one `/v1/init` waits for another.
pub const INIT_QUEUE_TIMEOUT: Duration = Duration::from_secs(60);

/// Connections that may read snapshots at once. One more reader waits for `READER_QUEUE_TIMEOUT`.
pub const MAX_READERS: u32 = 8;

/// How long a reader waits for its connection.
pub const READER_QUEUE_TIMEOUT: Duration = Duration::from_secs(30);

/// Connections for the registry and the catalogue of today.
pub const MAX_SERVICE_CONNECTIONS: u32 = 4;

/// The longest request body.
pub const MAX_BODY_BYTES: usize = 64 * 1024;

/// The longest frame of a client; a longer one closes with 1009. An acknowledgement has some thirty bytes.
pub const MAX_CLIENT_FRAME_BYTES: usize = 64 * 1024;

/// Once nothing came from Postgres for so long, transactions are read whole again that had to be read in chunks.
pub const SHIFT_UP_AFTER: Duration = Duration::from_secs(30);

/// Text that may wait for a slow client, beside the message that passes this limit; then reading from Postgres stops.
pub const MAX_QUEUED_BYTES: usize = 1024 * 1024;

/// Messages that may wait for a slow client.
pub const MAX_QUEUED_MESSAGES: usize = 1024;

/// Commit positions remembered until they are acknowledged.
pub const MAX_UNACKED_POSITIONS: usize = 262_144;

/// How long a slot may outlive the process that streamed it when somebody drops it.
pub const DROP_PATIENCE: Duration = Duration::from_millis(500);

/// How often to look whether it has gone.
pub const DROP_INTERVAL: Duration = Duration::from_millis(50);

/// The longest time between two status updates to Postgres; a third of `wal_sender_timeout` where that is shorter.
pub const STATUS_INTERVAL: Duration = Duration::from_secs(10);

/// A position that nobody acknowledged is not confirmed so soon after an acknowledgement, which a client may be looking for.
pub const QUIET_AFTER_ACK: Duration = Duration::from_secs(1);

/// How often acknowledged positions are written to the registry, at most.
pub const REGISTRY_INTERVAL: Duration = Duration::from_secs(1);

/// The longest time between two pings to a client; a third of `PING_TIMEOUT` where that is shorter.
pub const PING_INTERVAL: Duration = Duration::from_secs(20);

/// How soon the wire is taken up anew once it is lost, and at the latest after how long it is tried again.
pub const RECONNECT_DELAYS: (Duration, Duration) = (DROP_PATIENCE, Duration::from_secs(4));

/// Status updates in a row after which nothing was heard from the server, until it is found out why. It was asked to answer all but the first.
pub const MAX_UNHEARD: u32 = 3;

/// How long a connection that nobody has used for a while may take to show that it still leads somewhere.
pub const PING_POOLED_TIMEOUT: Duration = Duration::from_secs(1);

/// How long a server that is in doubt may take to answer.
pub const PROBE_TIMEOUT: Duration = Duration::from_secs(5);

/// How often to look how much WAL the server keeps for streams, if that is to be watched.
pub const WAL_WATCH_INTERVAL: Duration = Duration::from_secs(5);

/// How long a client of a stream over its limit of WAL may acknowledge nothing before it is disconnected once more.
pub const WAL_PATIENCE: Duration = Duration::from_secs(60);

/// How long a session that is told to stop waits for acknowledgements of what was sent.
pub const LAST_ACK_TIMEOUT: Duration = Duration::from_secs(2);

/// How long the service goes on, when nobody waits for that any more, to pass what was acknowledged without a connection.
pub const SETTLE_LIMIT: Duration = Duration::from_secs(3_600);

/// How often a client of server-sent events gets a comment, if nothing else.
pub const SSE_PING_INTERVAL: Duration = Duration::from_secs(15);

/// How long a client of server-sent events is to wait before it connects again.
pub const SSE_RETRY: Duration = Duration::from_secs(2);

/// How long it may take to settle an acknowledgement without a client: Postgres has to pass all that was acknowledged.
pub const SETTLE_TIMEOUT: Duration = Duration::from_secs(30);

/// How long an ending session may take to send what is ready, close, and take leave of Postgres.
pub const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// How long to wait for the client's own farewell after that.
pub const FAREWELL_TIMEOUT: Duration = Duration::from_secs(1);

/// How long a shutdown may take.
pub const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(15);

/// Names of ended streams that are remembered, to answer "gone" and not "never heard of".
pub const MAX_ENDED_STREAMS: usize = 1024;
