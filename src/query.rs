//! A request becomes SQL text here and nowhere else. Every name in it comes from the catalogue and is quoted; every number is a number.

use crate::message::{Fault, KeyValues, SnapshotDataRequest, pointer};
use crate::name::{ColumnName, TableName, quoted};
use crate::row::{Column, Encoding, Numbers, reading};

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
    /// Its type, or what that is a domain over, as SQL.
    pub sql_type: String,
    /// Whether it is never null.
    pub not_null: bool,
    /// The schema that the type's operators are in, if they are not Postgres' own.
    pub operators: Option<String>,
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

/// Rows that cannot be asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoSuchRows {
    /// A column that the table has not.
    #[error("{table} has no column {column}")]
    Column {
        /// Which table.
        table: TableName,
        /// What was asked for.
        column: String,
    },
    /// `after` and `until` need a key.
    #[error("{0} has no key that tells its rows apart (a primary key, or a unique index over columns that are never null): page by offset")]
    NoKey(TableName),
    /// What is said of a place in the order does not say it.
    #[error("{}", .0.iter().map(|fault| format!("{}: {}", fault.pointer, fault.message)).collect::<Vec<_>>().join("; "))]
    Place(Vec<Fault>),
}

/// Some rows of a table, in some order.
#[derive(Debug)]
pub struct Selection {
    /// How they are written.
    pub row: Vec<Column>,
    /// How numbers are.
    pub numbers: Numbers,
    /// How many there may be.
    pub limit: Option<u64>,
    /// To be run first: lets operators of types of extensions be found, and fails if a value of `after` or `until` is none of its column's type.
    pub check: Option<Sql>,
    /// To be read one after the other, until there are enough. More than one where an index can serve each, and not both.
    parts: Vec<Part>,
    columns: String,
    /// A table, or a sample of one.
    source: String,
    offset: u64,
}

/// Rows for which a condition holds, in an order.
#[derive(Debug, Default)]
struct Part {
    conditions: Vec<String>,
    order: Vec<String>,
}

/// One statement of a selection, but for how many rows it may have.
pub struct Statement<'a> {
    selection: &'a Selection,
    part: &'a Part,
}

impl Selection {
    /// The statements, each to be given what the ones before have left of the limit.
    pub fn statements(&self) -> impl Iterator<Item = Statement<'_>> {
        self.parts.iter().map(|part| Statement { selection: self, part })
    }
}

impl Statement<'_> {
    /// Its text.
    pub fn limited(&self, limit: Option<u64>) -> Sql {
        let Selection { columns, source, offset, .. } = self.selection;
        let conditions = clause(" WHERE ", &self.part.conditions, " AND ");
        let order = clause(" ORDER BY ", &self.part.order, ", ");
        let limit = limit.map_or(String::new(), |limit| format!(" LIMIT {limit}"));
        Sql(format!("COPY (SELECT {columns} FROM {source}{conditions}{order} OFFSET {offset}{limit}) TO STDOUT"))
    }
}

fn clause(word: &str, items: &[String], separator: &str) -> String {
    if items.is_empty() { String::new() } else { format!("{word}{}", items.join(separator)) }
}

/// Which way an order goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    Ascending,
    Descending,
}

impl Direction {
    fn word(self) -> &'static str {
        if self == Self::Ascending { "ASC" } else { "DESC" }
    }

    fn behind(self) -> &'static str {
        if self == Self::Ascending { ">" } else { "<" }
    }
}

impl Table {
    /// Takes the lock that a reader holds, on the table and on all it is made of, and reads nothing. Who holds it sees no TRUNCATE and no
    /// rewrite until the end of the transaction.
    pub fn lock(&self) -> Sql {
        Sql(format!("SELECT FROM {} LIMIT 0", self.name))
    }

