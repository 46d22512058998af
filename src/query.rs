//! A request becomes SQL text here and nowhere else. Every name in it comes from the catalogue and is quoted; every number is a number.

use crate::message::{OrderBy, SnapshotDataRequest};
use crate::name::{ColumnName, TableName, quoted};
use crate::row::{Column, Encoding};

/// A table as the catalogue has it under some snapshot.
#[derive(Debug)]
pub struct Table {
    /// Its identity, which a rename does not change.
    pub oid: u32,
    /// Its name, as the catalogue spells it.
    pub name: TableName,
    /// Its columns, in order.
    pub columns: Vec<TableColumn>,
    /// The columns of its primary key, else of the first unique index over columns that are never null; or none.
    pub key: Vec<String>,
    /// Whether the key does not tell all rows apart, and their places in the files do: without a key, and with heirs, which may repeat it.
    pub by_place: bool,
}

/// A column as the catalogue has it.
#[derive(Debug)]
pub struct TableColumn {
    /// Its name, as the catalogue spells it.
    pub name: String,
    /// How its values are written.
    pub encoding: Encoding,
}

/// SQL text that this module built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sql(String);

impl Sql {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Begins to read what an exported snapshot shows.
pub fn import_snapshot(name: &str) -> Sql {
    Sql(format!("SET TRANSACTION SNAPSHOT '{}'", name.replace('\'', "''")))
}

/// `order_by` names no column of the table.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{table} has no column {column}")]
pub struct NoSuchColumn {
    /// Which table.
    pub table: TableName,
    /// What was asked for.
    pub column: String,
}

impl Table {
    /// How the rows of [`Table::page`] are written.
    pub fn row(&self) -> Vec<Column> {
        self.columns.iter().map(|column| Column::new(&column.name, column.encoding.clone())).collect()
    }

    /// Takes the lock that a reader holds, on the table and on all it is made of, and reads nothing. Who holds it sees no TRUNCATE and no
    /// rewrite until the end of the transaction.
    pub fn lock(&self) -> Sql {
        Sql(format!("SELECT FROM {} LIMIT 0", self.name))
    }

    /// Reads a page of the table's rows, in the order of `order_by` and the key.
    pub fn page(&self, request: &SnapshotDataRequest) -> Result<Sql, NoSuchColumn> {
        let columns: Vec<String> = self.columns.iter().map(|column| quoted(&column.name)).collect();
        let is_part = request.offset > 0 || request.limit.is_some();
        let order = self.order(request.order_by.as_ref(), is_part && self.by_place)?;
        let limit = request.limit.map_or(String::new(), |limit| format!(" LIMIT {limit}"));
        Ok(Sql(format!("SELECT {} FROM {}{order} OFFSET {}{limit}", columns.join(", "), self.name, request.offset)))
    }

    fn order(&self, order_by: Option<&OrderBy>, by_place: bool) -> Result<String, NoSuchColumn> {
        let first = order_by.map(|order_by| self.column(&order_by.column)).transpose()?;
        let direction = match order_by {
            Some(order_by) if order_by.order.eq_ignore_ascii_case("desc") => "DESC",
            _ => "ASC",
        };
        let key = self.key.iter().map(String::as_str).filter(|name| Some(*name) != first);
        let named = first.into_iter().chain(key).map(quoted);
        // A place holds as long as the snapshot does: whatever moves rows is answered with 410.
        let places = ["tableoid", "ctid"].into_iter().filter(|_| by_place).map(String::from);
        let columns: Vec<String> = named.chain(places).map(|column| format!("{column} {direction}")).collect();
        Ok(if columns.is_empty() { String::new() } else { format!(" ORDER BY {}", columns.join(", ")) })
    }

    fn column(&self, asked: &str) -> Result<&str, NoSuchColumn> {
        let names = self.columns.iter().map(|column| column.name.as_str());
        let found = asked.parse::<ColumnName>().ok().and_then(|name| name.find(names));
        found.ok_or_else(|| NoSuchColumn { table: self.name.clone(), column: asked.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn table(columns: &[&str], key: &[&str]) -> Table {
        Table {
            oid: 1,
            name: TableName { schema: String::from("public"), table: String::from(r#"Odd "name; drop table x"#) },
            columns: columns.iter().map(|name| TableColumn { name: (*name).to_owned(), encoding: Encoding::Text }).collect(),
            key: key.iter().map(|name| (*name).to_owned()).collect(),
            by_place: key.is_empty(),
        }
    }

    fn request(limit: Option<u64>, order_by: Option<(&str, &str)>) -> SnapshotDataRequest {
        let order_by = order_by.map(|(column, order)| OrderBy { column: column.to_owned(), order: order.to_owned() });
        SnapshotDataRequest { slot_name: None, table: String::from("t"), offset: 3, limit, order_by }
    }

    fn page(table: &Table, limit: Option<u64>, order_by: Option<(&str, &str)>) -> String {
        table.page(&request(limit, order_by)).unwrap().as_str().replace(&table.name.to_string(), "T")
    }

    #[test]
    fn the_key_makes_pages_tile() {
        let table = table(&["id", "a", "b"], &["a", "b"]);
        assert_eq!(page(&table, Some(7), None), r#"SELECT "id", "a", "b" FROM T ORDER BY "a" ASC, "b" ASC OFFSET 3 LIMIT 7"#);
        assert_eq!(
            page(&table, None, Some(("id", "dEsC"))),
            r#"SELECT "id", "a", "b" FROM T ORDER BY "id" DESC, "a" DESC, "b" DESC OFFSET 3"#
        );
        assert_eq!(page(&table, None, Some(("B", "asc"))), r#"SELECT "id", "a", "b" FROM T ORDER BY "b" ASC, "a" ASC OFFSET 3"#);
    }

    #[test]
    fn without_a_key_and_without_columns() {
        assert_eq!(page(&table(&["a"], &[]), None, None), r#"SELECT "a" FROM T ORDER BY tableoid ASC, ctid ASC OFFSET 3"#);
        assert_eq!(page(&table(&[], &[]), None, None), "SELECT  FROM T ORDER BY tableoid ASC, ctid ASC OFFSET 3");
        let all = SnapshotDataRequest { offset: 0, ..request(None, None) };
        assert!(table(&["a"], &[]).page(&all).unwrap().as_str().ends_with(" OFFSET 0"), "the whole table is not sorted");
    }

    #[test]
    fn names_are_quoted() {
        assert_eq!(table(&[], &[]).lock().as_str(), r#"SELECT FROM "public"."Odd ""name; drop table x" LIMIT 0"#);
    }

    proptest! {
        #[test]
        fn a_column_that_is_not_there_is_refused_whatever_it_says(asked: String) {
            prop_assume!(!["id", "ID", "Id", "iD", "\"id\""].contains(&asked.as_str()));
            prop_assert!(table(&["id"], &[]).page(&request(None, Some((&asked, "ASC")))).is_err());
        }
    }
}
