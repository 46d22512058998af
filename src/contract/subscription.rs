//! What a client of `/v1/lr/stream` asked for: its query with every rule applied that a schema cannot say.

use std::str::FromStr;

use super::{Invalid, read_query};
use crate::filter::{Actions, Filter, FilterError, TablePattern};
use crate::lsn::Lsn;
use crate::message::{Fault, StreamFormat, StreamQuery, pointer};
use crate::name::SlotName;
use crate::row::Numbers;
use crate::wal2json::options::{FormatVersion, MessagePrefix, PluginOptions, Switches};

/// Options of wal2json that positions and framing depend on.
const SET_BY_US: [&str; 5] = ["includeLsn", "includeTransaction", "prettyPrint", "writeInChunks", "formatVersion"];

/// A stream as one connection wants it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscription {
    /// Which stream.
    pub slot: SlotName,
    /// What a message is like.
    pub format: StreamFormat,
    /// What it is about.
    pub filter: Filter,
    /// Whether to take the stream from whoever has it.
    pub takeover: bool,
    /// How many transactions it may owe an acknowledgement for, before it gets more.
    pub max_unacked: Option<usize>,
    /// Up to where the client says to have everything, if it did.
    pub claim: Option<Lsn>,
    /// Whether transactions without changes go to the client.
    pub empty_transactions: bool,
    /// How numbers are written, in events.
    pub numbers: Numbers,
    /// What wal2json is told. Tables that are not meant it leaves out itself only where they are named.
    pub options: PluginOptions,
}

/// A query that cannot be fulfilled: every fault, each with its place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    /// It breaks its contract.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// It names tables of the system or of ours, and is in order otherwise.
    #[error("{0}")]
    NoSuchTable(Invalid),
}

impl Rejected {
    /// A list of tables that cannot be had.
    pub fn about(pointer: &str, error: FilterError) -> Self {
        let is_missing = matches!(error, FilterError::NoSuchTable(_));
        let invalid = Invalid::at(pointer, error);
        if is_missing { Self::NoSuchTable(invalid) } else { Self::Invalid(invalid) }
    }
}

impl Subscription {
    /// What it wants of what its stream is about.
    pub fn within(self, stream: &Filter) -> Result<Self, FilterError> {
        let filter = stream.and(&self.filter)?;
        let is_only_truncate = filter.actions.as_ref().is_some_and(Actions::is_truncate_only);
        if is_only_truncate && self.format == StreamFormat::Wal2jsonV1 {
            return Err(FilterError::OnlyTruncate);
        }
        if filter.names_tables() && self.options.switches.include_schemas == Some(false) {
            return Err(FilterError::WithoutSchemas);
        }
        let options = PluginOptions { filter_tables: filter.exclude_tables.clone(), actions: filter.actions.clone(), ..self.options };
        Ok(Self { filter, options, ..self })
    }

    /// A stream that nobody gets, to pass what its client says to have: one record is the least that can be in memory.
    pub fn settling(slot: SlotName, claim: Lsn) -> Self {
        Self {
            slot,
            format: StreamFormat::Wal2jsonV2,
            filter: Filter::default(),
            takeover: false,
            max_unacked: None,
            claim: Some(claim),
            empty_transactions: false,
            numbers: Numbers::Bare,
            // Messages owe nothing to anybody.
            options: PluginOptions {
                format_version: FormatVersion::Two,
                add_msg_prefixes: vec![MessagePrefix::ours()],
                ..PluginOptions::default()
            },
        }
    }

    /// Reads the parameters of a query string.
    pub fn read(parameters: Vec<(String, String)>) -> Result<Self, Rejected> {
        let (set_by_us, parameters): (Vec<_>, Vec<_>) = parameters.into_iter().partition(|(name, _)| SET_BY_US.contains(&name.as_str()));
        let mut faults = Faults::default();
        for (name, _) in set_by_us {
            faults.add(&name, "the service sets this option of wal2json itself: positions and messages depend on it");
        }
        match read_query::<StreamQuery>(parameters.clone()) {
            Ok(query) => subscription(query, faults),
            Err(invalid) => {
                // What is left may break other rules, and all faults are to be told at once.
                let rest = without_faulty(&parameters, &invalid.faults);
                faults.invalid.extend(invalid.faults);
                match read_query::<StreamQuery>(rest) {
                    Ok(query) => subscription(query, faults),
                    Err(_) => Err(Invalid { faults: faults.invalid }.into()),
                }
            }
        }
    }
}

/// What was found so far.
#[derive(Debug, Default)]
struct Faults {
    invalid: Vec<Fault>,
    no_such_table: Vec<Fault>,
}