    /// Selects rows, in the order of `order_by` and the key; in that of the file if all are wanted, and `in_any_order` will do.
    pub fn select(&self, request: &SnapshotDataRequest, in_any_order: bool) -> Result<Selection, NoSuchRows> {
        let chosen = match &request.columns {
            None => self.columns.iter().collect(),
            Some(names) => names.iter().map(|name| self.column(name)).collect::<Result<Vec<_>, _>>()?,
        };
        let first = request.order_by.as_ref().map(|order_by| self.column(&order_by.column)).transpose()?;
        let direction = match &request.order_by {
            Some(order_by) if order_by.order.eq_ignore_ascii_case("desc") => Direction::Descending,
            _ => Direction::Ascending,
        };
        let is_part = request.offset > 0 || request.limit.is_some();
        let (parts, check) = if request.after.is_some() || request.until.is_some() {
            let (parts, check) = self.between(request, first, direction)?;
            (parts, Some(check))
        } else if in_any_order && !is_part && first.is_none() {
            (vec![Part::default()], None)
        } else {
            // A place holds as long as the snapshot does: whatever moves rows is answered with 410.
            let places = if is_part && self.by_place { vec![String::from("tableoid"), String::from("ctid")] } else { vec![] };
            let named = self.order(first).into_iter().map(|column| quoted(&column.name));
            (vec![Part { conditions: vec![], order: directed(named.chain(places), direction) }], None)
        };
        let numbers = if request.numbers.is_some() { Numbers::Strings } else { Numbers::Bare };
        let source = if request.only { format!("ONLY {}", self.name) } else { self.name.to_string() };
        Ok(Selection { numbers, limit: request.limit, check, offset: request.offset, source, ..self.rows(&chosen, parts) })
    }

    /// All rows of these parts, with these columns.
    fn rows(&self, columns: &[&TableColumn], parts: Vec<Part>) -> Selection {
        Selection {
            row: columns.iter().map(|column| Column::new(&column.name, column.encoding.clone())).collect(),
            numbers: Numbers::Bare,
            limit: None,
            check: None,
            parts,
            columns: columns.iter().map(|column| quoted(&column.name)).collect::<Vec<_>>().join(", "),
            source: self.name.to_string(),
            offset: 0,
        }
    }

    /// Whether there are places in its order to go on after.
    pub fn has_key(&self) -> bool {
        !self.key.is_empty() && !self.by_place
    }

    /// Selects the keys of some rows, in their order: of so many thousandths of a percent of the table's blocks, the same each time.
    pub fn sample(&self, share: i64) -> Selection {
        let key = self.order(None);
        let order = directed(key.iter().map(|column| quoted(&column.name)), Direction::Ascending);
        let source = format!("{} TABLESAMPLE SYSTEM ({share} / 1000.0) REPEATABLE (0)", self.name);
        Selection { source, ..self.rows(&key, vec![Part { conditions: vec![], order }]) }
    }

    /// `order_by`'s column, if there is one, and the key.
    fn order<'a>(&'a self, first: Option<&'a TableColumn>) -> Vec<&'a TableColumn> {
        let key = self.key.iter().filter_map(|name| self.columns.iter().find(|column| column.name == *name));
        let is_other = |column: &&TableColumn| first.is_none_or(|first| first.name != column.name);
        first.into_iter().chain(key.filter(is_other)).collect()
    }

    /// The rows behind one place, up to another. Comparing whole rows is what an index over the same columns can do.
    fn between(
        &self,
        request: &SnapshotDataRequest,
        first: Option<&TableColumn>,
        direction: Direction,
    ) -> Result<(Vec<Part>, Sql), NoSuchRows> {
        if !self.has_key() {
            return Err(NoSuchRows::NoKey(self.name.clone()));
        }
        let columns = self.order(first);
        let mut faults = vec![];
        let mut place = |member: &str, values: Option<&KeyValues>| {
            let found = literals(member, &columns, values?);
            found.map_err(|found| faults.extend(found)).ok()
        };
        let (after, until) = (place("after", request.after.as_ref()), place("until", request.until.as_ref()));
        if !faults.is_empty() {
            return Err(NoSuchRows::Place(faults));
        }
        // What compares values of a type is found by its name, and must be what orders them.
        let operators = columns.iter().filter_map(|column| column.operators.as_deref()).map(quoted);
        let path = std::iter::once(String::from("pg_catalog")).chain(operators).collect::<Vec<_>>().join(", ");
        let set_path = format!("set_config('search_path', {}, true)", literal(&path));
        let check = std::iter::once(set_path).chain(after.iter().chain(&until).flatten().flatten().cloned()).collect::<Vec<_>>().join(", ");
        let names: Vec<String> = columns.iter().map(|column| quoted(&column.name)).collect();
        let until: Vec<String> = until.map(|until| compared(&names, "<=", &until)).into_iter().collect();
        let part = |condition: Option<String>| Part {
            conditions: condition.into_iter().chain(until.clone()).collect(),
            order: directed(names.iter().cloned(), direction),
        };
        let (head, tail) = names.split_first().map_or(("", &[][..]), |(head, tail)| (head.as_str(), tail));
        let may_be_null = columns.first().is_some_and(|column| !column.not_null);
        let parts = match after {
            None => vec![part(None)],
            Some(after) if !may_be_null => vec![part(Some(compared(&names, direction.behind(), &after)))],
            // NULL is greater than everything else.
            Some(after) => {
                let in_null = |rest: &[Option<String>]| format!("{head} IS NULL AND {}", compared(tail, direction.behind(), rest));
                let conditions = match (after.split_first(), direction) {
                    (Some((None, rest)), Direction::Ascending) => vec![in_null(rest)],
                    (Some((None, rest)), Direction::Descending) => vec![in_null(rest), format!("{head} IS NOT NULL")],
                    (_, Direction::Ascending) => vec![compared(&names, ">", &after), format!("{head} IS NULL")],
                    (_, Direction::Descending) => vec![compared(&names, "<", &after)],
                };
                conditions.into_iter().map(|condition| part(Some(condition))).collect()
            }
        };
        Ok((parts, Sql(format!("SELECT {check}"))))
    }

