//! Changes as wal2json tells of them, in either format, typed and borrowed from its text.
//!
//! Strings and values stay the JSON tokens that they were: what is only passed on is never unescaped, and no number is ever parsed, so that
//! every digit is kept.

use std::borrow::Cow;

use super::Malformed;
use super::json::Reader;

/// A JSON string as it stands in the text, with its quotes and escapes. Two are equal when what they say is: wal2json escapes in one way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Text<'a>(&'a str);

/// A JSON value as it stands in the text: a string, a number, a boolean or null.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Value<'a>(&'a str);

/// What happened to a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A new row.
    Insert,
    /// A row changed.
    Update,
    /// A row is gone.
    Delete,
}

/// A change of one row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change<'a> {
    /// What happened.
    pub kind: Kind,
    /// To a row of which table.
    pub table: Table<'a>,
    /// The row from now on, but for large values that did not change. Empty for a row that is gone.
    pub columns: Vec<Column<'a>>,
    /// What the row was known by: the columns of its replica identity, or all under `REPLICA IDENTITY FULL`. In format 1 without those that
    /// are null. None for a new row.
    pub identity: Option<Vec<Column<'a>>>,
    /// The table's primary key, with `include-pk`; empty (format 2) or none (format 1) for a table that has none.
    pub primary_key: Option<Vec<KeyColumn<'a>>>,
}

/// A table by its name. A partition is a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Table<'a> {
    /// None with `include-schemas` off.
    pub schema: Option<Text<'a>>,
    /// The table's own name.
    pub name: Text<'a>,
}

/// A column of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column<'a> {
    /// Its name.
    pub name: Text<'a>,
    /// Its type as SQL writes it, unless `include-types` is off.
    pub type_name: Option<Text<'a>>,
    /// Its type in `pg_type`, with `include-type-oids`.
    pub type_oid: Option<u32>,
    /// Its value. Null also stands for NaN and the infinities of numbers.
    pub value: Value<'a>,
    /// Its number in the table, with `include-column-positions`. Only of the row from now on.
    pub position: Option<i16>,
    /// Whether it may be null, with `include-not-null`. Only of the row from now on.
    pub is_optional: Option<bool>,
    /// The SQL text of its default, or null, with `include-default`. Only of the row from now on.
    pub default: Option<Value<'a>>,
}

/// A column of a primary key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyColumn<'a> {
    /// Its name.
    pub name: Text<'a>,
    /// Its type as SQL writes it, unless `include-types` is off.
    pub type_name: Option<Text<'a>>,
    /// Its type in `pg_type`, with `include-type-oids` in format 2.
    pub type_oid: Option<u32>,
}

/// What `pg_logical_emit_message` wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message<'a> {
    /// Whether it belongs to its transaction, or stands for itself.
    pub transactional: bool,
    /// Whom it is for.
    pub prefix: Text<'a>,
    /// Its text, up to the first NUL.
    pub content: Text<'a>,
}

/// What options add to a transaction (format 1) or to each record (format 2). All are none for a message outside of a transaction.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Context<'a> {
    /// The transaction's number, with `include-xids`.
    pub xid: Option<u32>,
    /// When it was committed, with `include-timestamp`.
    pub timestamp: Option<Text<'a>>,
    /// The replication origin it came from, with `include-origin`; 0 is this server.
    pub origin: Option<u32>,
}

impl<'a> Table<'a> {
    /// The table that a change of either format is about, which stands before all that is long. None does not mean that there is none.
    pub(super) fn in_front(text: &'a str) -> Option<Self> {
        let mut rest = text.strip_prefix('{')?;
        let mut schema = None;
        loop {
            let (key, after) = split_token(rest)?;
            let (value, after) = split_token(after.strip_prefix(':')?)?;
            match key {
                r#""schema""# => schema = Some(Value(value).as_text()?),
                r#""table""# => return Some(Self { schema, name: Value(value).as_text()? }),
                _ => {}
            }
            rest = after.strip_prefix(',')?;
        }
    }
}

