//! What is known of tables, by their names as they stand in wal2json's text.

use std::collections::HashMap;

use crate::name::TableName;
use crate::row::write_string;
use crate::wal2json::change::{Table, Text};

/// How many tables are remembered. Beyond that all are forgotten, and those that are met again are asked for again.
pub(super) const MOST: usize = 10_000;

/// Something of each table.
#[derive(Debug)]
pub(super) struct Tables<T> {
    /// By schema and table, as two JSON strings one after the other.
    known: HashMap<String, T>,
    /// Kept from one question to the next, so that none costs an allocation.
    key: String,
}

impl<T> Default for Tables<T> {
    fn default() -> Self {
        Self { known: HashMap::new(), key: String::new() }
    }
}

impl<T> Tables<T> {
    pub(super) fn get(&mut self, table: &Table<'_>) -> Option<&mut T> {
        self.key.clear();
        self.key.push_str(table.schema.map_or(r#""""#, Text::as_json));
        self.key.push_str(table.name.as_json());
        self.known.get_mut(&self.key)
    }

    pub(super) fn get_named(&self, table: &TableName) -> Option<&T> {
        self.known.get(&key_of(table))
    }

    pub(super) fn insert(&mut self, table: &TableName, value: T) {
        self.known.insert(key_of(table), value);
    }

    pub(super) fn remove(&mut self, table: &TableName) -> Option<T> {
        self.known.remove(&key_of(table))
    }

    /// Not to be called while something is being read: that may take more tables than are remembered, all at once.
    pub(super) fn forget_if_too_many(&mut self) {
        if self.known.len() > MOST {
            self.known = HashMap::new();
        }
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &T> {
        self.known.values()
    }

    pub(super) fn len(&self) -> usize {
        self.known.len()
    }
}

/// As wal2json writes the names.
fn key_of(table: &TableName) -> String {
    let mut key = vec![];
    write_string(&mut key, &table.schema);
    write_string(&mut key, &table.table);
    String::from_utf8(key).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wal2json::v2::{Action, Record};
    use proptest::prelude::*;

    fn name(table: &str) -> TableName {
        TableName { schema: String::from("public"), table: table.to_owned() }
    }

    #[test]
    fn too_many_are_forgotten_all_at_once() {
        let mut tables = Tables::default();
        for number in 0..MOST {
            tables.insert(&name(&number.to_string()), number);
        }
        tables.forget_if_too_many();
        assert_eq!(tables.get_named(&name("7")), Some(&7));
        tables.insert(&name("one more"), MOST);
        assert_eq!(tables.len(), MOST + 1);
        tables.forget_if_too_many();
        assert_eq!((tables.len(), tables.get_named(&name("7"))), (0, None));
    }

    proptest! {
        #[test]
        fn a_name_of_the_catalogue_is_found_under_the_name_in_a_text(schema in ".{0,9}", table in "[^\0]{0,9}|[\\x01-\\x20\"\\\\\\x7f]{0,9}") {
            let mut tables = Tables::default();
            tables.insert(&TableName { schema: schema.clone(), table: table.clone() }, 7);
            let (schema, table) = (serde_json::Value::from(schema), serde_json::Value::from(table));
            let text = format!(r#"{{"action":"T","schema":{schema},"table":{table}}}"#);
            let Action::Truncate(table) = Record::parse(&text).unwrap().action else { panic!("{text}") };
            prop_assert_eq!(tables.get(&table), Some(&mut 7));
        }

        #[test]
        fn names_do_not_run_into_each_other(names in prop::collection::vec((".{0,3}", ".{0,3}"), 2)) {
            let names: Vec<_> = names.into_iter().map(|(schema, table)| TableName { schema, table }).collect();
            let mut tables = Tables::default();
            tables.insert(&names[0], 1);
            prop_assert_eq!(tables.get_named(&names[1]).is_some(), names[0] == names[1]);
        }
    }
}
