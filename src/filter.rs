//! Which tables and which actions a stream is about: read as a request names them, and asked of each change.
//!
//! Names only. Which partitioned tables stand above a table is the caller's knowledge, and what wal2json is told is `wal2json::options`'.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use crate::name::{identifier, quoted};

/// Schemas whose tables no client sees, besides those that start with `pg_`.
const HIDDEN_SCHEMAS: [&str; 2] = ["information_schema", "pgdeltastream"];

/// What a stream is restricted to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Lists of tables that are meant. Each of the lists must name a table; without any: all are meant.
    pub tables: Vec<Vec<TablePattern>>,
    /// Tables that are not, whatever else is said.
    pub exclude_tables: Vec<TablePattern>,
    /// What may have happened to a row; none: anything.
    pub actions: Option<Actions>,
}

/// `table`, `schema.table` or `schema.*`, folded and unquoted as SQL does. Unqualified means `public`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TablePattern {
    /// The schema, as the catalogue spells it.
    pub schema: String,
    /// The table, as the catalogue spells it; none: all of the schema.
    pub table: Option<String>,
}

/// Some of the four actions, at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actions(BTreeSet<Action>);

/// What can happen to a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// New rows.
    Insert,
    /// Changed rows.
    Update,
    /// Rows that are gone.
    Delete,
    /// All rows are gone.
    Truncate,
}

/// A filter that cannot be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// Not a table pattern, or not a list of them.
    #[error(
        "not a table: expected table, schema.table or schema.*, with commas between them, and in double quotes, as in SQL, names that are \
         not letters, digits and underscores, instead of {}",
        ending(.rest)
    )]
    Table {
        /// What could not be read.
        rest: String,
    },
    /// Not an action.
    #[error("not an action: {0:?}, expected insert, update, delete, truncate, with commas between them")]
    Action(String),
    /// Tables of the system, or our own.
    #[error("there are no such tables here: {}", listed(.0))]
    NoSuchTable(Vec<TablePattern>),
    /// What is said leaves no table over.
    #[error("every table that is named is left out again: nothing could ever come")]
    Empty,
    /// What the stream is about and what the connection wants of it have nothing in common.
    #[error("the stream is not about that: nothing could ever come. GET /v1/streams/{{slotName}} says what it is about")]
    Disjoint,
    /// Of all that happens, nothing is left but what format 1 does not tell.
    #[error("format 1 of wal2json does not tell TRUNCATE, and the stream is about nothing else: ask for another format")]
    OnlyTruncate,
    /// wal2json is not to say what tells tables.
    #[error("the stream is about some tables only, which are told by schema and name: without schemas they cannot be (includeSchemas)")]
    WithoutSchemas,
}

impl Filter {
    /// A filter that lets something pass.
    pub fn new(tables: Vec<TablePattern>, exclude_tables: Vec<TablePattern>, actions: Option<Actions>) -> Result<Self, FilterError> {
        let excluded: BTreeSet<&TablePattern> = exclude_tables.iter().collect();
        let is_excluded = |pattern: &TablePattern| excluded.contains(pattern) || excluded.contains(&pattern.whole_schema());
        if !tables.is_empty() && tables.iter().all(is_excluded) {
            return Err(FilterError::Empty);
        }
        let tables = if tables.is_empty() { vec![] } else { vec![tables] };
        Ok(Self { tables, exclude_tables, actions })
    }

    /// What both let pass. That there is such a table cannot be told of names alone: see [`Filter::is_disjoint`].
    pub fn and(&self, other: &Self) -> Result<Self, FilterError> {
        let actions = match (&self.actions, &other.actions) {
            (Some(Actions(ours)), Some(Actions(theirs))) => Some(Actions(ours & theirs)),
            (ours, theirs) => ours.as_ref().or(theirs.as_ref()).cloned(),
        };
        if actions.as_ref().is_some_and(|Actions(actions)| actions.is_empty()) {
            return Err(FilterError::Disjoint);
        }
        let both = |ours: &[TablePattern], theirs: &[TablePattern]| [ours, theirs].concat();
        Ok(Self {
            tables: [&*self.tables, &*other.tables].concat(),
            exclude_tables: both(&self.exclude_tables, &other.exclude_tables),
            actions,
        })
    }

