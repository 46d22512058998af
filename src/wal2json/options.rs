//! The options that a slot's stream is started with, in wal2json's own notation.
//!
//! What is always so: positions are written, a text has no blanks for people, and tables and messages of this service do not appear. Quoting
//! as START_REPLICATION needs it is done where that is sent.

use std::num::NonZeroU16;
use std::str::FromStr;

use crate::filter::{Actions, TablePattern};

/// What the stream is to be like.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PluginOptions {
    /// One text a transaction, or one a record.
    pub format_version: FormatVersion,
    /// Format 1: one text a change.
    pub write_in_chunks: bool,
    /// What is on or off.
    pub switches: Switches,
    /// Tables not to tell of, besides our own. By their own names: a partitioned table has no changes. Which tables to tell of is never said
    /// here: a table can take the name of another at any time, and be a partitioned one, whose changes would all be lost.
    pub filter_tables: Vec<TablePattern>,
    /// The only actions to tell of; none: all.
    pub actions: Option<Actions>,
    /// Replication origins whose transactions are not told of.
    pub filter_origins: Vec<NonZeroU16>,
    /// Prefixes of messages not to tell of, besides our own.
    pub filter_msg_prefixes: Vec<MessagePrefix>,
    /// The only prefixes of messages to tell of; none said: all.
    pub add_msg_prefixes: Vec<MessagePrefix>,
}

/// wal2json's two formats.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum FormatVersion {
    /// One text a transaction.
    #[default]
    One,
    /// One text a record.
    Two,
}

/// What is on or off; none: as wal2json has it. Each is described in `message::StreamQuery`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "wal2json's own names, described where clients give them")]
pub struct Switches {
    pub include_xids: Option<bool>,
    pub include_timestamp: Option<bool>,
    pub include_schemas: Option<bool>,
    pub include_types: Option<bool>,
    pub include_type_oids: Option<bool>,
    pub include_typmod: Option<bool>,
    pub include_domain_data_type: Option<bool>,
    pub include_column_positions: Option<bool>,
    pub include_origin: Option<bool>,
    pub include_not_null: Option<bool>,
    pub include_default: Option<bool>,
    pub include_pk: Option<bool>,
    pub numeric_data_types_as_string: Option<bool>,
}

/// The prefix of a logical message, of those that wal2json's lists can say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessagePrefix(String);

/// A prefix that cannot be said.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a prefix that wal2json can be told: {0:?}, expected at least one character, none of them a comma, white space or a backslash")]
pub struct InvalidPrefix(String);

/// Tables that no client sees.
const HIDDEN_TABLES: [&str; 2] = ["pgdeltastream.*", "information_schema.*"];

/// The prefix of our own messages.
pub const OUR_MESSAGES: &str = "pgdeltastream";

impl PluginOptions {
    /// Whether a whole transaction is one text.
    pub fn is_whole(&self) -> bool {
        self.format_version == FormatVersion::One && !self.write_in_chunks
    }

    /// The options as START_REPLICATION takes them, each a name and a value that is not quoted yet.
    pub fn render(&self) -> Vec<(&'static str, String)> {
        let mut options = vec![
            ("format-version", String::from(self.format_version.as_str())),
            ("include-lsn", on_or_off(true)),
            ("pretty-print", on_or_off(false)),
            ("filter-tables", list(HIDDEN_TABLES.map(String::from).into_iter().chain(self.filter_tables.iter().map(table)))),
            ("filter-msg-prefixes", list(std::iter::once(String::from(OUR_MESSAGES)).chain(self.filter_msg_prefixes.iter().map(prefix)))),
        ];
        options.extend(self.write_in_chunks.then(|| ("write-in-chunks", on_or_off(true))));
        options.extend(self.switches.named().into_iter().filter_map(|(name, switch)| Some((name, on_or_off(switch?)))));
        options.extend(self.actions.as_ref().map(|actions| ("actions", actions.to_string())));
        let lists = [
            ("filter-origins", list(self.filter_origins.iter().map(NonZeroU16::to_string))),
            ("add-msg-prefixes", list(self.add_msg_prefixes.iter().map(prefix))),
        ];
        options.extend(lists.into_iter().filter(|(_, list)| !list.is_empty()));
        options
    }
}

impl FormatVersion {
    fn as_str(self) -> &'static str {
        match self {
            Self::One => "1",
            Self::Two => "2",
        }
    }
}

impl Switches {
    fn named(&self) -> [(&'static str, Option<bool>); 13] {
        [
            ("include-xids", self.include_xids),
            ("include-timestamp", self.include_timestamp),
            ("include-schemas", self.include_schemas),
            ("include-types", self.include_types),
            ("include-type-oids", self.include_type_oids),
            ("include-typmod", self.include_typmod),
            ("include-domain-data-type", self.include_domain_data_type),
            ("include-column-positions", self.include_column_positions),
            ("include-origin", self.include_origin),
            ("include-not-null", self.include_not_null),
            ("include-default", self.include_default),
            ("include-pk", self.include_pk),
            ("numeric-data-types-as-string", self.numeric_data_types_as_string),
        ]
    }
}

impl MessagePrefix {
    /// That of this service. Its messages are always left out, so that to add only these is to add none.
    pub fn ours() -> Self {
        Self(String::from(OUR_MESSAGES))
    }
}

impl FromStr for MessagePrefix {
    type Err = InvalidPrefix;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let cannot_be_said = |c: char| matches!(c, '\0' | ',' | '\\' | ' ' | '\t'..='\r');
        if text.is_empty() || text.contains(cannot_be_said) { Err(InvalidPrefix(text.to_owned())) } else { Ok(Self(text.to_owned())) }
    }
}

