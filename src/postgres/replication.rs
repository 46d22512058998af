//! A replication connection that streams: the next frame, a status update, a good end.
//!
//! Follows "Streaming Replication Protocol" of the Postgres manual. Reads nothing ahead beyond one buffer: who does not ask for the next
//! frame makes the server wait.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use pgwire_replication::PgWireError;
use pgwire_replication::protocol::framing;
use pgwire_replication::protocol::{ReplicationCopyData, encode_standby_status_update, parse_copy_data, unix_to_pg_timestamp};
use tokio::time::timeout;

use super::server_error::ServerError;
use super::wire::{Wire, WireError, server_error};
use crate::config::{IMPATIENT_TIMEOUT, STATEMENT_TIMEOUT, STATUS_INTERVAL};
use crate::lsn::Lsn;
use crate::name::{SlotName, quoted};
use crate::wal2json::options::PluginOptions;

/// Errors, warnings and keepalives must get through, however short the texts are to be.
const MIN_MESSAGE_BYTES: usize = 64 * 1024;

/// What stands before each text.
const FRAME_BYTES: usize = 25;

/// A slot that is being streamed.
pub struct Replication {
    wire: Wire,
    status_interval: Duration,
}

/// One thing that came over the wire.
#[derive(Debug)]
pub enum Frame {
    /// What the output plugin wrote.
    Data {
        /// Byte for byte.
        text: Vec<u8>,
        /// Where it stands in the WAL: of a transaction, each part where it was written, and its end where it was committed.
        position: Lsn,
    },
    /// The server has sent everything up to here.
    Keepalive {
        /// How far the server is.
        wal_end: Lsn,
        /// Whether it wants to hear of us at once.
        reply_requested: bool,
    },
    /// A warning of the server, as wal2json gives it for a table without replica identity.
    Notice(ServerError),
}

impl Frame {
    /// Where in the WAL it is from.
    pub fn position(&self) -> Option<Lsn> {
        match self {
            Self::Data { position, .. } | Self::Keepalive { wal_end: position, .. } => Some(*position),
            Self::Notice(_) => None,
        }
    }
}

/// Which server this is, and how far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct System {
    /// Made by initdb, and the same on every standby.
    pub identifier: String,
    /// Rises when a standby is promoted.
    pub timeline: i32,
    /// What the server has written and flushed.
    pub flushed: Lsn,
    /// Whether it follows another one, and has not been promoted.
    pub is_standby: bool,
}

/// Asks a replication connection where it leads to.
pub async fn identify(wire: &mut Wire) -> Result<System, WireError> {
    // First: a server that is promoted in between is asked again, and not taken for one of the timeline that it leaves.
    let is_standby = show(wire, "in_hot_standby").await? == "on";
    let rows = wire.command("IDENTIFY_SYSTEM").await?;
    let mut columns = rows.into_iter().next().unwrap_or_default().into_iter().map(Option::unwrap_or_default);
    Ok(System {
        identifier: columns.next().unwrap_or_default(),
        timeline: columns.next().and_then(|timeline| timeline.parse().ok()).unwrap_or_default(),
        flushed: columns.next().and_then(|flushed| flushed.parse().ok()).unwrap_or_default(),
        is_standby,
    })
}

/// Up to where a server's history is also that of an earlier timeline: what was written there later, it does not have. A server that was
/// promoted may be past a position by now without ever having had what was there.
pub async fn common_history(wire: &mut Wire, system: &System, timeline: i32) -> Result<Lsn, WireError> {
    if timeline >= system.timeline {
        return Ok(if timeline == system.timeline { system.flushed } else { Lsn::ZERO });
    }
    let rows = wire.command(&format!("TIMELINE_HISTORY {}", system.timeline)).await?;
    let content = rows.into_iter().next().unwrap_or_default().into_iter().nth(1).flatten().unwrap_or_default();
    Ok(switch_point(&content, timeline).unwrap_or_default())
}

