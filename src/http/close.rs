//! How a stream closes: the one place that knows the codes. What breaks the protocol itself is answered below us.

use crate::config::MAX_CLIENT_FRAME_BYTES;
use crate::message::StreamClose;
use crate::stream::Ending;

/// The client's frame is over the limit.
const TOO_LARGE: u16 = 1009;

/// Postgres is away.
const AWAY: u16 = 1013;

/// A newer connection has the stream.
const REPLACED: u16 = 4409;

/// The slot is gone.
const GONE: u16 = 4410;

/// Those after which there is no point in connecting again.
pub(super) const FINAL: [u16; 2] = [REPLACED, GONE];

/// Every code, and what it tells the client.
pub(super) const CLOSES: [(u16, &str); 9] = [
    (1000, "the client has closed the connection."),
    (1001, "the service shuts down. Connect again."),
    (1002, "the client's frame is none of a websocket's."),
    (1007, "the client's text is not UTF-8."),
    (TOO_LARGE, "the client's frame is over 64 KiB."),
    (1011, "a fault, of which the reason says more. It would come again: find it in the service's log."),
    (AWAY, "Postgres is away, or keeps too much WAL for the stream. Connect again a little later."),
    (REPLACED, "a newer connection has the stream. This is final: to connect again would take it back."),
    (GONE, "the slot was dropped, replaced or lost. This is final: start over with a new slot and its snapshot."),
];

/// How a stream closes after this ending.
pub(super) fn close_of(ending: &Ending) -> StreamClose {
    let (code, reason) = match ending {
        Ending::ClientLeft | Ending::Settled => (1000, String::new()),
        Ending::FrameTooLarge => (TOO_LARGE, format!("a frame may have {MAX_CLIENT_FRAME_BYTES} bytes")),
        Ending::Stopping => (1001, String::from("the service shuts down")),
        Ending::Replaced => (REPLACED, String::from("a newer connection has this stream")),
        Ending::SlotGone(gone) => (GONE, reason(gone)),
        Ending::TooMuchWal => {
            (AWAY, String::from("wal_limit: Postgres keeps more WAL for this stream than WAL_LIMIT_BYTES: acknowledge more"))
        }
        Ending::PostgresAway(error) => return away(error),
        Ending::Fault(error) => (1011, reason(error)),
    };
    StreamClose { code, reason }
}

/// How a stream closes that may be had a little later.
pub(super) fn away(error: &impl std::fmt::Display) -> StreamClose {
    StreamClose { code: AWAY, reason: reason(error) }
}

/// A close frame has room for 123 bytes of reason.
fn reason(error: &impl std::fmt::Display) -> String {
    let mut reason = error.to_string();
    reason.truncate(reason.floor_char_boundary(123));
    reason
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::server_error::ServerError;
    use crate::postgres::wire::WireError;

    fn code(sqlstate: &str) -> u16 {
        let error = ServerError { sqlstate: sqlstate.to_owned(), message: "ä".repeat(100), by_plugin: false };
        let StreamClose { code, reason } = close_of(&Ending::from(WireError::Server(error)));
        assert!(reason.len() <= 123, "{reason}");
        code
    }

    #[test]
    fn every_code_may_be_sent() {
        for (code, _) in CLOSES {
            assert!(tokio_websockets::CloseCode::try_from(code).is_ok_and(|code| !code.is_reserved()), "{code}");
        }
    }

    #[test]
    fn who_is_to_come_again_is_told_from_who_need_not() {
        assert_eq!(code("57P01"), 1013, "the server stops");
        assert_eq!(code("53300"), 1013, "no connection is free");
        assert_eq!(code("54000"), 1011, "a transaction over 1 GB, which will not be shorter the next time");
        assert_eq!(code("53100"), 1013, "the disk is full");
        assert_eq!(code("22023"), 1011, "an option that this wal2json does not know");
    }
}