    /// Whether, by their names, there can be no table that passes. A partition may have the name of one list, and what it is a part of that of
    /// another.
    pub fn is_disjoint(&self) -> bool {
        let excluded: BTreeSet<&TablePattern> = self.exclude_tables.iter().collect();
        let is_excluded = |pattern: &TablePattern| excluded.contains(pattern) || excluded.contains(&pattern.whole_schema());
        let overlaps = |pattern: &TablePattern, list: &Vec<TablePattern>| list.iter().any(|other| pattern.overlaps(other));
        let can_pass = |pattern: &TablePattern| !is_excluded(pattern) && self.tables.iter().all(|list| overlaps(pattern, list));
        !self.tables.is_empty() && !self.tables.iter().flatten().any(can_pass)
    }

    /// Whether a table is meant, given its name and those of the partitioned tables above it: one of them is named, and none left out.
    pub fn admits<'a>(&self, names: impl Iterator<Item = (&'a str, &'a str)> + Clone) -> bool {
        let is_named_by =
            |patterns: &[TablePattern]| names.clone().any(|(schema, table)| patterns.iter().any(|pattern| pattern.matches(schema, table)));
        self.tables.iter().all(|tables| is_named_by(tables)) && !is_named_by(&self.exclude_tables)
    }

    /// Whether it says anything of tables.
    pub fn names_tables(&self) -> bool {
        self.patterns().next().is_some()
    }

    /// All patterns, of either kind.
    pub fn patterns(&self) -> impl Iterator<Item = &TablePattern> {
        self.tables.iter().flatten().chain(&self.exclude_tables)
    }
}

impl TablePattern {
    /// Reads a list: commas between patterns, and spaces round them as you like. All must be tables that a client may see.
    pub fn list(text: &str) -> Result<Vec<Self>, FilterError> {
        let mut patterns = vec![];
        let mut rest = text;
        loop {
            let (pattern, after) = Self::read(spaces(rest)).ok_or_else(|| FilterError::Table { rest: rest.to_owned() })?;
            patterns.push(pattern);
            let after = spaces(after);
            if after.is_empty() {
                break;
            }
            rest = after.strip_prefix(',').ok_or_else(|| FilterError::Table { rest: after.to_owned() })?;
        }
        let hidden: Vec<Self> = patterns.iter().filter(|pattern| pattern.is_hidden()).cloned().collect();
        if hidden.is_empty() { Ok(patterns) } else { Err(FilterError::NoSuchTable(hidden)) }
    }

    /// Whether that table is meant.
    pub fn matches(&self, schema: &str, table: &str) -> bool {
        self.schema == schema && self.table.as_ref().is_none_or(|name| name == table)
    }

    fn overlaps(&self, other: &Self) -> bool {
        self.schema == other.schema && (self.table.is_none() || other.table.is_none() || self.table == other.table)
    }

    fn whole_schema(&self) -> Self {
        Self { schema: self.schema.clone(), table: None }
    }

    /// The system's, a temporary table, or ours.
    fn is_hidden(&self) -> bool {
        self.schema.starts_with("pg_") || HIDDEN_SCHEMAS.contains(&self.schema.as_str())
    }

    /// Reads one pattern off the front.
    fn read(text: &str) -> Option<(Self, &str)> {
        let (first, rest) = identifier(text)?;
        let Some(rest) = rest.strip_prefix('.') else {
            return Some((Self { schema: String::from("public"), table: Some(first) }, rest));
        };
        if let Some(rest) = rest.strip_prefix('*') {
            return Some((Self { schema: first, table: None }, rest));
        }
        let (table, rest) = identifier(rest)?;
        Some((Self { schema: first, table: Some(table) }, rest))
    }
}

impl FromStr for TablePattern {
    type Err = FilterError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match Self::read(text) {
            Some((pattern, "")) if pattern.is_hidden() => Err(FilterError::NoSuchTable(vec![pattern])),
            Some((pattern, "")) => Ok(pattern),
            Some((_, rest)) => Err(FilterError::Table { rest: rest.to_owned() }),
            None => Err(FilterError::Table { rest: text.to_owned() }),
        }
    }
}

impl fmt::Display for TablePattern {
    /// With both parts quoted: reads back as the same, whatever the names.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.table {
            Some(table) => write!(formatter, "{}.{}", quoted(&self.schema), quoted(table)),
            None => write!(formatter, "{}.*", quoted(&self.schema)),
        }
    }
}

impl FromStr for Actions {
    type Err = FilterError;

    /// A list: commas between actions, and spaces round them as you like.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.split(',').map(|action| action.trim_matches(' ').parse()).collect::<Result<_, _>>().map(Self)
    }
}

impl Actions {
    /// All that can happen.
    pub fn all() -> Self {
        Self(Action::ALL.into_iter().collect())
    }

    /// Whether nothing but TRUNCATE is meant.
    pub fn is_truncate_only(&self) -> bool {
        self.0.iter().all(|action| *action == Action::Truncate)
    }