/// Where a timeline was left, as the history of a later one has it: a line for each, of its number, the position, and a reason.
fn switch_point(history: &str, timeline: i32) -> Option<Lsn> {
    let mut switches = history.lines().map(str::split_whitespace);
    switches.find_map(|mut words| (words.next()?.parse() == Ok(timeline)).then(|| words.next()?.parse().ok())?)
}

async fn show(wire: &mut Wire, setting: &str) -> Result<String, WireError> {
    let rows = wire.command(&format!("SHOW {setting}")).await?;
    Ok(rows.into_iter().flatten().next().flatten().unwrap_or_default())
}

/// Makes a slot and exports its snapshot, which lives until the next command on this connection: the consistent point, and its name.
pub async fn create_slot(
    wire: &mut Wire,
    slot: &SlotName,
    has_snapshot: bool,
    limit: Duration,
) -> Result<(Lsn, Option<String>), WireError> {
    let export = if has_snapshot { "EXPORT_SNAPSHOT" } else { "NOEXPORT_SNAPSHOT" };
    let command = format!("CREATE_REPLICATION_SLOT {} LOGICAL wal2json {export}", quoted(slot.as_str()));
    let rows = wire.command_within(&command, limit).await?;
    let mut columns = rows.into_iter().next().unwrap_or_default().into_iter().skip(1);
    let consistent_point = columns.next().flatten().and_then(|position| position.parse().ok());
    let snapshot = columns.next().flatten();
    let is_whole = snapshot.is_some() == has_snapshot;
    consistent_point
        .filter(|_| is_whole)
        .map(|consistent_point| (consistent_point, snapshot))
        .ok_or_else(|| PgWireError::Protocol(String::from("malformed answer to CREATE_REPLICATION_SLOT")).into())
}

impl Replication {
    /// Starts to stream a slot: the transactions that were committed after `position`, in texts of at most `max_bytes`.
    pub async fn start(
        mut wire: Wire,
        slot: &SlotName,
        position: Lsn,
        options: &PluginOptions,
        max_bytes: usize,
    ) -> Result<Self, WireError> {
        let status_interval = status_interval(&mut wire).await?;
        let options: Vec<String> =
            options.render().iter().map(|(name, value)| format!("\"{name}\" '{}'", value.replace('\'', "''"))).collect();
        let command = format!("START_REPLICATION SLOT {} LOGICAL {position} ({})", quoted(slot.as_str()), options.join(", "));
        timeout(STATEMENT_TIMEOUT, start(&mut wire, &command)).await.map_err(|_| WireError::Timeout(STATEMENT_TIMEOUT))??;
        wire.limit_messages(max_bytes.max(MIN_MESSAGE_BYTES) + FRAME_BYTES);
        Ok(Self { wire, status_interval })
    }

    /// The server's process at the other end.
    pub fn pid(&self) -> i32 {
        self.wire.pid()
    }

    /// How often the server wants to hear of us, at least.
    pub fn status_interval(&self) -> Duration {
        self.status_interval
    }

    /// The next frame. The future may be dropped at any time; nothing is lost.
    pub async fn next(&mut self) -> Result<Frame, WireError> {
        loop {
            let message = self.wire.read().await?;
            match message.tag {
                b'd' => return Ok(frame(parse_copy_data(message.payload)?)),
                b'N' => return Ok(Frame::Notice(server_error(&message))),
                b'E' => return Err(WireError::Server(server_error(&message))),
                b'c' | b'C' | b'Z' => return Err(WireError::Ended),
                _ => {}
            }
        }
    }

    /// Whether what comes was there before anybody waited for it, and is in no hurry.
    pub fn set_backlog(&self, has_backlog: bool) {
        self.wire.set_backlog(has_backlog);
    }

    /// How many bytes have come.
    pub fn heard(&self) -> u64 {
        self.wire.heard()
    }