impl Faults {
    fn add(&mut self, parameter: &str, message: impl std::fmt::Display) {
        self.invalid.extend(Invalid::at(&format!("/{parameter}"), message).faults);
    }

    /// The value, or its fault and none.
    fn check<T, E: std::fmt::Display>(&mut self, parameter: &str, result: Result<T, E>) -> Option<T> {
        result.map_err(|error| self.add(parameter, error)).ok()
    }

    /// Items of a list that no name is read from: whatever has commas between it.
    fn list<T: FromStr<Err: std::fmt::Display>>(&mut self, parameter: &str, list: Option<&str>) -> Vec<T> {
        let items = list.into_iter().flat_map(|list| list.split(',')).map(|item| item.trim_matches(' ').parse());
        self.check(parameter, items.collect()).unwrap_or_default()
    }

    fn tables(&mut self, parameter: &str, list: Option<&str>) -> Vec<TablePattern> {
        match list.map_or(Ok(vec![]), TablePattern::list) {
            Ok(patterns) => patterns,
            Err(error @ FilterError::NoSuchTable(_)) => {
                self.no_such_table.extend(Invalid::at(&format!("/{parameter}"), error).faults);
                vec![]
            }
            Err(error) => {
                self.add(parameter, error);
                vec![]
            }
        }
    }

    fn none_or_all(mut self) -> Result<(), Rejected> {
        if self.invalid.is_empty() && self.no_such_table.is_empty() {
            return Ok(());
        }
        let only_missing = self.invalid.is_empty();
        self.invalid.append(&mut self.no_such_table);
        let invalid = Invalid { faults: self.invalid };
        Err(if only_missing { Rejected::NoSuchTable(invalid) } else { Rejected::Invalid(invalid) })
    }
}

/// Those parameters that no fault points to, and some slot.
fn without_faulty(parameters: &[(String, String)], faults: &[Fault]) -> Vec<(String, String)> {
    let is_faulty = |name: &str| faults.iter().any(|fault| fault.pointer == pointer(name));
    let slot = (String::from("slotName"), String::from("_"));
    let others = parameters.iter().filter(|(name, _)| name != "slotName" && !is_faulty(name)).cloned();
    std::iter::once(slot).chain(others).collect()
}

fn subscription(query: StreamQuery, mut faults: Faults) -> Result<Subscription, Rejected> {
    let slot = faults.check("slotName", query.slot_name.parse::<SlotName>());
    let filter = filter(&query, &mut faults);
    let options = match query.format {
        StreamFormat::Events => options_of_events(&query),
        StreamFormat::Wal2jsonV1 | StreamFormat::Wal2jsonV2 => options_of_wal2json(&query, &mut faults),
    };
    faults.none_or_all()?;
    let slot = slot.ok_or_else(|| Invalid::at("/slotName", "missing"))?;
    let options = PluginOptions { filter_tables: filter.exclude_tables.clone(), actions: filter.actions.clone(), ..options };
    let numbers = if query.numbers.is_some() { Numbers::Strings } else { Numbers::Bare };
    Ok(Subscription {
        slot,
        format: query.format,
        filter,
        takeover: query.takeover.unwrap_or(true),
        max_unacked: query.max_unacked.map(usize::from),
        claim: None,
        empty_transactions: query.empty_transactions,
        numbers,
        options,
    })
}

fn filter(query: &StreamQuery, faults: &mut Faults) -> Filter {
    let tables = faults.tables("tables", query.tables.as_deref());
    let exclude_tables = faults.tables("excludeTables", query.exclude_tables.as_deref());
    let actions = query.actions.as_deref().and_then(|actions| faults.check("actions", actions.parse::<Actions>()));
    faults.check("excludeTables", Filter::new(tables, exclude_tables, actions)).unwrap_or_default()
}

/// What events are made of.
fn options_of_events(query: &StreamQuery) -> PluginOptions {
    let options = Switches {
        include_xids: Some(true),
        include_timestamp: Some(true),
        include_type_oids: Some(true),
        include_column_positions: Some(true),
        include_pk: Some(true),
        include_types: Some(false),
        ..Switches::default()
    };
    let add_msg_prefixes = if query.messages == Some(false) { vec![MessagePrefix::ours()] } else { vec![] };
    PluginOptions { format_version: FormatVersion::Two, switches: options, add_msg_prefixes, ..PluginOptions::default() }
}

