//! Names of slots, tables and columns: read as SQL reads them, valid and quoted here only.

use std::fmt;
use std::str::FromStr;

/// Postgres' limit on a name, in bytes (`NAMEDATALEN` - 1). Longer names are truncated by it, and refused by us.
pub const MAX_NAME_BYTES: usize = 63;

/// A name that is not one, and what was expected instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidName {
    /// Not a slot name.
    #[error("not a slot name: expected 1 to 63 lower-case letters, digits and underscores")]
    Slot,
    /// Not an identifier as SQL knows it.
    #[error(
        "not a {what} name: expected {expected}, with names that are not lower-case letters, digits and underscores in double quotes, as in SQL"
    )]
    Identifier {
        /// `table` or `column`.
        what: &'static str,
        /// The shape that would have been right.
        expected: &'static str,
    },
}

/// The name of a replication slot. Its alphabet needs no quoting anywhere.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SlotName(String);

impl SlotName {
    /// A new name that is easy to say and to remember: `delta_<word><number>`. Names may clash; the caller tries again.
    pub fn generate() -> Self {
        let generated = names::Generator::with_naming(names::Name::Numbered).next().unwrap_or_default();
        let (words, number) = generated.rsplit_once('-').unwrap_or(("", "0"));
        let word = words.split_once('-').map_or("slot", |(_, noun)| noun);
        Self(format!("delta_{}{}", word.replace('-', "_"), number.trim_start_matches('0')))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for SlotName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let alphabet = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_');
        let valid = (1..=MAX_NAME_BYTES).contains(&text.len()) && text.bytes().all(alphabet);
        if valid { Ok(Self(text.to_owned())) } else { Err(InvalidName::Slot) }
    }
}

impl fmt::Display for SlotName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// A table as a request names it: `table` or `schema.table`, folded and unquoted as SQL does. Unqualified means `public`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TableName {
    /// The schema, as the catalogue spells it.
    pub schema: String,
    /// The table, as the catalogue spells it.
    pub table: String,
}

impl FromStr for TableName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const INVALID: InvalidName = InvalidName::Identifier { what: "table", expected: "table or schema.table" };
        let (first, rest) = identifier(text).ok_or(INVALID)?;
        if rest.is_empty() {
            return Ok(Self { schema: String::from("public"), table: first });
        }
        let (second, rest) = rest.strip_prefix('.').and_then(identifier).ok_or(INVALID)?;
        if rest.is_empty() { Ok(Self { schema: first, table: second }) } else { Err(INVALID) }
    }
}

impl fmt::Display for TableName {
    /// As SQL would need it: both parts quoted.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{}", quoted(&self.schema), quoted(&self.table))
    }
}

/// A column as a request names it.
///
/// Read as SQL reads it, and where no column has that name, as it stands: `createdAt` finds `createdat`, else `createdAt`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnName {
    folded: String,
    verbatim: String,
}

impl ColumnName {
    /// Which of `columns` is meant.
    pub fn find<'a>(&self, columns: impl Iterator<Item = &'a str> + Clone) -> Option<&'a str> {
        let mut named = columns.clone();
        named.find(|name| *name == self.folded).or_else(|| columns.into_iter().find(|name| *name == self.verbatim))
    }
}

impl FromStr for ColumnName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let folded = match identifier(text) {
            Some((name, "")) => name,
            _ if !text.is_empty() && text.len() <= MAX_NAME_BYTES => text.to_owned(),
            _ => return Err(InvalidName::Identifier { what: "column", expected: "one column" }),
        };
        Ok(Self { folded, verbatim: text.to_owned() })
    }
}

/// A name in double quotes, as SQL text needs it.
pub fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Reads one SQL identifier off the front: quoted and kept, or bare and folded to lower case. Returns what follows it, too.
pub fn identifier(text: &str) -> Option<(String, &str)> {
    let (name, rest) = match text.strip_prefix('"') {
        Some(quoted) => unquote(quoted)?,
        None => bare(text),
    };
    let valid = (1..=MAX_NAME_BYTES).contains(&name.len()) && !name.contains('\0');
    valid.then_some((name, rest))
}

