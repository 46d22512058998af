//! wal2json's format 1: one JSON text for a whole transaction, the columns of each change in parallel lists.
//!
//! Reads text that is JSON, after `mend`, and borrows from it. Members that it does not know are passed over.

use super::Malformed;
use super::change::{self, Change, Column, Context, KeyColumn, Kind, Message, Table, Text, Value};
use super::json::{self, Reader};
use crate::lsn::Lsn;

/// One text of format 1: a transaction, or a logical message outside of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transaction<'a> {
    /// What options add.
    pub context: Context<'a>,
    /// Where it ends, with `include-lsn`; none for a message outside of a transaction.
    pub commit_end: Option<Lsn>,
    /// What happened in it, in its order. TRUNCATE is not told.
    pub items: Vec<Item<'a>>,
}

/// What happened in a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item<'a> {
    /// A row changed.
    Change(Change<'a>),
    /// A logical message.
    Message(Message<'a>),
}

impl<'a> Transaction<'a> {
    /// Reads one transaction.
    pub fn parse(text: &'a str) -> Result<Self, Malformed> {
        json::read(text, |reader| {
            let (mut context, mut commit_end, mut items) = (Context::default(), None, None);
            reader.object(|reader, key| match key {
                "xid" => reader.member(&mut context.xid, Reader::parsed),
                "nextlsn" => reader.member(&mut commit_end, Reader::parsed_string),
                "timestamp" => reader.member(&mut context.timestamp, Text::read),
                "origin" => reader.member(&mut context.origin, Reader::parsed),
                "change" => reader.list_member(&mut items, Item::read),
                _ => reader.skip(),
            })?;
            Ok(Self { context, commit_end, items: items.ok_or(Malformed)? })
        })
    }
}

impl<'a> Item<'a> {
    /// Reads one element of a transaction's list.
    pub fn parse(text: &'a str) -> Result<Self, Malformed> {
        json::read(text, Self::read)
    }

    fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        Members::read(reader)?.item()
    }

    /// The table that one element is about; none for a message. Most often no more is read than stands before that.
    pub fn table(text: &'a str) -> Result<Option<Table<'a>>, Malformed> {
        let front = Table::in_front(text);
        if front.is_some() {
            return Ok(front);
        }
        Ok(match Self::parse(text)? {
            Self::Change(change) => Some(change.table),
            Self::Message(_) => None,
        })
    }
}

/// All that any item has.
#[derive(Default)]
struct Members<'a> {
    kind: Option<ItemKind>,
    schema: Option<Text<'a>>,
    table: Option<Text<'a>>,
    names: Option<Vec<Text<'a>>>,
    lists: Lists<'a>,
    identity: Option<Vec<Column<'a>>>,
    primary_key: Option<Vec<KeyColumn<'a>>>,
    transactional: Option<bool>,
    prefix: Option<Text<'a>>,
    content: Option<Text<'a>>,
}

#[derive(Clone, Copy)]
enum ItemKind {
    Change(Kind),
    Message,
}

impl ItemKind {
    fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(match reader.string()? {
            "insert" => Self::Change(Kind::Insert),
            "update" => Self::Change(Kind::Update),
            "delete" => Self::Change(Kind::Delete),
            "message" => Self::Message,
            _ => return Err(Malformed),
        })
    }
}

impl<'a> Members<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let mut members = Self::default();
        reader.object(|reader, key| match key {
            "kind" => reader.member(&mut members.kind, ItemKind::read),
            "schema" => reader.member(&mut members.schema, Text::read),
            "table" => reader.member(&mut members.table, Text::read),
            "columnnames" => reader.list_member(&mut members.names, Text::read),
            "columntypes" => reader.list_member(&mut members.lists.types, Text::read),
            "columntypeoids" => reader.list_member(&mut members.lists.type_oids, change::type_oid),
            "columnpositions" => reader.list_member(&mut members.lists.positions, Reader::parsed),
            "columnoptionals" => reader.list_member(&mut members.lists.optionals, Reader::parsed),
            "columndefaults" => reader.list_member(&mut members.lists.defaults, Value::read),
            "columnvalues" => reader.list_member(&mut members.lists.values, Value::read),
            "oldkeys" => reader.member(&mut members.identity, identity),
            "pk" => reader.member(&mut members.primary_key, primary_key),
            "transactional" => reader.member(&mut members.transactional, Reader::parsed),
            "prefix" => reader.member(&mut members.prefix, Text::read),
            "content" => reader.member(&mut members.content, Text::read),
            _ => reader.skip(),
        })?;
        Ok(members)
    }

    fn item(self) -> Result<Item<'a>, Malformed> {
        Ok(match self.kind.ok_or(Malformed)? {
            ItemKind::Change(kind) => Item::Change(self.change(kind)?),
            ItemKind::Message => Item::Message(Message::of(self.transactional, self.prefix, self.content)?),
        })
    }

    fn change(self, kind: Kind) -> Result<Change<'a>, Malformed> {
        let table = Table { schema: self.schema, name: self.table.ok_or(Malformed)? };
        let columns = self.names.map(|names| self.lists.columns(names)).transpose()?;
        Change::of(kind, table, columns, self.identity, self.primary_key)
    }
}

