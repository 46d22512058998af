//! Messages of `events`, and rows, for people: one change a line.

use std::borrow::Cow;
use std::fmt;

use console::{StyledObject, style};
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::name::TableName;

/// A message, so far as it is shown.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Shown<'a> {
    nextlsn: Option<String>,
    xid: Option<u32>,
    commit_time: Option<String>,
    part: Option<u32>,
    #[serde(borrow)]
    events: Option<Vec<Change<'a>>>,
    notice: Option<Notice>,
}

#[derive(Deserialize)]
struct Notice {
    message: String,
}

#[derive(Deserialize)]
struct Change<'a> {
    op: String,
    schema: Option<String>,
    table: Option<String>,
    #[serde(borrow)]
    key: Option<Row<'a>>,
    #[serde(borrow)]
    old: Option<Row<'a>>,
    #[serde(borrow)]
    new: Option<Row<'a>>,
    prefix: Option<String>,
    #[serde(borrow)]
    content: Option<&'a RawValue>,
}

/// Columns in their order, with values as they are written: every digit counts.
struct Row<'a>(Vec<(String, &'a RawValue)>);

/// Lines for a message; what is none is shown as it is.
pub(super) fn message(text: &str) -> String {
    match serde_json::from_str::<Shown<'_>>(text) {
        Ok(Shown { notice: Some(notice), .. }) => format!("{} {}\n", style("notice").yellow(), visible(&notice.message)),
        Ok(shown) if shown.events.is_some() => shown.to_string(),
        _ => format!("{}\n", visible(text)),
    }
}

/// What stands before each row of a table.
pub(super) fn row_of(table: &TableName) -> String {
    format!("{} {}", op("row"), visible(&plain(&table.schema, &table.table)))
}

/// A row, behind that.
pub(super) fn row(text: &str) -> String {
    serde_json::from_str::<Row<'_>>(text).map_or_else(|_| format!(" {}", visible(text)), |row| row.to_string())
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut heading = vec![];
        heading.extend(self.commit_time.clone());
        heading.extend(self.xid.map(|xid| format!("transaction {xid}")));
        heading.extend(
            self.part.filter(|part| *part > 0 || (self.nextlsn.is_none() && self.xid.is_some())).map(|part| format!("part {part}")),
        );
        heading.extend(self.nextlsn.clone());
        if heading.is_empty() {
            heading.push(String::from("outside of transactions"));
        }
        writeln!(formatter, "{}", style(visible(&heading.join("  "))).dim())?;
        self.events.iter().flatten().try_for_each(|change| writeln!(formatter, "{change}"))
    }
}

impl fmt::Display for Change<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", op(&self.op))?;
        if let (Some(schema), Some(table)) = (&self.schema, &self.table) {
            write!(formatter, " {}", visible(&plain(schema, table)))?;
        }
        if let Some(prefix) = &self.prefix {
            write!(formatter, " {}", visible(prefix))?;
        }
        if let Some(content) = self.content {
            write!(formatter, " {}", visible(content.get()))?;
        }
        match (self.key.as_ref().or(self.old.as_ref()), &self.new) {
            (Some(before), Some(new)) => write!(formatter, "{before} {}{new}", style("to").dim()),
            (row, new) => row.or(new.as_ref()).map_or(Ok(()), |row| row.fmt(formatter)),
        }
    }
}

impl fmt::Display for Row<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|(name, value)| {
            let name = style(format!("{}=", visible(name))).dim();
            write!(formatter, " {name}{}", visible(value.get()))
        })
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Row<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Columns;

        impl<'de> Visitor<'de> for Columns {
            type Value = Row<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a row")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Row<'de>, A::Error> {
                let mut columns = vec![];
                while let Some(column) = map.next_entry()? {
                    columns.push(column);
                }
                Ok(Row(columns))
            }
        }

        deserializer.deserialize_map(Columns)
    }
}

/// What happened, by its colour.
fn op(op: &str) -> StyledObject<String> {
    let padded = style(format!("{op:<8}"));
    match op {
        "insert" => padded.green(),
        "update" => padded.yellow(),
        "delete" | "truncate" => padded.red(),
        _ => padded.cyan(),
    }
}

/// A table's name, which people know without quotes.
fn plain(schema: &str, table: &str) -> String {
    if schema == "public" { table.to_owned() } else { format!("{schema}.{table}") }
}

/// Names and texts are whatever somebody wrote: none of it is to steer the terminal.
fn visible(text: &str) -> Cow<'_, str> {
    if !text.contains(char::is_control) {
        return Cow::Borrowed(text);
    }
    let letter = |letter: char| if letter.is_control() { letter.escape_default().to_string() } else { letter.to_string() };
    Cow::Owned(text.chars().map(letter).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transaction_has_a_heading_and_a_change_a_line() {
        let text = r#"{"nextlsn":"0/170FCB0","xid":741,"commitTime":"2026-11-23T17:57:57.21Z","part":0,"last":true,"events":[
            {"id":"1","op":"insert","schema":"public","table":"t","new":{"z":1.50,"a":"x\ny","j":{"b":[1, 2]}}},
            {"id":"2","op":"update","schema":"shop","table":"Line Items","key":{"id":3},"new":{"id":4,"n":null}},
            {"id":"3","op":"delete","schema":"public","table":"t","old":{"z":12345678901234567890.10}},
            {"id":"4","op":"truncate","schema":"public","table":"t"},
            {"id":"5","op":"message","prefix":"audit","content":"by \u001b[31mme","transactional":true}]}"#;
        let expected = "2026-11-23T17:57:57.21Z  transaction 741  0/170FCB0\n\
                        insert   t z=1.50 a=\"x\\ny\" j={\"b\":[1, 2]}\n\
                        update   shop.Line Items id=3 to id=4 n=null\n\
                        delete   t z=12345678901234567890.10\n\
                        truncate t\n\
                        message  audit \"by \\u001b[31mme\"\n";
        assert_eq!(message(text), expected);
    }

    #[test]
    fn what_is_no_transaction_is_shown_too() {
        let outside = r#"{"xid":null,"commitTime":null,"part":0,"last":true,"events":[{"op":"message","prefix":"p","content":"c"}]}"#;
        assert_eq!(message(outside), "outside of transactions\nmessage  p \"c\"\n");
        let part = r#"{"xid":7,"commitTime":"now","part":0,"last":false,"events":[]}"#;
        assert_eq!(message(part), "now  transaction 7  part 0\n");
        assert_eq!(message(r#"{"notice":{"code":"x","message":"give it a key"}}"#), "notice give it a key\n");
        assert_eq!(message("not JSON\u{1b}[2J\u{9b}"), "not JSON\\u{1b}[2J\\u{9b}\n");
    }

    #[test]
    fn a_row_is_shown_behind_its_table() {
        let table = TableName { schema: String::from("public"), table: String::from("a\u{7}") };
        assert_eq!(row_of(&table) + &row(r#"{"b":1,"a":"größe"}"#), "row      a\\u{7} b=1 a=\"größe\"");
        assert_eq!(row("broken"), " broken");
    }
}
