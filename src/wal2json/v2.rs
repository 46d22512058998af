//! wal2json's format 2: one JSON text for each of the beginning, the changes and the end of a transaction.
//!
//! Reads text that is JSON, after `mend`, and borrows from it. Members that it does not know are passed over.

use serde::Deserialize;

use super::Malformed;
use super::change::{Change, Column, Context, KeyColumn, Kind, Message, Table, Text, position};
use crate::lsn::Lsn;

/// One text of format 2.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record<'a> {
    /// What options add.
    pub context: Context<'a>,
    /// Where it stands, with `include-lsn`: for the beginning and the end of a transaction, the start of what commits it.
    pub lsn: Option<Lsn>,
    /// What it tells.
    pub action: Action<'a>,
}

/// What a record tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action<'a> {
    /// A transaction begins.
    Begin {
        /// Where it will have ended, with `include-lsn`.
        commit_end: Option<Lsn>,
    },
    /// A transaction is complete.
    Commit {
        /// Where it ends, with `include-lsn`.
        commit_end: Option<Lsn>,
    },
    /// A row changed.
    Change(Change<'a>),
    /// A table was emptied.
    Truncate(Table<'a>),
    /// A logical message.
    Message(Message<'a>),
}

impl<'a> Record<'a> {
    /// Reads one record.
    pub fn parse(text: &'a str) -> Result<Self, Malformed> {
        let members: Members = serde_json::from_str(text).map_err(|_| Malformed)?;
        let context = Context { xid: members.xid, timestamp: members.timestamp, origin: members.origin };
        Ok(Self { context, lsn: position(members.lsn)?, action: members.action()? })
    }

    /// The table that one record is about, if it is about any. Most often no more is read than stands before that.
    pub fn table(text: &'a str) -> Result<Option<Table<'a>>, Malformed> {
        let front = Table::in_front(text);
        if front.is_some() {
            return Ok(front);
        }
        Ok(match Self::parse(text)?.action {
            Action::Change(change) => Some(change.table),
            Action::Truncate(table) => Some(table),
            Action::Begin { .. } | Action::Commit { .. } | Action::Message(_) => None,
        })
    }
}

/// All that any record has.
#[derive(Deserialize)]
struct Members<'a> {
    action: Letter,
    xid: Option<u32>,
    #[serde(borrow)]
    timestamp: Option<Text<'a>>,
    origin: Option<u32>,
    lsn: Option<&'a str>,
    nextlsn: Option<&'a str>,
    schema: Option<Text<'a>>,
    table: Option<Text<'a>>,
    columns: Option<Vec<Column<'a>>>,
    identity: Option<Vec<Column<'a>>>,
    pk: Option<Vec<KeyColumn<'a>>>,
    transactional: Option<bool>,
    prefix: Option<Text<'a>>,
    content: Option<Text<'a>>,
}

#[derive(Deserialize)]
enum Letter {
    B,
    C,
    I,
    U,
    D,
    T,
    M,
}

impl<'a> Members<'a> {
    fn action(self) -> Result<Action<'a>, Malformed> {
        Ok(match self.action {
            Letter::B => Action::Begin { commit_end: position(self.nextlsn)? },
            Letter::C => Action::Commit { commit_end: position(self.nextlsn)? },
            Letter::I => Action::Change(self.change(Kind::Insert)?),
            Letter::U => Action::Change(self.change(Kind::Update)?),
            Letter::D => Action::Change(self.change(Kind::Delete)?),
            Letter::T => Action::Truncate(self.table()?),
            Letter::M => Action::Message(self.message()?),
        })
    }

    fn change(self, kind: Kind) -> Result<Change<'a>, Malformed> {
        let table = self.table()?;
        Change::of(kind, table, self.columns, self.identity, self.pk)
    }

    fn table(&self) -> Result<Table<'a>, Malformed> {
        Ok(Table { schema: self.schema, name: self.table.ok_or(Malformed)? })
    }

    fn message(&self) -> Result<Message<'a>, Malformed> {
        Message::of(self.transactional, self.prefix, self.content)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transaction_begins_and_ends_at_the_same_places() {
        let rest = r#","xid":738,"timestamp":"2026-11-23 17:57:57.21+00","origin":0,"lsn":"0/1548700","nextlsn":"0/1548730"}"#;
        let [begin, commit] = ["B", "C"].map(|action| format!(r#"{{"action":"{action}"{rest}"#));
        let [begin, commit] = [&begin, &commit].map(|text| Record::parse(text).unwrap());
        let commit_end = Some("0/1548730".parse().unwrap());
        assert_eq!((begin.action, commit.action), (Action::Begin { commit_end }, Action::Commit { commit_end }));
        assert_eq!((begin.context, begin.lsn), (commit.context, commit.lsn));
        assert_eq!((begin.lsn, begin.context.xid), (Some("0/1548700".parse().unwrap()), Some(738)));
        assert_eq!(begin.context.timestamp.unwrap().decoded(), "2026-11-23 17:57:57.21+00");
    }

    #[test]
    fn a_change_has_all_that_options_add() {
        let text = r#"{"action":"U","lsn":"0/1","schema":"public","table":"t","columns":[{"name":"a","type":"numeric(5,2)","typeoid":1700,"value":2.00,"optional":true,"position":3,"default":null},{"name":"b","typeoid":-1,"value":"x"}],"identity":[{"name":"a","type":"integer","typeoid":23,"value":1}],"pk":[{"name":"id","type":"integer","typeoid":23}]}"#;
        let Ok(Record { action: Action::Change(update), .. }) = Record::parse(text) else { panic!("{text}") };
        let [a, b] = update.columns.as_slice() else { panic!("{update:?}") };
        assert_eq!((a.type_name.unwrap().as_json(), a.type_oid, a.value.as_json()), ("\"numeric(5,2)\"", Some(1700), "2.00"));
        assert_eq!((a.is_optional, a.position, a.default.unwrap().as_json()), (Some(true), Some(3), "null"));
        assert_eq!((b.type_name, b.type_oid, b.is_optional, b.position, b.default), (None, Some(u32::MAX), None, None, None));
        assert_eq!(update.identity.unwrap()[0].value.as_json(), "1");
        assert_eq!(update.primary_key.unwrap()[0].type_oid, Some(23));
    }

    #[test]
    fn a_message_outside_of_a_transaction_has_no_context() {
        let text =
            r#"{"action":"M","xid":null,"timestamp":null,"origin":null,"lsn":"0/1","transactional":false,"prefix":"p","content":"non"}"#;
        let record = Record::parse(text).unwrap();
        let Action::Message(message) = record.action else { panic!("{record:?}") };
        assert_eq!((record.context, message.transactional), (Context::default(), false));
        assert_eq!(message.content.decoded(), "non");
    }

    #[test]
    fn anything_else_is_refused() {
        let texts = [
            "",
            "[]",
            "{}",
            r#"{"action":"X"}"#,
            r#"{"action":"b"}"#,
            r#"{"action":null}"#,
            r#"{"action":"B","action":"B"}"#,
            r#"{"action":"B","lsn":"x"}"#,
            r#"{"action":"B","nextlsn":"0"}"#,
            r#"{"action":"B","xid":-1}"#,
            r#"{"action":"T"}"#,
            r#"{"action":"I","table":"t"}"#,
            r#"{"action":"I","columns":[]}"#,
            r#"{"action":"I","table":"t","columns":[{"name":"a"}]}"#,
            r#"{"action":"I","table":"t","columns":[{"name":"a","value":[]}]}"#,
            r#"{"action":"I","table":"t","columns":[{"name":"a","value":1,"value":1}]}"#,
            r#"{"action":"I","table":"t","columns":[{"name":"a","value":1,"position":32768}]}"#,
            r#"{"action":"D","table":"t"}"#,
            r#"{"action":"M","prefix":"p","content":"c"}"#,
            r#"{"action":"B"} {"action":"C"}"#,
        ];
        for text in texts {
            assert_eq!(Record::parse(text), Err(Malformed), "{text}");
        }
    }

    #[test]
    fn unknown_members_are_passed_over() {
        let text = r#"{"new":[{"action":1e400}],"action":"T","table":"t","more":{}}"#;
        assert!(matches!(Record::parse(text).unwrap().action, Action::Truncate(Table { schema: None, .. })));
    }
}
