//! Replaces what differs from server to server, so that what was recorded once can be compared.
//!
//! The n-th transaction ends at `0/nFFFF`, its commit record is at `0/nFFFE`, and its changes are at `0/n0001`, `0/n0002`, … in the order in
//! which their positions appear. Numbers of transactions and of types that are not built in count up; a time is that of its transaction.
//! Works on the text as it is, JSON or not, of `wal2json-v1`, `wal2json-v2` and `events`.

/// The first oid that is not Postgres' own.
const FIRST_OWN_OID: u32 = 16_384;

/// What the numbers of transactions begin with.
const FIRST_XID: usize = 1_000;

#[derive(Default)]
pub struct Normal {
    /// How many transactions have ended.
    ended: usize,
    /// Where the changes of this one are.
    positions: Vec<String>,
    xids: Vec<String>,
    oids: Vec<String>,
}

impl Normal {
    /// The next record.
    pub fn line(&mut self, record: &str) -> String {
        let is_begin = record.starts_with(r#"{"action":"B""#);
        let is_boundary = is_begin || record.starts_with(r#"{"action":"C""#);
        let mut ends = false;
        let line = with_members(record, |key, value| {
            ends |= key == "nextlsn" && !is_begin;
            if key == "lsn" && is_boundary { Some(quoted(&self.commit())) } else { self.value(key, value) }
        });
        if ends {
            self.ended += 1;
            self.positions.clear();
        }
        line
    }

    fn value(&mut self, key: &str, value: &str) -> Option<String> {
        match key {
            "nextlsn" => Some(quoted(&self.position(0xFFFF))),
            "lsn" => Some(quoted(&self.change(unquoted(value)?))),
            "id" => self.event(unquoted(value)?).map(|id| quoted(&id)),
            "xid" if value != "null" => Some((FIRST_XID + number(&mut self.xids, value)).to_string()),
            "timestamp" if value != "null" => Some(format!(r#""2000-01-01 00:00:00.{:06}+00""#, self.ended + 1)),
            "commitTime" if value != "null" => Some(format!(r#""2000-01-01T00:00:00.{:06}Z""#, self.ended + 1)),
            "typeoid" => Some(self.oid(value)),
            _ => None,
        }
    }

    /// `<commit lsn>/<change lsn>/<n>`, where n may be a table's oid. Another thing called `id` is left alone.
    fn event(&mut self, id: &str) -> Option<String> {
        let [_, _, change_high, change_low, n] = id.split('/').collect::<Vec<_>>().try_into().ok()?;
        let change = self.change(&format!("{change_high}/{change_low}"));
        Some(format!("{}/{change}/{}", self.commit(), self.oid(n)))
    }

    fn commit(&self) -> String {
        self.position(0xFFFE)
    }

    fn change(&mut self, position: &str) -> String {
        let number = number(&mut self.positions, position);
        assert!(number < 0xFFFE, "more positions in a transaction than there is room for");
        self.position(number)
    }

    fn position(&self, offset: usize) -> String {
        format!("0/{:X}{offset:04X}", self.ended + 1)
    }

    fn oid(&mut self, oid: &str) -> String {
        let is_own = oid.parse::<u32>().is_ok_and(|oid| (FIRST_OWN_OID..u32::MAX).contains(&oid));
        if is_own { (FIRST_OWN_OID as usize + number(&mut self.oids, oid)).to_string() } else { oid.to_owned() }
    }
}

/// Which one it is, from 1, in order of appearance.
fn number(known: &mut Vec<String>, value: &str) -> usize {
    let index = known.iter().position(|known| known == value).unwrap_or_else(|| {
        known.push(value.to_owned());
        known.len() - 1
    });
    index + 1
}

fn quoted(text: &str) -> String {
    format!(r#""{text}""#)
}

fn unquoted(value: &str) -> Option<&str> {
    value.strip_prefix('"')?.strip_suffix('"')
}

/// Asks for each member whose value is a scalar what it is to be instead. A string is a key where a colon follows, and only there.
fn with_members(record: &str, mut replacement: impl FnMut(&str, &str) -> Option<String>) -> String {
    let mut line = String::with_capacity(record.len());
    let mut rest = record;
    while let Some(start) = rest.find('"') {
        let (before, at_string) = rest.split_at(start);
        let (string, after) = at_string.split_at(string_length(at_string));
        line.push_str(before);
        line.push_str(string);
        rest = after;
        if let (Some(key), Some(at_value)) = (unquoted(string), after.strip_prefix(':')) {
            let (value, after) = at_value.split_at(scalar_length(at_value));
            if let Some(value) = replacement(key, value) {
                line.push(':');
                line.push_str(&value);
                rest = after;
            }
        }
    }
    line + rest
}

fn scalar_length(text: &str) -> usize {
    if text.starts_with('"') { string_length(text) } else { text.find([',', '}', ']']).unwrap_or(text.len()) }
}

/// The length of the JSON string that the text starts with.
fn string_length(text: &str) -> usize {
    let mut escaped = false;
    let end = text.bytes().skip(1).position(|byte| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    });
    end.map_or(text.len(), |end| end + 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(records: &[&str]) -> Vec<String> {
        let mut normal = Normal::default();
        records.iter().map(|record| normal.line(record)).collect()
    }

    #[test]
    fn format_1_is_made_comparable() {
        let records = [
            r#"{"xid":741,"nextlsn":"0/15A3B8","timestamp":"2026-11-23 18:24:33.61+00","change":[{"columnvalues":["xid",741,"\"xid\":741,"]}]}"#,
            r#"{"change":[,{"kind":"message","transactional":false}]}"#,
            r#"{"xid":745,"nextlsn":"0/15A400","timestamp":"2026-11-23 18:24:34+00","change":[]}"#,
        ];
        let expected = [
            r#"{"xid":1001,"nextlsn":"0/1FFFF","timestamp":"2000-01-01 00:00:00.000001+00","change":[{"columnvalues":["xid",741,"\"xid\":741,"]}]}"#,
            r#"{"change":[,{"kind":"message","transactional":false}]}"#,
            r#"{"xid":1002,"nextlsn":"0/2FFFF","timestamp":"2000-01-01 00:00:00.000002+00","change":[]}"#,
        ];
        assert_eq!(lines(&records), expected);
    }

    #[test]
    fn format_2_is_made_comparable() {
        let records = [
            r#"{"action":"M","xid":null,"lsn":"0/B0","timestamp":null}"#,
            r#"{"action":"B","xid":7,"lsn":"0/C0","nextlsn":"0/D0"}"#,
            r#"{"action":"I","xid":7,"lsn":"0/A0","columns":[{"name":"lsn","type":"Shop".mood,"typeoid":16500,"value":"0/A0"},{"typeoid":23}]}"#,
            r#"{"action":"I","xid":7,"lsn":"0/A0"}"#,
            r#"{"action":"C","xid":7,"lsn":"0/C0","nextlsn":"0/D0"}"#,
            r#"{"action":"B","xid":9,"lsn":"0/D8","nextlsn":"0/E0"}"#,
        ];
        let expected = [
            r#"{"action":"M","xid":null,"lsn":"0/10001","timestamp":null}"#,
            r#"{"action":"B","xid":1001,"lsn":"0/1FFFE","nextlsn":"0/1FFFF"}"#,
            r#"{"action":"I","xid":1001,"lsn":"0/10002","columns":[{"name":"lsn","type":"Shop".mood,"typeoid":16385,"value":"0/A0"},{"typeoid":23}]}"#,
            r#"{"action":"I","xid":1001,"lsn":"0/10002"}"#,
            r#"{"action":"C","xid":1001,"lsn":"0/1FFFE","nextlsn":"0/1FFFF"}"#,
            r#"{"action":"B","xid":1002,"lsn":"0/2FFFE","nextlsn":"0/2FFFF"}"#,
        ];
        assert_eq!(lines(&records), expected);
    }

    #[test]
    fn events_are_made_comparable() {
        let records = [
            r#"{"xid":7,"commitTime":"2026-11-23T18:24:33Z","part":0,"last":false,"events":[{"id":"0/C0/0/A0/0","new":{"id":3,"name":"0/C0/0/A0/0"}}]}"#,
            r#"{"nextlsn":"0/D0","xid":7,"commitTime":"2026-11-23T18:24:33Z","part":1,"last":true,"events":[{"id":"0/C0/0/A0/1"},{"id":"0/C0/0/A8/16500"}]}"#,
            r#"{"nextlsn":"0/E0","xid":8,"events":[{"id":"0/D8/0/D4/0"}]}"#,
        ];
        let expected = [
            r#"{"xid":1001,"commitTime":"2000-01-01T00:00:00.000001Z","part":0,"last":false,"events":[{"id":"0/1FFFE/0/10001/0","new":{"id":3,"name":"0/C0/0/A0/0"}}]}"#,
            r#"{"nextlsn":"0/1FFFF","xid":1001,"commitTime":"2000-01-01T00:00:00.000001Z","part":1,"last":true,"events":[{"id":"0/1FFFE/0/10001/1"},{"id":"0/1FFFE/0/10002/16385"}]}"#,
            r#"{"nextlsn":"0/2FFFF","xid":1002,"events":[{"id":"0/2FFFE/0/20001/0"}]}"#,
        ];
        assert_eq!(lines(&records), expected);
    }
}