fn unquote(text: &str) -> Option<(String, &str)> {
    let mut name = String::new();
    let mut rest = text;
    loop {
        let (part, after) = rest.split_once('"')?;
        name.push_str(part);
        let Some(escaped) = after.strip_prefix('"') else { return Some((name, after)) };
        name.push('"');
        rest = escaped;
    }
}

fn bare(text: &str) -> (String, &str) {
    // To Postgres, whatever is not ASCII is a letter.
    let starts = |first: char| first.is_ascii_alphabetic() || first == '_' || !first.is_ascii();
    let continues = |next: char| starts(next) || next.is_ascii_digit() || next == '$';
    let end = if text.starts_with(starts) { text.find(|next| !continues(next)).unwrap_or(text.len()) } else { 0 };
    let (name, rest) = text.split_at(end);
    // Only ASCII is folded, as Postgres does in a UTF-8 database.
    (name.to_ascii_lowercase(), rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn table(text: &str) -> Option<(String, String)> {
        text.parse::<TableName>().ok().map(|name| (name.schema, name.table))
    }

    fn pair(schema: &str, table: &str) -> Option<(String, String)> {
        Some((schema.to_owned(), table.to_owned()))
    }

    #[test]
    fn tables_are_read_as_sql_reads_them() {
        assert_eq!(table("Orders"), pair("public", "orders"));
        assert_eq!(table("Shop.Orders"), pair("shop", "orders"));
        assert_eq!(table(r#""Shop"."Order ""x"" .;""#), pair("Shop", r#"Order "x" .;"#));
        assert_eq!(table("größe"), pair("public", "größe"));
        assert_eq!(table("😀€.ÄA$1"), pair("😀€", "Äa$1"));
        for text in ["", ".", "a.", ".a", "a.b.c", "a b", "a;", "1a", "\"a", "\"\"", "a,b", "a--", "a\0", "\"a\0\"", &"x".repeat(64)] {
            assert_eq!(table(text), None, "{text:?}");
        }
    }

    #[test]
    fn columns_are_read_as_sql_reads_them_then_as_they_stand() {
        let column =
            |text: &str, columns: &[&'static str]| text.parse::<ColumnName>().unwrap().find(columns.iter().copied()).map(str::to_owned);
        assert_eq!(column("Id", &["Id", "id"]).as_deref(), Some("id"));
        assert_eq!(column("\"Id\"", &["id", "Id"]).as_deref(), Some("Id"));
        assert_eq!(column("createdAt", &["id", "createdAt"]).as_deref(), Some("createdAt"));
        assert_eq!(column("id; drop table x", &["id"]), None);
        assert_eq!(column("odd name", &["odd name"]).as_deref(), Some("odd name"));
    }

    #[test]
    fn slot_names_have_one_alphabet() {
        for text in ["a", "delta_face56", "0_", &"x".repeat(63)] {
            assert!(text.parse::<SlotName>().is_ok(), "{text:?}");
        }
        for text in ["", "A", "a-b", "a b", "ä", "a\"", &"x".repeat(64)] {
            assert!(text.parse::<SlotName>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn generated_names_are_valid() {
        for _ in 0..2_000 {
            let name = SlotName::generate();
            assert!(name.as_str().starts_with("delta_"));
            assert_eq!(name.as_str().parse(), Ok(name.clone()));
            assert!(name.as_str().ends_with(|last: char| last.is_ascii_digit()));
        }
    }

    proptest! {
        #[test]
        fn whatever_is_quoted_is_read_back(name in "[^\0]{1,15}") {
            let (read, rest) = identifier(&quoted(&name)).map(|(read, rest)| (read, rest.len())).unwrap();
            prop_assert_eq!((read, rest), (name, 0));
        }

        #[test]
        fn no_text_panics(text: String) {
            let _ = text.parse::<TableName>();
            let _ = text.parse::<ColumnName>();
            let _ = text.parse::<SlotName>();
        }
    }
}
