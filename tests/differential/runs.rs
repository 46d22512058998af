//! The table of runs: with which query and which settings of the service each history is read.

use super::records::Format;

/// One reading of a history.
#[derive(Debug)]
pub struct Run {
    /// What is added to `slotName=…`.
    pub query: &'static str,
    /// Arguments of the service. Neighbours with the same share a process.
    pub arguments: &'static [&'static str],
}

/// All that adds to what wal2json says.
macro_rules! adding {
    () => {
        "&includeXids=true&includeTimestamp=true&includeTypeOids=true&includeColumnPositions=true&includeOrigin=true\
         &includeNotNull=true&includeDefault=true&includePk=true&includeDomainDataType=true"
    };
}

/// All that takes away from it.
macro_rules! reduced {
    () => {
        "&includeSchemas=false&includeTypes=false&includeTypmod=false"
    };
}

/// What wal2json says with all that adds to it, in format 2.
pub const FULL_FORMAT_2: &str = concat!("format=wal2json-v2", adding!());

/// How each history is read.
pub const RUNS: &[Run] = &[
    run(""),
    run("emptyTransactions=true"),
    run(concat!("format=wal2json-v1", adding!())),
    run(concat!("format=wal2json-v1", reduced!())),
    run("format=wal2json-v1&excludeTables=public.t,extra.*&actions=insert,truncate&emptyTransactions=true"),
    run("format=wal2json-v1&tables=public.*&actions=update,delete&messages=false&includeTypmod=false"),
    run("format=wal2json-v2"),
    run(concat!("format=wal2json-v2&emptyTransactions=true", adding!())),
    run(concat!("format=wal2json-v2", reduced!())),
    run("format=wal2json-v2&excludeTables=public.t,extra.*&actions=insert,truncate&emptyTransactions=true"),
    run("format=wal2json-v2&tables=public.*&actions=update,delete&messages=false&includeTypmod=false"),
    run("format=wal2json-v1&filterMsgPrefixes=outside,p&emptyTransactions=true"),
    run("format=wal2json-v2&addMsgPrefixes=inside,end&filterOrigins=1"),
    in_parts(""),
    in_parts(concat!("format=wal2json-v1&emptyTransactions=true", adding!())),
    in_parts(concat!("format=wal2json-v1", reduced!())),
    in_parts("format=wal2json-v1&tables=public.*&actions=update,delete&messages=false&includeTypmod=false"),
];

const fn run(query: &'static str) -> Run {
    Run { query, arguments: &[] }
}

/// Every change comes in a message of its own.
const fn in_parts(query: &'static str) -> Run {
    Run { query, arguments: &["--maxMessageBytes", "1"] }
}

impl Run {
    pub fn format(&self) -> Format {
        if self.parameter("format") == Some("wal2json-v2") { Format::Two } else { Format::One }
    }

    /// Whether transactions come in parts.
    pub fn is_in_parts(&self) -> bool {
        !self.arguments.is_empty()
    }

    /// Whether transactions without changes are wanted.
    pub fn empty_transactions(&self) -> bool {
        self.parameter("emptyTransactions") == Some("true")
    }

    /// The same in wal2json's own words, with what the service always adds.
    pub fn options(&self) -> Vec<(String, String)> {
        let beside = |own: &str, parameter| self.parameter(parameter).map_or(own.to_owned(), |more| format!("{own},{more}"));
        let always = [
            ("include-lsn", "on".to_owned()),
            ("pretty-print", "off".to_owned()),
            ("filter-tables", beside("pgdeltastream.*,information_schema.*", "excludeTables")),
            ("filter-msg-prefixes", beside("pgdeltastream", "filterMsgPrefixes")),
        ];
        let always = always.map(|(name, value)| (name.to_owned(), value));
        always.into_iter().chain(self.parameters().filter_map(|(name, value)| option(name, value))).collect()
    }

    fn parameters(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        self.query.split('&').filter_map(|parameter| parameter.split_once('='))
    }

    fn parameter(&self, name: &str) -> Option<&'static str> {
        self.parameters().find(|parameter| parameter.0 == name).map(|parameter| parameter.1)
    }
}

fn option(name: &str, value: &str) -> Option<(String, String)> {
    let (name, value) = match (name, value) {
        ("format", "wal2json-v1") => ("format-version", "1"),
        ("format", "wal2json-v2") => ("format-version", "2"),
        ("tables", tables) => ("add-tables", tables),
        ("messages", "false") => ("add-msg-prefixes", "nobody_has_this_prefix"),
        // The first is the service's own, the others are already there.
        ("emptyTransactions" | "excludeTables" | "filterMsgPrefixes", _) => return None,
        other => other,
    };
    Some((in_kebab_case(name), value.to_owned()))
}

fn in_kebab_case(name: &str) -> String {
    name.chars().flat_map(|letter| letter.is_uppercase().then_some('-').into_iter().chain(letter.to_lowercase())).collect()
}

#[test]
fn a_query_is_put_into_the_words_of_wal2json() {
    let run = run(
        "format=wal2json-v2&includeTypeOids=true&excludeTables=a.b,c.*&filterMsgPrefixes=p,q&messages=false&emptyTransactions=true&actions=insert",
    );
    let options: Vec<String> = run.options().iter().map(|(name, value)| format!("{name}={value}")).collect();
    let expected = [
        "include-lsn=on",
        "pretty-print=off",
        "filter-tables=pgdeltastream.*,information_schema.*,a.b,c.*",
        "filter-msg-prefixes=pgdeltastream,p,q",
        "format-version=2",
        "include-type-oids=true",
        "add-msg-prefixes=nobody_has_this_prefix",
        "actions=insert",
    ];
    assert_eq!(options, expected);
}
