//! Streams as resources: how one is made, and what is told of them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::SLOT_NAME;

/// The pattern of a table in a list: `table`, `schema.table` or `schema.*`.
const TABLE: &str = concat!("^(", identifier!(), r")(\.(", identifier!(), r"|\*))?$");

/// A stream to be made: one more, independent of all others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(example = CreateStreamRequest::example())]
pub struct CreateStreamRequest {
    /// What to call it and its slot; without it, a name is found as `/v1/init` does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", regex(pattern = "^[a-z_][a-z0-9_]{0,62}$"))]
    pub name: Option<String>,
    /// The only tables that it is about: `table` (in `public`), `schema.table`, `schema.*`, as in SQL; with all partitions. None: all.
    #[serde(default)]
    #[schemars(with = "Vec<TableItem>")]
    pub tables: Vec<String>,
    /// Tables that it is not about, in the same way, whatever `tables` says.
    #[serde(default)]
    #[schemars(with = "Vec<TableItem>")]
    pub exclude_tables: Vec<String>,
    /// The only actions that it is about; without it: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Vec<StreamAction>", length(min = 1))]
    pub actions: Option<Vec<StreamAction>>,
    /// Whether to export a snapshot. It holds back vacuum for as long as it is there.
    #[serde(default = "yes")]
    pub snapshot: bool,
}

fn yes() -> bool {
    true
}

/// A table, or all of a schema.
#[derive(JsonSchema)]
#[schemars(inline)]
#[expect(dead_code, reason = "it is there for its schema only")]
struct TableItem(#[schemars(regex(pattern = TABLE))] String);

impl CreateStreamRequest {
    fn example() -> Self {
        Self {
            name: Some(String::from("search_index")),
            tables: vec![String::from("orders"), String::from("shop.*")],
            exclude_tables: vec![String::from("shop.drafts")],
            actions: None,
            snapshot: true,
        }
    }
}

/// What can happen to a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum StreamAction {
    /// New rows.
    Insert,
    /// Changed rows.
    Update,
    /// Rows that are gone.
    Delete,
    /// All rows are gone. Format 1 of wal2json does not tell it.
    Truncate,
}

/// A stream: its slot, what it is about, where its client is, and its snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(title = "Stream", example = StreamInfo::example())]
pub struct StreamInfo {
    /// The replication slot, and so the stream's name.
    #[schemars(regex(pattern = SLOT_NAME))]
    pub slot_name: String,
    /// Who made it.
    pub kind: StreamKind,
    /// Whether it is finished.
    pub state: StreamState,
    /// The only tables that it is about, quoted as in SQL; none: all.
    pub tables: Vec<String>,
    /// Tables that it is not about.
    pub exclude_tables: Vec<String>,
    /// The actions that it is about.
    pub actions: Vec<StreamAction>,
    /// Those of `tables` and `excludeTables` that name no table now.
    pub unmatched: Vec<String>,
    /// When it was made, or first streamed if somebody else made it.
    #[schemars(extend("format" = "date-time"))]
    pub created_at: String,
    /// Whether somebody streams it, of this instance or another program.
    pub active: bool,
    /// Up to where Postgres was told that all is done; null if there is no such slot, or none yet.
    #[schemars(regex(pattern = super::LSN))]
    pub confirmed_flush_lsn: Option<String>,
    /// What its client acknowledged last; null if nothing yet.
    #[schemars(regex(pattern = super::LSN))]
    pub acked_lsn: Option<String>,
    /// How far its client was sent changes; null when nobody is connected to this instance.
    #[schemars(regex(pattern = super::LSN))]
    pub sent_lsn: Option<String>,
    /// WAL that Postgres has written since `confirmedFlushLsn`, in bytes.
    pub lag_bytes: Option<i64>,
    /// WAL that Postgres keeps for the slot, in bytes.
    pub retained_wal_bytes: Option<i64>,
    /// Whether that WAL is there.
    pub wal_status: WalStatus,
    /// Whether that is more than the service was told is good.
    pub wal_alarm: WalAlarm,
    /// Its tables whose updates and deletes Postgres does not tell, for want of a replica identity: the first 1,000.
    pub tables_without_identity: Vec<String>,
    /// The snapshot that goes with it.
    pub snapshot: SnapshotInfo,
}

/// A stream's snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SnapshotInfo {
    /// Whether it can be read.
    pub state: SnapshotState,
    /// When it ends if nobody reads it before, or is too old by then; null if it is not there, or being read and may get as old as it likes.
    #[schemars(extend("format" = "date-time"))]
    pub expires_at: Option<String>,
    /// How many transactions old the oldest row is that vacuum must keep for it; null if it is not there.
    pub xmin_age: Option<i64>,
}

