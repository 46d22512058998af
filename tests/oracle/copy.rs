//! What a client keeps: the rows of each table as it was told of them.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::plan::Format;

/// A row: its columns' values.
pub type Row = Map<String, Value>;

/// A change, whatever format it came in.
#[derive(Debug, Clone)]
pub enum Change {
    Insert {
        table: String,
        row: Row,
    },
    /// Before: what tells the row apart, or all of it; none where that has not changed. After: those columns that were sent.
    Update {
        table: String,
        before: Option<Row>,
        after: Row,
    },
    Delete {
        table: String,
        before: Row,
    },
    Truncate {
        table: String,
    },
    Message {
        content: String,
    },
}

impl Change {
    /// Reads a change of a format; none if it is only the edge of a transaction.
    pub fn read(format: Format, change: &Value) -> Option<Self> {
        match format {
            Format::Transactions => Some(Self::of_transactions(change)),
            Format::Records => Self::of_records(change),
            Format::Events | Format::ServerSentEvents => Some(Self::of_events(change)),
        }
    }

    fn of_transactions(change: &Value) -> Self {
        let table = || text(&change["table"]);
        let pairs = |names: &Value, values: &Value| -> Row {
            let names = names.as_array().unwrap().iter().map(text);
            names.zip(values.as_array().unwrap().iter().cloned()).collect()
        };
        let after = || pairs(&change["columnnames"], &change["columnvalues"]);
        let before = || pairs(&change["oldkeys"]["keynames"], &change["oldkeys"]["keyvalues"]);
        match change["kind"].as_str().unwrap() {
            "insert" => Self::Insert { table: table(), row: after() },
            "update" => Self::Update { table: table(), before: Some(before()), after: after() },
            "delete" => Self::Delete { table: table(), before: before() },
            "message" => Self::Message { content: text(&change["content"]) },
            other => panic!("{other}: {change}"),
        }
    }

    fn of_records(record: &Value) -> Option<Self> {
        let table = || text(&record["table"]);
        let columns = |columns: &Value| -> Row {
            columns.as_array().unwrap().iter().map(|column| (text(&column["name"]), column["value"].clone())).collect()
        };
        Some(match record["action"].as_str().unwrap() {
            "B" | "C" => return None,
            "I" => Self::Insert { table: table(), row: columns(&record["columns"]) },
            "U" => Self::Update { table: table(), before: Some(columns(&record["identity"])), after: columns(&record["columns"]) },
            "D" => Self::Delete { table: table(), before: columns(&record["identity"]) },
            "T" => Self::Truncate { table: table() },
            "M" => Self::Message { content: text(&record["content"]) },
            other => panic!("{other}: {record}"),
        })
    }

    fn of_events(event: &Value) -> Self {
        let table = || text(&event["table"]);
        let row = |member: &str| event[member].as_object().cloned();
        let before = || row("old").or_else(|| row("key"));
        match event["op"].as_str().unwrap() {
            "insert" => Self::Insert { table: table(), row: row("new").unwrap() },
            "update" => Self::Update { table: table(), before: before(), after: row("new").unwrap() },
            "delete" => Self::Delete { table: table(), before: before().unwrap() },
            "truncate" => Self::Truncate { table: table() },
            "message" => Self::Message { content: text(&event["content"]) },
            other => panic!("{other}: {event}"),
        }
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

/// The tables of one client, each with what tells its rows apart: by that each row, and how many there are of it.
#[derive(Debug, Clone, Default)]
pub struct Copy {
    tables: BTreeMap<String, Rows>,
}

#[derive(Debug, Clone)]
struct Rows {
    key: &'static [&'static str],
    rows: BTreeMap<String, (Row, usize)>,
}

impl Copy {
    pub fn new(tables: impl IntoIterator<Item = (String, &'static [&'static str])>) -> Self {
        Self { tables: tables.into_iter().map(|(table, key)| (table, Rows { key, rows: BTreeMap::new() })).collect() }
    }

    /// Takes a row over. Twice the same would be a repetition.
    pub fn insert(&mut self, table: &str, row: Row) -> Result<(), String> {
        let Rows { key, rows } = self.rows(table)?;
        let there = rows.entry(identity(&row, key)).or_insert((row, 0));
        there.1 += 1;
        if !key.is_empty() && there.1 > 1 {
            return Err(format!("{table}: there is {:?} already", there.0));
        }
        Ok(())
    }

    fn remove(&mut self, table: &str, before: &Row) -> Result<Row, String> {
        let Rows { key, rows } = self.rows(table)?;
        let name = identity(before, key);
        let there = rows.get_mut(&name).ok_or_else(|| format!("{table}: there is no {before:?}"))?;
        there.1 -= 1;
        let row = there.0.clone();
        if there.1 == 0 {
            rows.remove(&name);
        }
        Ok(row)
    }

    fn rows(&mut self, table: &str) -> Result<&mut Rows, String> {
        self.tables.get_mut(table).ok_or_else(|| format!("{table} is none of this stream"))
    }

    pub fn apply(&mut self, change: Change) -> Result<(), String> {
        match change {
            Change::Insert { table, row } => self.insert(&table, row),
            Change::Delete { table, before } => self.remove(&table, &before).map(drop),
            Change::Update { table, before, after } => {
                let mut row = self.remove(&table, before.as_ref().unwrap_or(&after))?;
                row.extend(after);
                self.insert(&table, row)
            }
            // Of a partitioned table, it is told of the whole and of each part.
            Change::Truncate { table } if self.tables.keys().any(|leaf| leaf.starts_with(&format!("{table}_"))) => Ok(()),
            Change::Truncate { table } => {
                self.rows(&table)?.rows.clear();
                Ok(())
            }
            Change::Message { .. } => Ok(()),
        }
    }

    /// The rows of each table, for Postgres to judge.
    pub fn tables(&self) -> impl Iterator<Item = (&str, Value)> {
        self.tables.iter().map(|(table, rows)| {
            let all = rows.rows.values().flat_map(|(row, count)| std::iter::repeat_n(Value::Object(row.clone()), *count));
            (table.as_str(), all.collect())
        })
    }
}

/// Format 1 leaves NULLs out of old rows.
fn identity(row: &Row, key: &[&str]) -> String {
    if key.is_empty() {
        let known: BTreeMap<&String, &Value> = row.iter().filter(|(_, value)| !value.is_null()).collect();
        return format!("{known:?}");
    }
    key.iter().map(|column| row[*column].to_string()).collect::<Vec<_>>().join(" ")
}
