//! wal2json's format 1: one JSON text for a whole transaction, the columns of each change in parallel lists.
//!
//! Reads text that is JSON, after `mend`, and borrows from it. Members that it does not know are passed over.

use serde::de::Error;
use serde::{Deserialize, Deserializer};

use super::Malformed;
use super::change::{Change, Column, Context, KeyColumn, Kind, Message, Table, Text, TypeOid, Value, position};
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
        let members: TransactionMembers = serde_json::from_str(text).map_err(|_| Malformed)?;
        let context = Context { xid: members.xid, timestamp: members.timestamp, origin: members.origin };
        Ok(Self { context, commit_end: position(members.nextlsn)?, items: members.change })
    }
}

impl<'a> Item<'a> {
    /// Reads one element of a transaction's list.
    pub fn parse(text: &'a str) -> Result<Self, Malformed> {
        serde_json::from_str(text).map_err(|_| Malformed)
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

impl<'de: 'a, 'a> Deserialize<'de> for Item<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        ItemMembers::deserialize(deserializer)?.item().map_err(D::Error::custom)
    }
}

#[derive(Deserialize)]
struct TransactionMembers<'a> {
    xid: Option<u32>,
    nextlsn: Option<&'a str>,
    #[serde(borrow)]
    timestamp: Option<Text<'a>>,
    origin: Option<u32>,
    change: Vec<Item<'a>>,
}

/// All that any item has.
#[derive(Deserialize)]
struct ItemMembers<'a> {
    kind: ItemKind,
    #[serde(borrow)]
    schema: Option<Text<'a>>,
    table: Option<Text<'a>>,
    columnnames: Option<Vec<Text<'a>>>,
    columntypes: Option<Vec<Text<'a>>>,
    columntypeoids: Option<Vec<TypeOid>>,
    columnpositions: Option<Vec<i16>>,
    columnoptionals: Option<Vec<bool>>,
    columndefaults: Option<Vec<Value<'a>>>,
    columnvalues: Option<Vec<Value<'a>>>,
    oldkeys: Option<OldKeys<'a>>,
    pk: Option<PrimaryKey<'a>>,
    transactional: Option<bool>,
    prefix: Option<Text<'a>>,
    content: Option<Text<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum ItemKind {
    Insert,
    Update,
    Delete,
    Message,
}

#[derive(Deserialize)]
struct OldKeys<'a> {
    #[serde(borrow)]
    keynames: Vec<Text<'a>>,
    keytypes: Option<Vec<Text<'a>>>,
    keytypeoids: Option<Vec<TypeOid>>,
    keyvalues: Vec<Value<'a>>,
}

#[derive(Deserialize)]
struct PrimaryKey<'a> {
    #[serde(borrow)]
    pknames: Vec<Text<'a>>,
    pktypes: Option<Vec<Text<'a>>>,
}

impl<'a> ItemMembers<'a> {
    fn item(self) -> Result<Item<'a>, Malformed> {
        Ok(match self.kind {
            ItemKind::Insert => Item::Change(self.change(Kind::Insert)?),
            ItemKind::Update => Item::Change(self.change(Kind::Update)?),
            ItemKind::Delete => Item::Change(self.change(Kind::Delete)?),
            ItemKind::Message => Item::Message(Message::of(self.transactional, self.prefix, self.content)?),
        })
    }

    fn change(mut self, kind: Kind) -> Result<Change<'a>, Malformed> {
        let table = Table { schema: self.schema, name: self.table.ok_or(Malformed)? };
        let columns = self.columnnames.take().map(|names| self.columns(names)).transpose()?;
        let identity = self.oldkeys.take().map(OldKeys::columns).transpose()?;
        let primary_key = self.pk.take().map(PrimaryKey::columns).transpose()?;
        Change::of(kind, table, columns, identity, primary_key)
    }

    fn columns(&mut self, names: Vec<Text<'a>>) -> Result<Vec<Column<'a>>, Malformed> {
        let count = names.len();
        let mut types = list(self.columntypes.take(), count)?;
        let mut oids = list(self.columntypeoids.take(), count)?;
        let mut positions = list(self.columnpositions.take(), count)?;
        let mut optionals = list(self.columnoptionals.take().filter(|list| !list.is_empty()), count)?;
        let mut defaults = list(self.columndefaults.take(), count)?;
        let values = list(Some(self.columnvalues.take().ok_or(Malformed)?), count)?;
        let column = |(name, value)| Column {
            name,
            type_name: types.next(),
            type_oid: oids.next().map(|oid| oid.0),
            value,
            position: positions.next(),
            is_optional: optionals.next(),
            default: defaults.next(),
        };
        Ok(names.into_iter().zip(values).map(column).collect())
    }
}

impl<'a> OldKeys<'a> {
    fn columns(self) -> Result<Vec<Column<'a>>, Malformed> {
        let count = self.keynames.len();
        let mut types = list(self.keytypes, count)?;
        let mut oids = list(self.keytypeoids, count)?;
        let column = |(name, value)| Column {
            name,
            type_name: types.next(),
            type_oid: oids.next().map(|oid| oid.0),
            value,
            position: None,
            is_optional: None,
            default: None,
        };
        Ok(self.keynames.into_iter().zip(list(Some(self.keyvalues), count)?).map(column).collect())
    }
}

impl<'a> PrimaryKey<'a> {
    fn columns(self) -> Result<Vec<KeyColumn<'a>>, Malformed> {
        let mut types = list(self.pktypes.filter(|list| !list.is_empty()), self.pknames.len())?;
        let column = |name| KeyColumn { name, type_name: types.next(), type_oid: None };
        Ok(self.pknames.into_iter().map(column).collect())
    }
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