fn on_or_off(switch: bool) -> String {
    String::from(if switch { "on" } else { "off" })
}

fn list(items: impl Iterator<Item = String>) -> String {
    items.collect::<Vec<_>>().join(",")
}

fn table(pattern: &TablePattern) -> String {
    let table = pattern.table.as_deref().map_or_else(|| String::from("*"), escaped);
    format!("{}.{table}", escaped(&pattern.schema))
}

fn prefix(prefix: &MessagePrefix) -> String {
    prefix.0.clone()
}

/// After a backslash each byte stands for itself. Bytes that are not ASCII always do, and would not be text any more with one between them.
fn escaped(name: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || !c.is_ascii();
    name.chars().flat_map(|c| (!is_plain(c)).then_some('\\').into_iter().chain([c])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn value(options: &PluginOptions, name: &str) -> Option<String> {
        let mut values = options.render().into_iter().filter(|(option, _)| *option == name).map(|(_, value)| value);
        let value = values.next();
        assert_eq!(values.next(), None, "{name} is said twice");
        value
    }

    #[test]
    fn without_a_wish_only_what_is_always_so_is_said() {
        let options = PluginOptions::default().render();
        let options: Vec<_> = options.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let always = [
            ("format-version", "1"),
            ("include-lsn", "on"),
            ("pretty-print", "off"),
            ("filter-tables", "pgdeltastream.*,information_schema.*"),
            ("filter-msg-prefixes", "pgdeltastream"),
        ];
        assert_eq!(options, always);
    }

    #[test]
    fn every_wish_has_wal2jsons_name() {
        let switches = Switches { include_pk: Some(true), include_types: Some(false), ..Switches::default() };
        let options = PluginOptions {
            format_version: FormatVersion::Two,
            write_in_chunks: true,
            switches,
            filter_tables: TablePattern::list("b").unwrap(),
            actions: Some("truncate,insert".parse().unwrap()),
            filter_origins: vec![NonZeroU16::MIN, NonZeroU16::MAX],
            filter_msg_prefixes: vec!["x".parse().unwrap()],
            add_msg_prefixes: vec![MessagePrefix::ours(), "y".parse().unwrap()],
        };
        for (name, expected) in [
            ("format-version", "2"),
            ("write-in-chunks", "on"),
            ("include-pk", "on"),
            ("include-types", "off"),
            ("filter-tables", "pgdeltastream.*,information_schema.*,public.b"),
            ("actions", "insert,truncate"),
            ("filter-origins", "1,65535"),
            ("filter-msg-prefixes", "pgdeltastream,x"),
            ("add-msg-prefixes", "pgdeltastream,y"),
        ] {
            assert_eq!(value(&options, name).as_deref(), Some(expected), "{name}");
        }
        assert_eq!(value(&options, "include-xids"), None);
    }

    #[test]
    fn a_prefix_that_a_list_cannot_hold_is_refused() {
        for text in ["", "a,b", "a b", "a\\", "\t", "a\u{b}", "a\0"] {
            assert!(text.parse::<MessagePrefix>().is_err(), "{text:?}");
        }
        for text in ["a", "a.b'\"*", "größe\u{a0}"] {
            assert!(text.parse::<MessagePrefix>().is_ok(), "{text:?}");
        }
    }

    /// As wal2json reads its lists: split first, each item into two names then.
    fn read_by_wal2json(list: &str) -> Vec<(Option<String>, Option<String>)> {
        let mut items = vec![String::new()];
        let mut rest = list.chars();
        while let Some(c) = rest.next() {
            let item = items.last_mut().unwrap();
            match c {
                '\\' => item.extend(std::iter::once(c).chain(rest.next())),
                ',' => items.push(String::new()),
                c => {
                    assert!(!matches!(c, ' ' | '\t'..='\r'), "white space ends an item");
                    item.push(c);
                }
            }
        }
        items.iter().map(|item| read_item(item)).collect()
    }

    fn read_item(item: &str) -> (Option<String>, Option<String>) {
        let (mut schema, mut rest) = (String::new(), item.chars());
        loop {
            match rest.next().unwrap_or_else(|| panic!("no schema in {item}")) {
                '\\' => schema.extend(rest.next()),
                '.' => break,
                c => schema.push(c),
            }
        }
        let all_tables = rest.as_str() == "*";
        let mut table = String::new();
        while let Some(c) = rest.next() {
            table.extend(if c == '\\' { rest.next() } else { Some(c) });
        }
        ((!item.starts_with("*.")).then_some(schema), (!all_tables).then_some(table))
    }

    proptest! {
        #[test]
        fn wal2json_reads_what_was_meant(names in prop::collection::vec(("[^\0]{1,9}", prop::option::of("[^\0]{1,9}")), 1..5)) {
            let names: Vec<_> = names.into_iter().chain([(String::from("*"), Some(String::from("*")))]).collect();
            let filter_tables = names.iter().cloned().map(|(schema, table)| TablePattern { schema, table }).collect();
            let rendered = value(&PluginOptions { filter_tables, ..PluginOptions::default() }, "filter-tables").unwrap();
            let hidden = ["pgdeltastream", "information_schema"].map(|schema| (String::from(schema), None));
            let expected: Vec<_> = hidden.into_iter().chain(names).map(|(schema, table)| (Some(schema), table)).collect();
            prop_assert_eq!(read_by_wal2json(&rendered), expected);
        }
    }
}
