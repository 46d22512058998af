//! What wal2json wrote, record by record, as `pg_recvlogical` prints it.

/// How wal2json writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One text a transaction.
    One,
    /// One text a change, and one each for begin and commit.
    Two,
}

/// How records begin. A newline that is followed by one of these ends a record; others are inside of one, where wal2json copies a default
/// or a name as it is.
const BEGINNINGS: [&[u8]; 4] = [br#"{"nextlsn":""#, br#"{"xid":"#, br#"{"change":["#, br#"{"action":""#];

/// Cuts what `pg_recvlogical` printed into records.
pub fn records(printed: &[u8]) -> Vec<Vec<u8>> {
    let mut records: Vec<Vec<u8>> = vec![];
    for line in printed.split_inclusive(|byte| *byte == b'\n') {
        match records.last_mut() {
            Some(record) if !BEGINNINGS.iter().any(|beginning| line.starts_with(beginning)) => record.extend(line),
            _ => records.push(line.to_vec()),
        }
    }
    for record in &mut records {
        assert_eq!(record.pop(), Some(b'\n'), "pg_recvlogical ends every record with a newline");
    }
    records
}

impl Format {
    /// Without the transactions that have no change.
    pub fn without_empty_transactions(self, records: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
        match self {
            Self::One => records.into_iter().filter(|record| !record.ends_with(br#""change":[]}"#)).collect(),
            Self::Two => without_empty_pairs(records),
        }
    }

    /// Whether a text ends the transaction that ends at the position.
    pub fn ends_at(self, text: &str, position: &str) -> bool {
        let wanted = format!(r#""nextlsn":"{position}""#);
        let head = text.split(r#""change":["#).next().unwrap_or_default();
        head.contains(&wanted) && (self == Self::One || text.starts_with(r#"{"action":"C""#))
    }
}

fn without_empty_pairs(records: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    let mut kept: Vec<Vec<u8>> = vec![];
    for record in records {
        let follows_begin = kept.last().is_some_and(|last| last.starts_with(br#"{"action":"B""#));
        if follows_begin && record.starts_with(br#"{"action":"C""#) {
            kept.pop();
        } else {
            kept.push(record);
        }
    }
    kept
}

/// The end of the last transaction among the records, if there is one.
pub fn last_position(records: &[String]) -> Option<&str> {
    records.iter().rev().find_map(|record| {
        let head = record.split(r#""change":["#).next()?;
        head.split_once(r#""nextlsn":""#)?.1.split('"').next()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(records: Vec<Vec<u8>>) -> Vec<String> {
        records.into_iter().map(|record| String::from_utf8(record).unwrap()).collect()
    }

    #[test]
    fn a_newline_inside_of_a_record_does_not_end_it() {
        let printed = b"{\"nextlsn\":\"0/1\",\"change\":[{\"default\":\"a\nb\"}]}\n{\"change\":[]}\n";
        assert_eq!(texts(records(printed)), ["{\"nextlsn\":\"0/1\",\"change\":[{\"default\":\"a\nb\"}]}", "{\"change\":[]}"]);
    }

    #[test]
    fn transactions_without_changes_are_left_out() {
        let one = vec![br#"{"nextlsn":"0/1","change":[]}"#.to_vec(), br#"{"nextlsn":"0/2","change":[{"a":"\"change\":[]"}]}"#.to_vec()];
        assert_eq!(texts(Format::One.without_empty_transactions(one)), [r#"{"nextlsn":"0/2","change":[{"a":"\"change\":[]"}]}"#]);
        let two = ["B", "C", "M", "B", "I", "C", "B", "C"].map(|action| format!(r#"{{"action":"{action}"}}"#).into_bytes());
        let left: Vec<String> = texts(Format::Two.without_empty_transactions(two.to_vec()));
        assert_eq!(left, ["M", "B", "I", "C"].map(|action| format!(r#"{{"action":"{action}"}}"#)));
    }

    #[test]
    fn the_end_of_a_transaction_is_known() {
        assert!(Format::One.ends_at(r#"{"xid":1,"nextlsn":"0/1","change":[]}"#, "0/1"));
        assert!(!Format::One.ends_at(r#"{"nextlsn":"0/2","change":["\"nextlsn\":\"0/1\"", "nextlsn":"0/1"]}"#, "0/1"));
        assert!(Format::Two.ends_at(r#"{"action":"C","lsn":"0/0","nextlsn":"0/1"}"#, "0/1"));
        assert!(!Format::Two.ends_at(r#"{"action":"B","lsn":"0/0","nextlsn":"0/1"}"#, "0/1"));
    }
}