    fn column(&self, asked: &str) -> Result<&TableColumn, NoSuchRows> {
        let names = self.columns.iter().map(|column| column.name.as_str());
        let found = asked.parse::<ColumnName>().ok().and_then(|name| name.find(names));
        let column = found.and_then(|name| self.columns.iter().find(|column| column.name == name));
        column.ok_or_else(|| NoSuchRows::Column { table: self.name.clone(), column: asked.to_owned() })
    }
}

fn directed(columns: impl Iterator<Item = String>, direction: Direction) -> Vec<String> {
    columns.map(|column| format!("{column} {}", direction.word())).collect()
}

/// `("a", "b") > (1, 2)`
fn compared(names: &[String], operator: &str, literals: &[Option<String>]) -> String {
    let literals: Vec<&str> = literals.iter().map(|literal| literal.as_deref().unwrap_or("NULL")).collect();
    if names.is_empty() { String::from("false") } else { format!("({}) {operator} ({})", names.join(", "), literals.join(", ")) }
}

/// The values of a place in the order, as SQL; none for NULL. Each fault has its own pointer.
fn literals(member: &str, columns: &[&TableColumn], values: &KeyValues) -> Result<Vec<Option<String>>, Vec<Fault>> {
    let fault = |name: &str, message: String| Fault { pointer: format!("/{member}{}", pointer(name)), message };
    let expected = || columns.iter().map(|column| column.name.as_str()).collect::<Vec<_>>().join(", ");
    let is_expected = |name: &&String| columns.iter().any(|column| column.name == **name);
    let unknown = values.0.keys().filter(|name| !is_expected(name));
    let mut faults: Vec<Fault> = unknown.map(|name| fault(name, format!("is no column of the order: expected {}", expected()))).collect();
    let mut literals = vec![];
    for column in columns {
        match values.0.get(&column.name).map(|json| column.literal(json)) {
            None => faults.push(fault(&column.name, format!("is missing: expected {}", expected()))),
            Some(Err(message)) => faults.push(fault(&column.name, message)),
            Some(Ok(literal)) => literals.push(literal),
        }
    }
    if faults.is_empty() { Ok(literals) } else { Err(faults) }
}

impl TableColumn {
    /// A value of this column, as SQL; none for NULL.
    fn literal(&self, json: &str) -> Result<Option<String>, String> {
        let is_json = self.encoding == Encoding::Json;
        let text = match reading::read_value(&self.encoding, json).map_err(|mismatch| mismatch.to_string())? {
            None if is_json && self.not_null => String::from("null"),
            None if is_json => {
                return Err(String::from("null may be that of SQL or that of JSON, and nobody can tell: order by another column"));
            }
            None if self.not_null => return Err(String::from("expected a value, since this column is never null")),
            None => return Ok(None),
            Some(text) => text,
        };
        Ok(Some(format!("{}::{}", literal(&text), self.sql_type)))
    }
}

