//! What the demo prints: the commands to try, ready to be copied.

use std::fmt;
use std::io::{self, Write};

use crate::config::{Config, DEFAULT_SERVER_HOST, DEFAULT_SERVER_PORT, program};
use crate::listen::{authority, reachable_host};

/// The commands to try.
pub(super) struct Guide<'demo> {
    service: String,
    tail: String,
    database: &'demo str,
    slot_name: &'demo str,
}

impl<'demo> Guide<'demo> {
    /// The commands for this slot of a service that listens on this port, and for the database it serves.
    pub(super) fn new(config: &Config, port: u16, database: &'demo str, slot_name: &'demo str) -> Self {
        let mut tail = format!("{} tail {slot_name} --ack", quoted(&program()));
        let host = reachable_host(&config.server_host);
        if host != DEFAULT_SERVER_HOST {
            tail += &format!(" --serverHost {host}");
        }
        if port != DEFAULT_SERVER_PORT {
            tail += &format!(" --serverPort {port}");
        }
        Self { service: authority(host, port), tail, database, slot_name }
    }

    /// Prints them, in one piece.
    pub(super) fn print(&self) -> io::Result<()> {
        let mut output = io::stdout().lock();
        output.write_all(self.to_string().as_bytes())?;
        output.flush()
    }
}

impl fmt::Display for Guide<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { service, tail, database, slot_name } = self;
        let page =
            format!(r#"{{"slotName":"{slot_name}","table":"orders","offset":0,"limit":3,"order_by":{{"column":"id","order":"ASC"}}}}"#);
        write!(
            formatter,
            r#"
A throwaway Postgres is running, its table "orders" changes every second, and
pgdeltastream serves it at http://{service}. In another terminal:

  The first rows, as they were when the slot was made
    curl -s http://{service}/v1/snapshot/data -d '{page}'

  Every change since then (one or the other: the newest connection has the stream)
    {tail}
    websocat 'ws://{service}/v1/lr/stream?slotName={slot_name}'

  A change of your own
    psql '{database}' -c "update orders set item = 'a balloon' where id = (select max(id) from orders)"

  Start over, with a new slot and a new snapshot; the ones above are gone then
    curl -s http://{service}/v1/init

  All that there is, as a page for your browser
    http://{service}/docs

Ctrl-C stops it all and leaves nothing behind.
"#
        )
    }
}

/// A word of a shell command.
fn quoted(word: &str) -> String {
    let is_plain = |character: char| character.is_alphanumeric() || "/._-+@".contains(character);
    if word.chars().all(is_plain) { word.to_owned() } else { format!("'{}'", word.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_can_be_copied_into_a_shell() {
        assert_eq!(quoted("target/release/pgdeltastream"), "target/release/pgdeltastream");
        assert_eq!(quoted("/it's here/x"), r"'/it'\''s here/x'");
    }
}
