//! wal2json's format 2: one JSON text for each of the beginning, the changes and the end of a transaction.
//!
//! Reads text that is JSON, after `mend`, and borrows from it. Members that it does not know are passed over.

use super::Malformed;
use super::change::{self, Change, Column, Context, KeyColumn, Kind, Message, Table, Text, Value};
use super::json::{self, Reader};
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
        let members = json::read(text, Members::read)?;
        Ok(Self { context: members.context, lsn: members.lsn, action: members.action()? })
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
#[derive(Default)]
struct Members<'a> {
    action: Option<Letter>,
    context: Context<'a>,
    lsn: Option<Lsn>,
    commit_end: Option<Lsn>,
    schema: Option<Text<'a>>,
    table: Option<Text<'a>>,
    columns: Option<Vec<Column<'a>>>,
    identity: Option<Vec<Column<'a>>>,
    primary_key: Option<Vec<KeyColumn<'a>>>,
    transactional: Option<bool>,
    prefix: Option<Text<'a>>,
    content: Option<Text<'a>>,
}

#[derive(Clone, Copy)]
enum Letter {
    Begin,
    Commit,
    Change(Kind),
    Truncate,
    Message,
}

impl Letter {
    fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(match reader.string()? {
            "B" => Self::Begin,
            "C" => Self::Commit,
            "I" => Self::Change(Kind::Insert),
            "U" => Self::Change(Kind::Update),
            "D" => Self::Change(Kind::Delete),
            "T" => Self::Truncate,
            "M" => Self::Message,
            _ => return Err(Malformed),
        })
    }
}

impl<'a> Members<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let mut members = Self::default();
        reader.object(|reader, key| match key {
            "action" => reader.member(&mut members.action, Letter::read),
            "xid" => reader.member(&mut members.context.xid, Reader::parsed),
            "timestamp" => reader.member(&mut members.context.timestamp, Text::read),
            "origin" => reader.member(&mut members.context.origin, Reader::parsed),
            "lsn" => reader.member(&mut members.lsn, Reader::parsed_string),
            "nextlsn" => reader.member(&mut members.commit_end, Reader::parsed_string),
            "schema" => reader.member(&mut members.schema, Text::read),
            "table" => reader.member(&mut members.table, Text::read),
            "columns" => reader.list_member(&mut members.columns, column),
            "identity" => reader.list_member(&mut members.identity, column),
            "pk" => reader.list_member(&mut members.primary_key, key_column),
            "transactional" => reader.member(&mut members.transactional, Reader::parsed),
            "prefix" => reader.member(&mut members.prefix, Text::read),
            "content" => reader.member(&mut members.content, Text::read),
            _ => reader.skip(),
        })?;
        Ok(members)
    }

    fn action(self) -> Result<Action<'a>, Malformed> {
        Ok(match self.action.ok_or(Malformed)? {
            Letter::Begin => Action::Begin { commit_end: self.commit_end },
            Letter::Commit => Action::Commit { commit_end: self.commit_end },
            Letter::Change(kind) => Action::Change(Change::of(kind, self.table()?, self.columns, self.identity, self.primary_key)?),
            Letter::Truncate => Action::Truncate(self.table()?),
            Letter::Message => Action::Message(self.message()?),
        })
    }

    fn table(&self) -> Result<Table<'a>, Malformed> {
        Ok(Table { schema: self.schema, name: self.table.ok_or(Malformed)? })
    }

    fn message(&self) -> Result<Message<'a>, Malformed> {
        Message::of(self.transactional, self.prefix, self.content)
    }
}

fn column<'a>(reader: &mut Reader<'a>) -> Result<Column<'a>, Malformed> {
    let (mut name, mut type_name, mut type_oid, mut value) = (None, None, None, None);
    let (mut position, mut is_optional, mut default) = (None, None, None);
    reader.object(|reader, key| match key {
        "name" => reader.member(&mut name, Text::read),
        "type" => reader.member(&mut type_name, Text::read),
        "typeoid" => reader.member(&mut type_oid, change::type_oid),
        "value" => present(reader, &mut value),
        "position" => reader.member(&mut position, Reader::parsed),
        "optional" => reader.member(&mut is_optional, Reader::parsed),
        "default" => present(reader, &mut default),
        _ => reader.skip(),
    })?;
    let (name, value) = (name.ok_or(Malformed)?, value.ok_or(Malformed)?);
    Ok(Column { name, type_name, type_oid, value, position, is_optional, default })
}

fn key_column<'a>(reader: &mut Reader<'a>) -> Result<KeyColumn<'a>, Malformed> {
    let (mut name, mut type_name, mut type_oid) = (None, None, None);
    reader.object(|reader, key| match key {
        "name" => reader.member(&mut name, Text::read),
        "type" => reader.member(&mut type_name, Text::read),
        "typeoid" => reader.member(&mut type_oid, change::type_oid),
        _ => reader.skip(),
    })?;
    Ok(KeyColumn { name: name.ok_or(Malformed)?, type_name, type_oid })
}

/// A member for which null is a value, too.
fn present<'a>(reader: &mut Reader<'a>, member: &mut Option<Value<'a>>) -> Result<(), Malformed> {
    if member.replace(Value::read(reader)?).is_some() { Err(Malformed) } else { Ok(()) }
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
            r#"{"action":"B","lsn":"0\/1"}"#,
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
