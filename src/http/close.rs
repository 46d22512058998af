//! How a websocket closes: the one place that knows the codes.

use crate::config::MAX_CLIENT_FRAME_BYTES;
use crate::stream::Ending;

/// How the connection is closed: code and reason.
pub(super) type Close = (u16, String);

/// Every code, and what it tells the client.
pub(super) const CLOSES: [(u16, &str); 7] = [
    (1000, "the client has closed the connection."),
    (1001, "the service shuts down. Connect again."),
    (1009, "the client's frame is over 64 KiB."),
    (1011, "a fault, of which the reason says more. It would come again: find it in the service's log."),
    (1013, "Postgres is away. Connect again a little later."),
    (4409, "a newer connection has the stream. This is final: to connect again would take it back."),
    (4410, "the slot was dropped, replaced or lost. This is final: start over with a new slot and its snapshot."),
];

/// How a websocket closes after this ending.
pub(super) fn close_of(ending: &Ending) -> Close {
    match ending {
        Ending::ClientLeft => (1000, String::new()),
        Ending::FrameTooLarge => (1009, format!("a frame may have {MAX_CLIENT_FRAME_BYTES} bytes")),
        Ending::Stopping => (1001, String::from("the service shuts down")),
        Ending::Replaced => (4409, String::from("a newer connection has this stream")),
        Ending::SlotGone => (4410, String::from("the slot is gone: start over with /v1/init")),
        Ending::PostgresAway(error) => (1013, reason(error)),
        Ending::Fault(error) => (1011, reason(error)),
    }
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
        let (code, reason) = close_of(&Ending::from(WireError::Server(error)));
        assert!(reason.len() <= 123, "{reason}");
        code
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