/// Who made a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum StreamKind {
    /// `/v1/init`, which replaces it the next time.
    Init,
    /// `POST /v1/streams`.
    Stream,
    /// Somebody else; it was streamed by its slot's name.
    Adopted,
}

/// Whether a stream is finished.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum StreamState {
    /// It can be streamed, if its slot is there.
    Ready,
    /// It is being made. If whoever makes it died, it is removed when an instance starts, by the next `/v1/init`, or by DELETE.
    Creating,
    /// It is being removed. If whoever removes it died, the same holds.
    Dropping,
}

/// Whether the WAL of a slot is there, in the words of `pg_replication_slots`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum WalStatus {
    /// It is, within `max_wal_size`.
    Reserved,
    /// It is, beyond `max_wal_size`.
    Extended,
    /// It may be removed at the next checkpoint.
    Unreserved,
    /// It was removed. The stream is lost: delete it, make it anew, and start over with its snapshot.
    Lost,
    /// There is no such slot: somebody dropped it. Delete the stream, make it anew, and start over with its snapshot.
    Missing,
    /// The slot is being made.
    Unknown,
}

/// Whether the server keeps more WAL for a stream than the service was told is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum WalAlarm {
    /// It does not, or nothing was told.
    None,
    /// More than `WAL_WARN_BYTES`.
    Warning,
    /// More than `WAL_LIMIT_BYTES`: `WAL_LIMIT_ACTION` is taken.
    Limit,
}

/// Whether a snapshot can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum SnapshotState {
    /// It can.
    Ready,
    /// It was let go, by `DELETE /v1/snapshot`.
    Released,
    /// Nobody read it for `SNAPSHOT_TTL`, or it was there for `SNAPSHOT_MAX_AGE`.
    Expired,
    /// Its connection to Postgres was lost, or the instance that made it has ended, or is another one.
    Lost,
    /// There never was one.
    None,
}

/// All streams of this database, whichever instance made them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(example = StreamList { streams: vec![StreamInfo::example()] })]
pub struct StreamList {
    /// In the order of their names.
    pub streams: Vec<StreamInfo>,
}

/// The query of `/v1/snapshot`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(example = SnapshotQuery { slot_name: Some(String::from("search_index")) })]
pub struct SnapshotQuery {
    /// The stream whose snapshot is meant; without it: the stream that `/v1/init` made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", regex(pattern = SLOT_NAME))]
    pub slot_name: Option<String>,
}

impl StreamKind {
    /// As it is called everywhere.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Init => "init",
            Self::Stream => "stream",
            Self::Adopted => "adopted",
        }
    }

    /// The kind of that name; of a newer version's, nothing is known but that it is not ours to replace.
    pub fn of(name: &str) -> Self {
        [Self::Init, Self::Stream].into_iter().find(|kind| kind.as_str() == name).unwrap_or(Self::Adopted)
    }
}

impl StreamState {
    /// The state of that name.
    pub fn of(name: &str) -> Self {
        match name {
            "ready" => Self::Ready,
            "creating" => Self::Creating,
            _ => Self::Dropping,
        }
    }
}

impl WalStatus {
    /// The status of that name.
    pub fn of(name: &str) -> Self {
        match name {
            "reserved" => Self::Reserved,
            "extended" => Self::Extended,
            "unreserved" => Self::Unreserved,
            "lost" => Self::Lost,
            _ => Self::Unknown,
        }
    }
}

impl StreamInfo {
    fn example() -> Self {
        Self {
            slot_name: String::from("search_index"),
            kind: StreamKind::Stream,
            state: StreamState::Ready,
            tables: vec![String::from(r#""public"."orders""#), String::from(r#""shop".*"#)],
            exclude_tables: vec![String::from(r#""shop"."drafts""#)],
            actions: vec![StreamAction::Insert, StreamAction::Update, StreamAction::Delete, StreamAction::Truncate],
            unmatched: vec![String::from(r#""shop"."drafts""#)],
            created_at: String::from("2026-01-02T03:04:05.678901Z"),
            active: true,
            confirmed_flush_lsn: Some(String::from("0/170FCB0")),
            acked_lsn: Some(String::from("0/170FCB0")),
            sent_lsn: Some(String::from("0/1710008")),
            lag_bytes: Some(4_096),
            retained_wal_bytes: Some(16_384),
            wal_status: WalStatus::Reserved,
            wal_alarm: WalAlarm::None,
            tables_without_identity: vec![],
            snapshot: SnapshotInfo {
                state: SnapshotState::Ready,
                expires_at: Some(String::from("2026-01-02T04:04:05Z")),
                xmin_age: Some(12),
            },
        }
    }
}
