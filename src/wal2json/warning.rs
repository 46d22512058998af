//! wal2json's warnings: a change that it leaves out leaves no other trace.

use crate::name::TableName;

/// The table whose updates and deletes are left out, if that is what a warning says. Format 1 does not tell its schema, and so neither do we:
/// it is empty then.
///
/// The names stand there as they are, so a table whose name has quotes and dots in it may be taken for another.
pub fn table_without_identity(warning: &str) -> Option<TableName> {
    let table = |schema: &str, table: &str| TableName { schema: schema.to_owned(), table: table.to_owned() };
    if let Some(rest) = warning.strip_prefix("table \"") {
        return rest.strip_suffix("\" without primary key or replica identity is nothing").map(|name| table("", name));
    }
    let rest = warning.strip_prefix("no tuple identifier for ")?;
    let (_, name) = rest.split_once(" in table \"")?;
    let (schema, name) = name.strip_suffix('"')?.split_once("\".\"")?;
    Some(table(schema, name))
}

/// What it means, and what to do.
pub fn advice(table: &TableName) -> String {
    let name = if table.schema.is_empty() { crate::name::quoted(&table.table) } else { table.to_string() };
    format!(
        "updates and deletes of {name} are left out, since nothing tells its rows apart: give it a primary key, or ALTER TABLE {name} REPLICA IDENTITY FULL"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_formats_warn_in_words_of_their_own() {
        let table = |text: &str| table_without_identity(text).map(|table| (table.schema, table.table));
        let named = |schema: &str, table: &str| Some((schema.to_owned(), table.to_owned()));
        assert_eq!(table("table \"np\" without primary key or replica identity is nothing"), named("", "np"));
        assert_eq!(table("no tuple identifier for UPDATE in table \"Shop\".\"a b\""), named("Shop", "a b"));
        assert_eq!(table("no tuple identifier for DELETE in table \"public\".\"np\""), named("public", "np"));
        assert_eq!(table("something else"), None);
    }

    #[test]
    fn the_advice_can_be_run() {
        let table = TableName { schema: String::from("Shop"), table: String::from("t") };
        assert!(advice(&table).ends_with(r#"ALTER TABLE "Shop"."t" REPLICA IDENTITY FULL"#));
    }
}