/// What stands beside the names of columns, in lists as long as theirs.
#[derive(Default)]
struct Lists<'a> {
    types: Option<Vec<Text<'a>>>,
    type_oids: Option<Vec<u32>>,
    positions: Option<Vec<i16>>,
    optionals: Option<Vec<bool>>,
    defaults: Option<Vec<Value<'a>>>,
    values: Option<Vec<Value<'a>>>,
}

impl<'a> Lists<'a> {
    fn columns(self, names: Vec<Text<'a>>) -> Result<Vec<Column<'a>>, Malformed> {
        let count = names.len();
        let mut types = list(self.types, count)?;
        let mut oids = list(self.type_oids, count)?;
        let mut positions = list(self.positions, count)?;
        let mut optionals = list(self.optionals.filter(|list| !list.is_empty()), count)?;
        let mut defaults = list(self.defaults, count)?;
        let values = list(Some(self.values.ok_or(Malformed)?), count)?;
        let column = |(name, value)| Column {
            name,
            type_name: types.next(),
            type_oid: oids.next(),
            value,
            position: positions.next(),
            is_optional: optionals.next(),
            default: defaults.next(),
        };
        Ok(names.into_iter().zip(values).map(column).collect())
    }
}

/// What a row was known by.
fn identity<'a>(reader: &mut Reader<'a>) -> Result<Vec<Column<'a>>, Malformed> {
    let (mut names, mut lists) = (None, Lists::default());
    reader.object(|reader, key| match key {
        "keynames" => reader.list_member(&mut names, Text::read),
        "keytypes" => reader.list_member(&mut lists.types, Text::read),
        "keytypeoids" => reader.list_member(&mut lists.type_oids, change::type_oid),
        "keyvalues" => reader.list_member(&mut lists.values, Value::read),
        _ => reader.skip(),
    })?;
    lists.columns(names.ok_or(Malformed)?)
}

fn primary_key<'a>(reader: &mut Reader<'a>) -> Result<Vec<KeyColumn<'a>>, Malformed> {
    let (mut names, mut types) = (None, None);
    reader.object(|reader, key| match key {
        "pknames" => reader.list_member(&mut names, Text::read),
        "pktypes" => reader.list_member(&mut types, Text::read),
        _ => reader.skip(),
    })?;
    let names = names.ok_or(Malformed)?;
    let mut types = list(types.filter(|list| !list.is_empty()), names.len())?;
    Ok(names.into_iter().map(|name| KeyColumn { name, type_name: types.next(), type_oid: None }).collect())
}

