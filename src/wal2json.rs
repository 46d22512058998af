//! What wal2json writes: its format 1, one JSON text a transaction.
//!
//! Reads only what a session must know, the end of the transaction and whether there is anything in it, and leaves every other byte as
//! it came. No I/O, no runtime.

mod mend;

use crate::lsn::Lsn;
use mend::mend;

/// The options a slot's stream is started with: the original's two, and our own tables left out.
pub const OPTIONS: [(&str, &str); 3] = [("include-lsn", "on"), ("pretty-print", "off"), ("filter-tables", "pgdeltastream.*")];

/// One text of format 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    /// Where the transaction ends; none for a logical message outside of a transaction.
    pub commit_end: Option<Lsn>,
    /// Whether there is a change in it.
    pub is_empty: bool,
    json: String,
}

/// A transaction as the client gets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Messages {
    /// As it came.
    Whole(String),
    /// In several messages, at least one.
    Parts(Vec<String>),
}

/// Not what wal2json writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("wal2json wrote something that is not a transaction of format 1: expected {{\"nextlsn\":…,\"change\":[…]}}")]
pub struct Malformed;

const POSITION: &str = r#"{"nextlsn":""#;
const CHANGES: &str = r#""change":["#;
const END: &str = "]}";

impl Text {
    /// Reads the head and the tail of a message, after mending what wal2json breaks.
    pub fn parse(bytes: Vec<u8>) -> Result<Self, Malformed> {
        let json = mend(bytes);
        let (commit_end, rest) = head(&json).ok_or(Malformed)?;
        let changes = rest.strip_prefix(CHANGES).and_then(|rest| rest.strip_suffix(END)).ok_or(Malformed)?;
        let is_empty = changes.is_empty();
        Ok(Self { commit_end, is_empty, json })
    }

    /// The text as the client gets it: whole, or where it is longer than `limit` bytes in several messages of the same shape, cut between
    /// changes, of which only the last has the position. A single change that is longer comes alone.
    pub fn messages(self, limit: usize) -> Messages {
        if self.json.len() <= limit || self.is_empty { Messages::Whole(self.json) } else { Messages::Parts(self.parts(limit)) }
    }

    fn parts(&self, limit: usize) -> Vec<String> {
        let Some((_, rest)) = head(&self.json) else { return vec![] };
        let head = self.json.strip_suffix(rest).unwrap_or_default();
        let list = rest.strip_prefix(CHANGES).and_then(|rest| rest.strip_suffix(END)).unwrap_or_default();
        let room = limit.saturating_sub(head.len() + CHANGES.len() + END.len());
        let mut parts: Vec<String> = pack(changes(list), room).into_iter().map(|part| format!("{{{CHANGES}{part}{END}")).collect();
        if let Some(last) = parts.last_mut() {
            last.replace_range(..1, head);
        }
        parts
    }
}

/// Up to and with the position: the position, and what follows the comma.
fn head(json: &str) -> Option<(Option<Lsn>, &str)> {
    let Some(rest) = json.strip_prefix(POSITION) else { return json.strip_prefix('{').map(|rest| (None, rest)) };
    let (position, rest) = rest.split_once('"')?;
    Some((Some(position.parse().ok()?), rest.strip_prefix(',')?))
}

/// Fills messages with as many changes as fit.
fn pack<'a>(changes: impl Iterator<Item = &'a str>, room: usize) -> Vec<String> {
    let mut parts: Vec<String> = vec![];
    for change in changes {
        match parts.last_mut() {
            Some(part) if part.len() + 1 + change.len() <= room => {
                part.push(',');
                part.push_str(change);
            }
            _ => parts.push(change.to_owned()),
        }
    }
    parts
}

/// The changes of a list, by the braces outside of strings.
fn changes(list: &str) -> impl Iterator<Item = &str> {
    let mut rest = list;
    std::iter::from_fn(move || {
        let (change, after) = rest.split_at(object_length(rest)?);
        rest = after.strip_prefix(',').unwrap_or(after);
        Some(change)
    })
}