    /// Tells the server that everything up to `confirmed` will never be asked for again, and asks it to answer if it is to.
    pub async fn confirm(&mut self, confirmed: Lsn, is_to_answer: bool) -> Result<(), WireError> {
        let update = encode_standby_status_update(pgwire_replication::Lsn(confirmed.to_u64()), now(), is_to_answer);
        let write = framing::write_copy_data(&mut self.wire.socket, &update);
        Ok(timeout(IMPATIENT_TIMEOUT, write).await.map_err(|_| WireError::Timeout(IMPATIENT_TIMEOUT))??)
    }

    /// Ends the stream so that the server has read all that was confirmed: without this, what was written last is often lost.
    /// Says whether that came about.
    pub async fn finish(mut self, limit: Duration) -> bool {
        let ending = async {
            framing::write_copy_done(&mut self.wire.socket).await?;
            while !self.wire.read().await?.is_ready_for_query() {}
            Ok::<(), WireError>(())
        };
        let has_ended = matches!(timeout(limit, ending).await, Ok(Ok(())));
        if has_ended {
            self.wire.close().await;
        }
        has_ended
    }
}

async fn start(wire: &mut Wire, command: &str) -> Result<(), WireError> {
    framing::write_query(&mut wire.socket, command).await?;
    loop {
        let message = wire.read().await?;
        match message.tag {
            b'W' => return Ok(()),
            b'E' => return Err(WireError::Server(server_error(&message))),
            _ => {}
        }
    }
}

/// A third of `wal_sender_timeout`, after which the server hangs up on who is silent.
async fn status_interval(wire: &mut Wire) -> Result<Duration, WireError> {
    Ok(match setting_to_duration(&show(wire, "wal_sender_timeout").await?) {
        Some(timeout) if !timeout.is_zero() => STATUS_INTERVAL.min(timeout / 3),
        _ => STATUS_INTERVAL,
    })
}

/// Postgres shows a duration in the largest unit that divides it.
fn setting_to_duration(shown: &str) -> Option<Duration> {
    let unit = shown.trim_start_matches(|digit: char| digit.is_ascii_digit());
    let number: u64 = shown.strip_suffix(unit)?.parse().ok()?;
    match unit {
        "ms" | "" => Some(Duration::from_millis(number)),
        "s" => Some(Duration::from_secs(number)),
        "min" => Some(Duration::from_secs(number * 60)),
        "h" => Some(Duration::from_secs(number * 3_600)),
        "d" => Some(Duration::from_secs(number * 86_400)),
        _ => None,
    }
}

fn frame(data: ReplicationCopyData) -> Frame {
    match data {
        ReplicationCopyData::XLogData { wal_start, data, .. } => Frame::Data { text: data.into(), position: wal_start.0.into() },
        ReplicationCopyData::KeepAlive { wal_end, reply_requested, .. } => Frame::Keepalive { wal_end: wal_end.0.into(), reply_requested },
    }
}

fn now() -> i64 {
    let micros = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_micros());
    unix_to_pg_timestamp(i64::try_from(micros).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_postgres_shows_them() {
        for (shown, seconds) in [("1min", 60), ("30s", 30), ("2h", 7_200), ("1d", 86_400), ("0", 0)] {
            assert_eq!(setting_to_duration(shown), Some(Duration::from_secs(seconds)), "{shown}");
        }
        assert_eq!(setting_to_duration("1500ms"), Some(Duration::from_millis(1_500)));
        assert_eq!(setting_to_duration("soon"), None);
    }

    #[test]
    fn a_timeline_ends_where_the_next_one_began() {
        let history = "1\t0/3000148\tno recovery target specified\n\n2\t0/5000000\tbefore 2026-01-01\n";
        for (timeline, expected) in [(1, Some("0/3000148")), (2, Some("0/5000000")), (3, None), (0, None)] {
            assert_eq!(switch_point(history, timeline), expected.map(|position| position.parse().unwrap()), "{timeline}");
        }
        for strange in ["", "x", "1", "1\tnowhere\t"] {
            assert_eq!(switch_point(strange, 1), None, "{strange}");
        }
    }
}