/// The elements of a list that stands beside `count` names: as many, or none where there is no list. With `include-types` off, wal2json
/// leaves some lists out and others empty.
fn list<T>(list: Option<Vec<T>>, count: usize) -> Result<impl Iterator<Item = T>, Malformed> {
    if list.as_ref().is_none_or(|list| list.len() == count) { Ok(list.into_iter().flatten()) } else { Err(Malformed) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(text: &str) -> Change<'_> {
        match Item::parse(text) {
            Ok(Item::Change(change)) => change,
            other => panic!("{other:?}"),
        }
    }

    fn names<'a>(columns: impl IntoIterator<Item = Text<'a>>) -> Vec<String> {
        columns.into_iter().map(|name| name.decoded().into_owned()).collect()
    }

    #[test]
    fn a_transaction_has_its_context_and_its_items_in_order() {
        let text = r#"{"xid":4294967295,"nextlsn":"A/1548730","timestamp":"2024-01-02 03:04:05.6+00","origin":1,"change":[{"kind":"message","transactional":true,"prefix":"p","content":"\"c\""},{"kind":"delete","schema":"s","table":"t","oldkeys":{"keynames":[],"keytypes":[],"keyvalues":[]}}]}"#;
        let transaction = Transaction::parse(text).unwrap();
        assert_eq!((transaction.context.xid, transaction.context.origin), (Some(u32::MAX), Some(1)));
        assert_eq!(transaction.context.timestamp.unwrap().decoded(), "2024-01-02 03:04:05.6+00");
        assert_eq!(transaction.commit_end, Some("A/1548730".parse().unwrap()));
        let [Item::Message(message), Item::Change(delete)] = transaction.items.as_slice() else { panic!("{transaction:?}") };
        assert_eq!((message.transactional, message.content.decoded().as_ref()), (true, "\"c\""));
        assert_eq!((delete.kind, delete.columns.len(), delete.identity.as_deref()), (Kind::Delete, 0, Some([].as_slice())));
    }

    #[test]
    fn parallel_lists_become_columns() {
        let update = change(
            r#"{"kind":"update","schema":"s","table":"t","columnnames":["id","a\"b"],"columntypes":["integer","text"],"columntypeoids":[23,-1294967296],"columnpositions":[1,3],"columnoptionals":[false,true],"columndefaults":[null,"'x'::text"],"columnvalues":[1,null],"pk":{"pknames":["id"],"pktypes":["integer"]},"oldkeys":{"keynames":["id"],"keytypes":["integer"],"keytypeoids":[23],"keyvalues":[2]}}"#,
        );
        let [id, other] = update.columns.as_slice() else { panic!("{update:?}") };
        assert_eq!((id.type_oid, id.position, id.is_optional), (Some(23), Some(1), Some(false)));
        assert_eq!((id.value.as_json(), id.default.map(Value::as_json)), ("1", Some("null")));
        assert_eq!((other.name.decoded().as_ref(), other.type_oid), ("a\"b", Some(3_000_000_000)));
        assert_eq!(other.default.map(Value::as_json), Some("\"'x'::text\""));
        let identity = update.identity.unwrap();
        assert_eq!((identity[0].value.as_json(), identity[0].type_oid, identity[0].position), ("2", Some(23), None));
        assert_eq!(names(update.primary_key.unwrap().iter().map(|column| column.name)), ["id"]);
    }

    #[test]
    fn without_types_some_lists_are_empty() {
        let insert = change(
            r#"{"kind":"insert","table":"t","columnnames":["a","b"],"columnoptionals":[],"columnvalues":[1,2],"pk":{"pknames":["a"],"pktypes":[]}}"#,
        );
        assert_eq!((insert.table.schema, insert.columns[0].type_name, insert.columns[0].is_optional), (None, None, None));
        assert_eq!(names(insert.columns.iter().map(|column| column.name)), ["a", "b"]);
        assert_eq!(insert.primary_key.unwrap()[0].type_name, None);
    }

    #[test]
    fn digits_are_kept() {
        let digits = ["1e400", "0.1000", "-0", "123456789012345678901234567890123456789012345678901234567890.00"];
        let text = format!(r#"{{"kind":"insert","table":"t","columnnames":["a","b","c","d"],"columnvalues":[{}]}}"#, digits.join(","));
        assert_eq!(change(&text).columns.iter().map(|column| column.value.as_json()).collect::<Vec<_>>(), digits);
    }

    #[test]
    fn lists_that_do_not_fit_their_names_are_refused() {
        let lists = ["columntypes", "columntypeoids", "columnpositions", "columnoptionals", "columndefaults", "columnvalues"];
        let elements = [r#""text""#, "1", "1", "true", "null", "1"];
        for (changed, element) in lists.iter().zip(elements) {
            for (count, fits) in [(1, false), (2, true), (3, false)] {
                let list = vec![element; count].join(",");
                let values = if *changed == "columnvalues" { "" } else { r#","columnvalues":[1,2]"# };
                let text = format!(r#"{{"kind":"insert","table":"t","columnnames":["a","b"],"{changed}":[{list}]{values}}}"#);
                assert_eq!(Item::parse(&text).is_ok(), fits, "{text}");
            }
        }
    }

    #[test]
    fn anything_else_is_refused() {
        let items = [
            "",
            "null",
            "{}",
            r#"{"kind":"truncate","table":"t"}"#,
            r#"{"kind":"insert","table":"t"}"#,
            r#"{"kind":"insert","columnnames":[],"columnvalues":[]}"#,
            r#"{"kind":"insert","table":"t","columnnames":["a"]}"#,
            r#"{"kind":"insert","table":"t","table":"u","columnnames":[],"columnvalues":[]}"#,
            r#"{"kind":"insert","table":"t","columnnames":["a"],"columnvalues":[{}]}"#,
            r#"{"kind":"insert","table":1,"columnnames":[],"columnvalues":[]}"#,
            r#"{"kind":"delete","table":"t"}"#,
            r#"{"kind":"delete","table":"t","oldkeys":{"keynames":["a"],"keyvalues":[]}}"#,
            r#"{"kind":"insert","table":"t","columnnames":["a"],"columntypeoids":[4294967296],"columnvalues":[1]}"#,
            r#"{"kind":"message","transactional":true,"prefix":"p"}"#,
        ];
        for text in items {
            assert_eq!(Item::parse(text), Err(Malformed), "{text}");
        }
        for text in ["", "[]", "{}", r#"{"change":[,]}"#, r#"{"nextlsn":"x","change":[]}"#, r#"{"change":[{}]}"#, r#"{"change":[]} x"#] {
            assert_eq!(Transaction::parse(text), Err(Malformed), "{text}");
        }
    }
}