/// The length of the object that the text starts with.
fn object_length(text: &str) -> Option<usize> {
    let mut depth = 0usize;
    let mut in_string = false;
    let mut escaped = false;
    for (index, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' if !in_string => depth += 1,
            b'}' if !in_string && depth <= 1 => return Some(index + 1),
            b'}' if !in_string => depth -= 1,
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn parse(text: &str) -> Result<Text, Malformed> {
        Text::parse(text.as_bytes().to_vec())
    }

    fn only_message(text: Text) -> String {
        match text.messages(usize::MAX) {
            Messages::Whole(message) => message,
            Messages::Parts(parts) => panic!("{parts:?}"),
        }
    }

    #[test]
    fn a_transaction_is_passed_on_as_it_came() {
        let written = r#"{"nextlsn":"0/170FCB0","change":[{"kind":"insert","columnvalues":[1e400,0.1000]}]}"#;
        let text = parse(written).unwrap();
        assert_eq!((text.commit_end, text.is_empty), (Some("0/170FCB0".parse().unwrap()), false));
        assert_eq!(only_message(text), written);
    }

    #[test]
    fn a_transaction_without_changes_is_told_apart() {
        let text = parse(r#"{"nextlsn":"0/170FCB0","change":[]}"#).unwrap();
        assert!(text.is_empty && text.commit_end.is_some());
    }

    #[test]
    fn a_message_outside_of_a_transaction_has_no_position_and_is_mended() {
        let message = r#"{"kind":"message","transactional":false,"prefix":"p","content":"{\"change\":[,{"}"#;
        for written in [format!(r#"{{"change":[{message}]}}"#), format!(r#"{{"change":[,{message}]}}"#)] {
            let text = parse(&written).unwrap();
            assert_eq!(text.commit_end, None);
            assert_eq!(only_message(text), format!(r#"{{"change":[{message}]}}"#));
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in ["", "{", "{}", "[]", r#"{"nextlsn":"0/1"}"#, r#"{"nextlsn":"x","change":[]}"#, r#"{"nextlsn":"0/1","change":["#] {
            assert_eq!(parse(text), Err(Malformed), "{text:?}");
        }
    }

    fn change() -> impl Strategy<Value = Value> {
        (".{0,12}", prop::collection::vec("[{}\\[\\],\"\\\\a]{0,6}", 0..4))
            .prop_map(|(table, values)| json!({"table": table, "values": values}))
    }

    proptest! {
        #[test]
        fn the_parts_of_a_long_transaction_are_the_transaction(changes in prop::collection::vec(change(), 1..20), limit in 1usize..400) {
            let written = json!({"change": changes}).to_string().replacen('{', r#"{"nextlsn":"0/170FCB0","#, 1);
            let parts = match parse(&written).unwrap().messages(limit) {
                Messages::Whole(message) => vec![message],
                Messages::Parts(parts) => parts,
            };
            let mut together = vec![];
            for (index, part) in parts.iter().enumerate() {
                let value: Value = serde_json::from_str(part).unwrap();
                let list = value["change"].as_array().unwrap();
                prop_assert!(part.len() <= limit || list.len() == 1, "{} bytes", part.len());
                prop_assert_eq!(value.get("nextlsn").is_some(), index + 1 == parts.len());
                together.extend(list.iter().cloned());
            }
            prop_assert_eq!(together, changes);
        }

        #[test]
        fn no_bytes_panic(bytes: Vec<u8>, limit in 0usize..100) {
            if let Ok(text) = Text::parse(bytes) {
                let _ = text.messages(limit);
            }
        }

        #[test]
        fn no_text_panics(changes in ".{0,40}", limit in 0usize..60) {
            let text = parse(&format!(r#"{{"nextlsn":"0/1","change":[{changes}]}}"#)).unwrap();
            let _ = text.messages(limit);
        }
    }
}