    /// Whether rows that are changed or gone are meant.
    pub fn need_identity(&self) -> bool {
        self.0.contains(&Action::Update) || self.0.contains(&Action::Delete)
    }

    /// Each of them, in the order of the list.
    pub fn iter(&self) -> impl Iterator<Item = Action> {
        self.0.iter().copied()
    }
}

impl FromIterator<Action> for Actions {
    fn from_iter<T: IntoIterator<Item = Action>>(actions: T) -> Self {
        Self(actions.into_iter().collect())
    }
}

impl fmt::Display for Actions {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.0.iter().map(|action| action.as_str()).collect();
        formatter.write_str(&names.join(","))
    }
}

impl Action {
    const ALL: [Self; 4] = [Self::Insert, Self::Update, Self::Delete, Self::Truncate];

    /// Its name in requests, which is wal2json's too.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Insert => "insert",
            Self::Update => "update",
            Self::Delete => "delete",
            Self::Truncate => "truncate",
        }
    }
}

impl FromStr for Action {
    type Err = FilterError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|action| action.as_str() == text).ok_or_else(|| FilterError::Action(text.to_owned()))
    }
}

fn spaces(text: &str) -> &str {
    text.trim_start_matches(' ')
}

fn ending(rest: &str) -> String {
    if rest.is_empty() { String::from("nothing") } else { format!("{rest:?}") }
}