fn options_of_wal2json(query: &StreamQuery, faults: &mut Faults) -> PluginOptions {
    let mut add_msg_prefixes = faults.list("addMsgPrefixes", query.add_msg_prefixes.as_deref());
    if query.messages == Some(false) {
        add_msg_prefixes = vec![MessagePrefix::ours()];
    }
    PluginOptions {
        format_version: if query.format == StreamFormat::Wal2jsonV2 { FormatVersion::Two } else { FormatVersion::One },
        switches: switches(query),
        filter_origins: faults.list("filterOrigins", query.filter_origins.as_deref()),
        filter_msg_prefixes: faults.list("filterMsgPrefixes", query.filter_msg_prefixes.as_deref()),
        add_msg_prefixes,
        ..PluginOptions::default()
    }
}

fn switches(query: &StreamQuery) -> Switches {
    Switches {
        include_xids: query.include_xids,
        include_timestamp: query.include_timestamp,
        include_schemas: query.include_schemas,
        include_types: query.include_types,
        include_type_oids: query.include_type_oids,
        include_typmod: query.include_typmod,
        include_domain_data_type: query.include_domain_data_type,
        include_column_positions: query.include_column_positions,
        include_origin: query.include_origin,
        include_not_null: query.include_not_null,
        include_default: query.include_default,
        include_pk: query.include_pk,
        numeric_data_types_as_string: query.numeric_data_types_as_string,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(parameters: &[(&str, &str)]) -> Result<Subscription, Rejected> {
        let slot = ("slotName", "delta_face56");
        let parameters = std::iter::once(slot).chain(parameters.iter().copied());
        Subscription::read(parameters.map(|(name, text)| (name.to_owned(), text.to_owned())).collect())
    }

    fn faults(parameters: &[(&str, &str)]) -> Vec<String> {
        let Err(Rejected::Invalid(invalid)) = read(parameters) else { panic!("{parameters:?} is invalid") };
        let mut pointers: Vec<String> = invalid.faults.into_iter().map(|fault| fault.pointer).collect();
        pointers.sort_unstable();
        pointers
    }

    fn rendered(subscription: &Subscription) -> Vec<String> {
        let options = subscription.options.render().into_iter();
        options.map(|(name, value)| format!("{name}={value}")).filter(|option| !ALWAYS.contains(&option.as_str())).collect()
    }

    const ALWAYS: [&str; 4] =
        ["include-lsn=on", "pretty-print=off", "filter-tables=pgdeltastream.*,information_schema.*", "filter-msg-prefixes=pgdeltastream"];

    #[test]
    fn a_slot_alone_is_the_original_stream() {
        let subscription = read(&[]).unwrap();
        assert_eq!((subscription.format, subscription.numbers), (StreamFormat::Wal2jsonV1, Numbers::Bare));
        assert_eq!((subscription.empty_transactions, &subscription.filter), (false, &Filter::default()));
        assert_eq!(rendered(&subscription), ["format-version=1"]);
    }

    #[test]
    fn tables_that_are_left_out_are_left_out_at_the_source() {
        let subscription = read(&[("tables", "a, s.*"), ("excludeTables", r#"s."x,y""#), ("actions", "delete, insert")]).unwrap();
        let left_out = [r"format-version=1", r"filter-tables=pgdeltastream.*,information_schema.*,s.x\,y", "actions=insert,delete"];
        assert_eq!(rendered(&subscription), left_out);
        let admits = |schema, table| subscription.filter.admits(std::iter::once((schema, table)));
        assert!(admits("s", "t") && !admits("s", "x,y"));
    }

    #[test]
    fn options_of_wal2json_are_passed_on() {
        let subscription = read(&[
            ("format", "wal2json-v2"),
            ("includePk", "true"),
            ("includeTypes", "false"),
            ("numericDataTypesAsString", "true"),
            ("filterOrigins", "1, 65535"),
            ("filterMsgPrefixes", "a ,b"),
            ("addMsgPrefixes", "größe"),
            ("messages", "true"),
        ]);
        let expected = [
            "format-version=2",
            "filter-msg-prefixes=pgdeltastream,a,b",
            "include-types=off",
            "include-pk=on",
            "numeric-data-types-as-string=on",
            "filter-origins=1,65535",
            "add-msg-prefixes=größe",
        ];
        assert_eq!(rendered(&subscription.unwrap()), expected);
    }

    #[test]
    fn without_messages_only_ours_are_added_which_are_left_out() {
        for format in ["wal2json-v1", "wal2json-v2", "events"] {
            let subscription = read(&[("format", format), ("messages", "false")]).unwrap();
            assert!(rendered(&subscription).contains(&String::from("add-msg-prefixes=pgdeltastream")), "{format}");
        }
        assert_eq!(faults(&[("messages", "false"), ("addMsgPrefixes", "a")]), ["/addMsgPrefixes"]);
        assert_eq!(faults(&[("actions", "truncate")]), ["/actions"]);
        assert_eq!(faults(&[("includeSchemas", "false"), ("tables", "a")]), ["/includeSchemas"]);
    }

    #[test]
    fn events_have_their_own_options() {
        let subscription = read(&[("format", "events"), ("numbers", "string"), ("tables", "a")]).unwrap();
        assert_eq!(subscription.numbers, Numbers::Strings);
        let expected = [
            "format-version=2",
            "include-xids=on",
            "include-timestamp=on",
            "include-types=off",
            "include-type-oids=on",
            "include-column-positions=on",
            "include-pk=on",
        ];
        assert_eq!(rendered(&subscription), expected);
        assert_eq!(faults(&[("numbers", "string")]), ["/numbers"]);
        assert_eq!(faults(&[("format", "events"), ("numbers", "bare")]), ["/numbers"]);
    }

    #[test]
    fn every_option_of_wal2json_is_refused_with_events_and_accepted_without() {
        let schema: serde_json::Value = serde_json::from_str(<StreamQuery as super::super::published::Message>::SCHEMA).unwrap();
        let parameters = schema["properties"].as_object().unwrap().iter();
        let options: Vec<&String> =
            parameters.filter(|(_, about)| about["description"].as_str().unwrap().starts_with("wal2json")).map(|(name, _)| name).collect();
        assert_eq!(options.len(), 16);
        for option in options {
            let value = if schema["properties"][option]["type"] == "boolean" { "false" } else { "1" };
            assert_eq!(faults(&[("format", "events"), (option, value)]), [format!("/{option}")]);
            let plain = read(&[]).unwrap().options;
            assert_ne!(read(&[(option, value)]).unwrap().options, plain, "{option} goes to wal2json");
        }
    }

    #[test]
    fn what_we_set_ourselves_cannot_be_set() {
        for name in SET_BY_US {
            let Err(Rejected::Invalid(invalid)) = read(&[(name, "true")]) else { panic!("{name}") };
            assert_eq!(invalid.faults[0].pointer, format!("/{name}"));
            assert!(invalid.faults[0].message.contains("the service sets"), "{invalid}");
        }
    }

    #[test]
    fn all_faults_come_at_once() {
        let semantic =
            [("tables", "a"), ("excludeTables", "public.*"), ("numbers", "string"), ("filterOrigins", "65536"), ("includeLsn", "x")];
        assert_eq!(faults(&semantic), ["/excludeTables", "/filterOrigins", "/includeLsn", "/numbers"]);
        let of_the_schema = [("tables", "a b"), ("actions", "upsert"), ("addMsgPrefixes", "a\\"), ("messages", "1"), ("prettyPrint", "x")];
        assert_eq!(faults(&of_the_schema), ["/actions", "/addMsgPrefixes", "/messages", "/prettyPrint", "/tables"]);
    }

    #[test]
    fn a_list_of_tables_is_refused_in_words() {
        for list in ["a b", "\0", "*.*"] {
            let Err(Rejected::Invalid(invalid)) = read(&[("excludeTables", list)]) else { panic!("{list}") };
            assert!(invalid.faults[0].message.contains("schema.*"), "{invalid}");
        }
        let more_than_once = read(&[("tables", "a"), ("tables", "b")]).unwrap_err().to_string();
        assert!(more_than_once.contains("more than once"), "{more_than_once}");
    }

    #[test]
    fn tables_of_the_system_and_ours_do_not_exist() {
        for (parameter, list) in [("tables", "a,pg_catalog.*"), ("excludeTables", "pgdeltastream.stream")] {
            let Err(Rejected::NoSuchTable(invalid)) = read(&[(parameter, list)]) else { panic!("{list}") };
            assert_eq!(invalid.faults[0].pointer, format!("/{parameter}"));
        }
        assert_eq!(faults(&[("tables", "pg_catalog.*"), ("numbers", "string")]), ["/numbers", "/tables"]);
    }

    proptest! {
        /// But for the length of names, which is in bytes.
        #[test]
        fn the_schema_says_the_grammar(list in "( ?([aA_é😀1$\n;\\\\]|\"\"|\"[a,. \"*]\"|\\.|\\*| ,|,)){0,8}") {
            let by_schema = !matches!(read(&[("tables", &list)]), Err(Rejected::Invalid(_)));
            prop_assert_eq!(by_schema, TablePattern::list(&list).is_ok());
            let by_schema = read(&[("addMsgPrefixes", &list)]).is_ok();
            prop_assert_eq!(by_schema, list.split(',').all(|item| item.trim_matches(' ').parse::<MessagePrefix>().is_ok()));
        }

        #[test]
        fn no_query_panics(parameters in prop::collection::vec(("(tables|excludeTables|actions|filterOrigins|format|.*)", ".{0,20}"), 0..5)) {
            let _ = Subscription::read(parameters);
        }
    }
}