/// So written, a text means the same whatever `standard_conforming_strings` says.
fn literal(text: &str) -> String {
    format!("E'{}'", text.replace('\\', r"\\").replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::OrderBy;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn table(columns: &[&str], key: &[&str]) -> Table {
        let column = |name: &&str| TableColumn {
            name: (*name).to_owned(),
            encoding: if name.len() == 1 { Encoding::Number } else { Encoding::Text },
            sql_type: String::from(if name.len() == 1 { "integer" } else { "text" }),
            not_null: key.contains(name),
            operators: None,
        };
        Table {
            oid: 1,
            name: TableName { schema: String::from("public"), table: String::from(r#"Odd "name; drop table x"#) },
            columns: columns.iter().map(column).collect(),
            key: key.iter().map(|name| (*name).to_owned()).collect(),
            by_place: key.is_empty(),
        }
    }

    fn all() -> SnapshotDataRequest {
        serde_json::from_value(json!({"table": "t"})).unwrap()
    }

    fn request(limit: Option<u64>, order_by: Option<(&str, &str)>) -> SnapshotDataRequest {
        let order_by = order_by.map(|(column, order)| OrderBy { column: column.to_owned(), order: order.to_owned() });
        SnapshotDataRequest { offset: 3, limit, order_by, ..all() }
    }

    fn behind(order_by: Option<(&str, &str)>, after: Value) -> SnapshotDataRequest {
        let after = serde_json::from_str(&after.to_string()).unwrap();
        SnapshotDataRequest { offset: 0, after: Some(after), ..request(Some(5), order_by) }
    }

    /// What is read, without the words that are always there.
    fn read(table: &Table, request: &SnapshotDataRequest) -> Vec<String> {
        let selection = table.select(request, false).unwrap();
        let short = |text: &str| {
            let text = text.replace(&table.name.to_string(), "T");
            text.strip_prefix("COPY (SELECT ").and_then(|text| text.strip_suffix(") TO STDOUT")).unwrap().to_owned()
        };
        selection.statements().map(|statement| short(statement.limited(selection.limit).as_str())).collect()
    }

    #[test]
    fn the_key_makes_pages_tile() {
        let table = table(&["id", "a", "b"], &["a", "b"]);
        assert_eq!(read(&table, &request(Some(7), None)), [r#""id", "a", "b" FROM T ORDER BY "a" ASC, "b" ASC OFFSET 3 LIMIT 7"#]);
        assert_eq!(
            read(&table, &request(None, Some(("id", "dEsC")))),
            [r#""id", "a", "b" FROM T ORDER BY "id" DESC, "a" DESC, "b" DESC OFFSET 3"#]
        );
        assert_eq!(read(&table, &request(None, Some(("B", "asc")))), [r#""id", "a", "b" FROM T ORDER BY "b" ASC, "a" ASC OFFSET 3"#]);
    }

    #[test]
    fn without_a_key_and_without_columns() {
        assert_eq!(read(&table(&["a"], &[]), &request(None, None)), [r#""a" FROM T ORDER BY tableoid ASC, ctid ASC OFFSET 3"#]);
        assert_eq!(read(&table(&[], &[]), &request(None, None)), [" FROM T ORDER BY tableoid ASC, ctid ASC OFFSET 3"]);
        assert_eq!(read(&table(&["a"], &[]), &all()), [r#""a" FROM T OFFSET 0"#], "the whole table is not sorted");
    }

    #[test]
    fn all_rows_in_any_order_are_not_sorted() {
        let table = table(&["a"], &["a"]);
        let text = |request: &SnapshotDataRequest| {
            let selection = table.select(request, true).unwrap();
            let sql = selection.statements().next().unwrap().limited(request.limit);
            sql.as_str().to_owned()
        };
        assert!(!text(&all()).contains("ORDER"));
        let after = SnapshotDataRequest { limit: None, ..behind(None, json!({"a": 1})) };
        for request in [request(None, None), SnapshotDataRequest { limit: Some(1), ..all() }, after] {
            assert!(text(&request).contains("ORDER BY"), "{request:?}");
        }
    }

    #[test]
    fn what_is_behind_a_row_is_compared_as_a_whole() {
        let table = table(&["a", "bb", "c"], &["a", "bb"]);
        let after = json!({"a": 1, "bb": "it's \\ \n"});
        assert_eq!(
            read(&table, &behind(None, after)),
            [
                "\"a\", \"bb\", \"c\" FROM T WHERE (\"a\", \"bb\") > (E'1'::integer, E'it''s \\\\ \n'::text) ORDER BY \"a\" ASC, \"bb\" ASC OFFSET 0 LIMIT 5"
            ]
        );
        let until = KeyValues([("a", "2"), ("bb", "\"x\"")].map(|(name, json)| (name.to_owned(), json.to_owned())).into());
        let both =
            SnapshotDataRequest { until: Some(until), columns: Some(vec![String::from("C")]), ..behind(None, json!({"a": 1, "bb": "w"})) };
        assert_eq!(
            read(&table, &both),
            [
                r#""c" FROM T WHERE ("a", "bb") > (E'1'::integer, E'w'::text) AND ("a", "bb") <= (E'2'::integer, E'x'::text) ORDER BY "a" ASC, "bb" ASC OFFSET 0 LIMIT 5"#
            ]
        );
    }

    #[test]
    fn nulls_are_greater_than_everything_else() {
        let table = table(&["k", "c"], &["k"]);
        let conditions = |order: &str, c: Value| {
            let read = read(&table, &behind(Some(("c", order)), json!({"c": c, "k": 7})));
            read.into_iter()
                .map(|sql| sql.split(" WHERE ").nth(1).unwrap().split(" OFFSET").next().unwrap().replace("::integer", ""))
                .collect::<Vec<_>>()
        };
        assert_eq!(
            conditions("asc", json!(1)),
            [r#"("c", "k") > (E'1', E'7') ORDER BY "c" ASC, "k" ASC"#, r#""c" IS NULL ORDER BY "c" ASC, "k" ASC"#]
        );
        assert_eq!(conditions("asc", json!(null)), [r#""c" IS NULL AND ("k") > (E'7') ORDER BY "c" ASC, "k" ASC"#]);
        assert_eq!(conditions("desc", json!(1)), [r#"("c", "k") < (E'1', E'7') ORDER BY "c" DESC, "k" DESC"#]);
        assert_eq!(
            conditions("desc", json!(null)),
            [r#""c" IS NULL AND ("k") < (E'7') ORDER BY "c" DESC, "k" DESC"#, r#""c" IS NOT NULL ORDER BY "c" DESC, "k" DESC"#]
        );
    }

    #[test]
    fn a_place_says_exactly_the_columns_of_the_order() {
        let table = table(&["a", "b", "c"], &["a", "b"]);
        let faults = |after: Value| match table.select(&behind(None, after), false) {
            Err(NoSuchRows::Place(faults)) => faults.into_iter().map(|fault| fault.pointer).collect::<Vec<_>>(),
            other => panic!("{other:?}"),
        };
        assert_eq!(faults(json!({"a": 1})), ["/after/b"]);
        assert_eq!(faults(json!({"a": 1, "b": 2, "c": 3, "d/e": 4})), ["/after/c", "/after/d~1e"]);
        assert_eq!(faults(json!({"a": null, "b": true})), ["/after/a", "/after/b"]);
        let without = table_without_key();
        assert!(matches!(without.select(&behind(None, json!({"a": 1})), false), Err(NoSuchRows::NoKey(_))));
    }

    fn table_without_key() -> Table {
        table(&["a"], &[])
    }

    #[test]
    fn names_are_quoted() {
        assert_eq!(table(&[], &[]).lock().as_str(), r#"SELECT FROM "public"."Odd ""name; drop table x" LIMIT 0"#);
    }

    proptest! {
        #[test]
        fn a_column_that_is_not_there_is_refused_whatever_it_says(asked: String) {
            prop_assume!(!["id", "ID", "Id", "iD", "\"id\""].contains(&asked.as_str()));
            prop_assert!(table(&["id"], &[]).select(&request(None, Some((&asked, "ASC"))), false).is_err());
            let request = SnapshotDataRequest { columns: Some(vec![asked]), ..all() };
            prop_assert!(table(&["id"], &[]).select(&request, false).is_err());
        }

        #[test]
        fn a_literal_ends_where_it_should(text in "[^\0]*") {
            let column = TableColumn { name: String::new(), encoding: Encoding::Text, sql_type: String::from("text"), not_null: true, operators: None };
            let literal = column.literal(&serde_json::to_string(&text).unwrap()).unwrap().unwrap();
            let inner = literal.strip_prefix("E'").unwrap().strip_suffix("'::text").unwrap();
            let mut letters = inner.chars();
            let mut read = String::new();
            while let Some(letter) = letters.next() {
                if matches!(letter, '\'' | '\\') {
                    prop_assert_eq!(letters.next(), Some(letter));
                }
                read.push(letter);
            }
            prop_assert_eq!(read, text);
        }
    }
}