fn listed(patterns: &[TablePattern]) -> String {
    patterns.iter().map(TablePattern::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pattern(schema: &str, table: &str) -> TablePattern {
        TablePattern { schema: schema.to_owned(), table: Some(table.to_owned()) }
    }

    fn schema(schema: &str) -> TablePattern {
        TablePattern { schema: schema.to_owned(), table: None }
    }

    fn filter(tables: &str, exclude_tables: &str) -> Result<Filter, FilterError> {
        let list = |text: &str| if text.is_empty() { Ok(vec![]) } else { TablePattern::list(text) };
        Filter::new(list(tables)?, list(exclude_tables)?, None)
    }

    #[test]
    fn lists_are_read_as_sql_reads_names() {
        let expected = vec![pattern("public", "orders"), pattern("shop", "a, \"b\".*"), schema("Shop"), pattern("größe", "😀")];
        assert_eq!(TablePattern::list(r#" Orders,Shop."a, ""b"".*" ,  "Shop".* , größe.😀 "#), Ok(expected));
        assert_eq!("Shop.*".parse(), Ok(schema("shop")));
        assert_eq!(r#""*"."*""#.parse(), Ok(pattern("*", "*")));
    }

    #[test]
    fn what_is_no_list_of_tables_is_refused() {
        let long = "x".repeat(64);
        for text in [
            "", " ", ",", "a,", ",a", "a,,b", "a b", "a;b", "*", "*.*", "*.a", "a.b.c", "a.*.b", "a.**", "a .b", "a. b", "\"a", "\"\"",
            "1a", "a\n", "a\0", "\"a\0\"", "a.", ".a", &long,
        ] {
            assert!(matches!(TablePattern::list(text), Err(FilterError::Table { .. })), "{text:?}");
            assert!(matches!(text.parse::<TablePattern>(), Err(FilterError::Table { .. })), "{text:?}");
        }
        assert!(" a".parse::<TablePattern>().is_err() && "a,b".parse::<TablePattern>().is_err(), "one is not a list");
    }

    #[test]
    fn the_systems_tables_and_ours_are_none() {
        let hidden = TablePattern::list("a,pg_catalog.pg_class,INFORMATION_SCHEMA.*,pg_temp_3.t,pgdeltastream.stream,pg_mine.*");
        let Err(FilterError::NoSuchTable(hidden)) = hidden else { panic!("{hidden:?}") };
        assert_eq!(hidden.len(), 5);
        assert!(TablePattern::list(r#""PG_x".t,pgx.t,public.pg_class,"Information_schema".t"#).is_ok());
    }

    #[test]
    fn what_is_named_and_not_left_out_is_meant() {
        let matches = |tables: &str, exclude_tables: &str, table: (&str, &str)| {
            filter(tables, exclude_tables).unwrap().admits(std::iter::once(table))
        };
        assert!(matches("", "", ("s", "t")));
        assert!(matches("t", "", ("public", "t")) && !matches("t", "", ("s", "t")) && !matches("t", "", ("public", "T")));
        assert!(matches("s.*", "s.u", ("s", "t")) && !matches("s.*", "s.u", ("s", "u")) && !matches("s.*", "", ("S", "t")));
        assert!(matches("", "s.*", ("t", "t")) && !matches("", "s.*", ("s", "t")));
    }

    #[test]
    fn a_partitioned_table_means_its_partitions() {
        let partition = [("s", "leaf"), ("s", "branch"), ("public", "root")];
        let admits = |tables: &str, exclude_tables: &str| filter(tables, exclude_tables).unwrap().admits(partition.into_iter());
        assert!(admits("", "") && admits("root", "") && admits("s.branch", "") && admits("s.leaf", "") && admits("public.*", "s.other"));
        assert!(!admits("other", "") && !admits("", "root") && !admits("root", "s.branch") && !admits("s.leaf", "public.*"));
    }

    #[test]
    fn a_filter_that_lets_nothing_pass_is_refused() {
        for (tables, exclude_tables) in [("t", "t"), ("t", "public.*"), ("s.*", "s.*"), ("a,s.b", "public.*,s.b")] {
            assert_eq!(filter(tables, exclude_tables), Err(FilterError::Empty), "{tables} without {exclude_tables}");
        }
        for (tables, exclude_tables) in [("s.*", "s.t"), ("a,b", "a"), ("", "public.*")] {
            assert!(filter(tables, exclude_tables).is_ok(), "{tables} without {exclude_tables}");
        }
    }

    #[test]
    fn a_connection_narrows_its_stream() {
        let both = |stream: (&str, &str), connection: (&str, &str)| {
            filter(stream.0, stream.1).unwrap().and(&filter(connection.0, connection.1).unwrap()).unwrap()
        };
        let admits = |filter: &Filter, table: &str| filter.admits(std::iter::once(("public", table)));
        let narrow = both(("a,b", ""), ("b,c", ""));
        assert!(admits(&narrow, "b") && !admits(&narrow, "a") && !admits(&narrow, "c") && !narrow.is_disjoint());
        assert!(!admits(&both(("a,b", "b"), ("b", "")), "b"));
        for (stream, connection, is_disjoint) in [
            (("a", ""), ("b", ""), true),
            (("a", ""), ("public.*", ""), false),
            (("s.*", ""), ("s.t", ""), false),
            (("s.*", ""), ("t.*", ""), true),
            (("a,b", ""), ("b", "b"), true),
            (("a,b", "b"), ("b", ""), true),
            (("", ""), ("a", ""), false),
            (("", "a"), ("a", ""), true),
            (("", ""), ("", "a"), false),
        ] {
            let Ok(connection) = filter(connection.0, connection.1) else { continue };
            let narrow = filter(stream.0, stream.1).unwrap().and(&connection).unwrap();
            assert_eq!(narrow.is_disjoint(), is_disjoint, "{stream:?} {connection:?}");
        }
    }

    #[test]
    fn actions_that_both_want_are_left() {
        let filter = |actions: &str| Filter { actions: Some(actions.parse().unwrap()), ..Filter::default() };
        let both = filter("insert,update").and(&filter("update,delete")).unwrap();
        assert_eq!(both.actions.unwrap().to_string(), "update");
        assert_eq!(filter("insert").and(&filter("delete")), Err(FilterError::Disjoint));
        assert_eq!(filter("insert").and(&Filter::default()).unwrap().actions.unwrap().to_string(), "insert");
    }

    #[test]
    fn actions_are_a_list_in_any_order() {
        let actions: Actions = "truncate , insert,insert".parse().unwrap();
        assert_eq!(actions.to_string(), "insert,truncate");
        for text in ["", "insert,", "Insert", "upsert", "insert update"] {
            assert!(text.parse::<Actions>().is_err(), "{text:?}");
        }
    }

    prop_compose! {
        fn any_pattern()(schema in "[^\0]{1,15}", table in prop::option::of("[^\0]{1,15}")) -> TablePattern {
            TablePattern { schema, table }
        }
    }

    proptest! {
        #[test]
        fn what_is_rendered_is_read_back(patterns in prop::collection::vec(any_pattern(), 1..5)) {
            prop_assume!(!patterns.iter().any(TablePattern::is_hidden));
            prop_assert_eq!(TablePattern::list(&listed(&patterns)), Ok(patterns.clone()));
            prop_assert_eq!(patterns[0].to_string().parse(), Ok(patterns[0].clone()));
        }

        #[test]
        fn no_text_panics(text: String, list in "[a.*\", \\\\;é0]{0,20}") {
            for text in [text, list] {
                let _ = TablePattern::list(&text);
                let _ = text.parse::<TablePattern>();
                let _ = text.parse::<Actions>();
            }
        }
    }
}