/// A scalar at the front, and what follows.
fn split_token(text: &str) -> Option<(&str, &str)> {
    if text.starts_with(['{', '[']) {
        return None;
    }
    let is_string = text.starts_with('"');
    let mut escaped = false;
    let end = text.bytes().skip(1).position(|byte| {
        let ends = if is_string { byte == b'"' && !escaped } else { matches!(byte, b',' | b'}') };
        escaped = byte == b'\\' && !escaped;
        ends
    })?;
    text.split_at_checked(end + if is_string { 2 } else { 1 })
}

impl<'a> Text<'a> {
    pub(super) fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        Value::read(reader)?.as_text().ok_or(Malformed)
    }

    /// With quotes and escapes.
    pub fn as_json(self) -> &'a str {
        self.0
    }

    /// What it says. Borrowed if there is no escape in it. With half of a surrogate pair, which is no character and which wal2json never
    /// writes, as it stands between its quotes.
    pub fn decoded(self) -> Cow<'a, str> {
        let inner = self.0.get(1..self.0.len() - 1).unwrap_or_default();
        if !inner.contains('\\') {
            return Cow::Borrowed(inner);
        }
        serde_json::from_str(self.0).map_or(Cow::Borrowed(inner), Cow::Owned)
    }
}

impl<'a> Value<'a> {
    pub(super) fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        reader.scalar().map(Self)
    }

    /// As it stands.
    pub fn as_json(self) -> &'a str {
        self.0
    }

    /// The string, if it is one.
    pub fn as_text(self) -> Option<Text<'a>> {
        self.0.starts_with('"').then_some(Text(self.0))
    }
}

/// The number of a type. wal2json writes it as if it had a sign.
pub(super) fn type_oid(reader: &mut Reader<'_>) -> Result<u32, Malformed> {
    let written: i64 = reader.parsed()?;
    u32::try_from(written).or_else(|_| i32::try_from(written).map(i32::cast_unsigned)).map_err(|_| Malformed)
}

impl<'a> Change<'a> {
    /// A change has what its kind cannot do without.
    pub(super) fn of(
        kind: Kind,
        table: Table<'a>,
        columns: Option<Vec<Column<'a>>>,
        identity: Option<Vec<Column<'a>>>,
        primary_key: Option<Vec<KeyColumn<'a>>>,
    ) -> Result<Self, Malformed> {
        let complete = if kind == Kind::Delete { identity.is_some() } else { columns.is_some() };
        if complete { Ok(Self { kind, table, columns: columns.unwrap_or_default(), identity, primary_key }) } else { Err(Malformed) }
    }
}

impl<'a> Message<'a> {
    pub(super) fn of(transactional: Option<bool>, prefix: Option<Text<'a>>, content: Option<Text<'a>>) -> Result<Self, Malformed> {
        match (transactional, prefix, content) {
            (Some(transactional), Some(prefix), Some(content)) => Ok(Self { transactional, prefix, content }),
            _ => Err(Malformed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::json::read;
    use super::*;

    fn text(json: &str) -> Text<'_> {
        read(json, Text::read).unwrap()
    }

    #[test]
    fn texts_stay_tokens_and_say_what_they_say() {
        for (json, says) in [(r#""""#, ""), (r#""a é""#, "a é"), (r#""\"\\\n\u0001\u007f""#, "\"\\\n\u{1}\u{7f}")] {
            assert_eq!((text(json).as_json(), text(json).decoded().as_ref()), (json, says));
        }
        assert!(matches!(text(r#""a""#).decoded(), Cow::Borrowed("a")));
    }

    /// It is valid JSON, and no character.
    #[test]
    fn half_of_a_surrogate_pair_is_not_lost() {
        assert_eq!(text(r#""a\ud800""#).decoded(), r"a\ud800");
    }

    #[test]
    fn values_are_scalars() {
        for json in ["null", "true", "1e400", "0.1000", r#""{}""#] {
            let value = read(json, Value::read).unwrap();
            assert_eq!((value.as_json(), value.as_text().is_some()), (json, json.starts_with('"')));
        }
        for json in ["[]", "{}", "01", "nan", ""] {
            assert!(read(json, Value::read).is_err());
        }
    }

    #[test]
    fn numbers_of_types_come_with_a_sign() {
        for (written, oid) in
            [("23", Some(23)), ("-1294967296", Some(3_000_000_000)), ("4294967295", Some(u32::MAX)), ("-2147483649", None)]
        {
            assert_eq!(read(written, type_oid).ok(), oid);
        }
    }
}
