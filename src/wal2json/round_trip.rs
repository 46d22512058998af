//! What wal2json writes is what is read, in both formats alike; and nothing that it could not have written makes the reader fail otherwise
//! than by refusing it. For tests.

use proptest::prelude::*;

use super::mend::mend;
use super::written::{self, Options, any_change, any_message, any_options, any_table, any_transaction};
use super::{change, v1, v2};
use crate::lsn::Lsn;

fn mended(text: &str) -> String {
    mend(text.as_bytes().to_vec())
}

/// What was read, as it would have been written.
trait Plain {
    type Written;
    fn plain(&self) -> Self::Written;
}

impl Plain for change::Column<'_> {
    type Written = written::Column;
    fn plain(&self) -> written::Column {
        let default = |default: change::Value| default.as_text().map(|sql| sql.decoded().into_owned());
        written::Column {
            name: self.name.decoded().into_owned(),
            type_name: self.type_name.map(|name| name.decoded().into_owned()),
            type_oid: self.type_oid,
            value: Some(self.value.as_json().to_owned()),
            position: self.position,
            is_optional: self.is_optional,
            default: self.default.map(default),
        }
    }
}

impl Plain for change::KeyColumn<'_> {
    type Written = written::Column;
    fn plain(&self) -> written::Column {
        let type_name = self.type_name.map(|name| name.decoded().into_owned());
        let name = self.name.decoded().into_owned();
        written::Column { name, type_name, type_oid: self.type_oid, value: None, position: None, is_optional: None, default: None }
    }
}

impl<T: Plain> Plain for Vec<T> {
    type Written = Vec<T::Written>;
    fn plain(&self) -> Vec<T::Written> {
        self.iter().map(T::plain).collect()
    }
}

impl Plain for change::Table<'_> {
    type Written = written::Table;
    fn plain(&self) -> written::Table {
        written::Table { schema: self.schema.map(|schema| schema.decoded().into_owned()), name: self.name.decoded().into_owned() }
    }
}

impl Plain for change::Change<'_> {
    type Written = written::Item;
    fn plain(&self) -> written::Item {
        written::Item::Change(written::Change {
            kind: self.kind,
            table: self.table.plain(),
            columns: self.columns.plain(),
            identity: self.identity.as_ref().map(Plain::plain),
            primary_key: self.primary_key.as_ref().map(Plain::plain),
        })
    }
}

impl Plain for change::Message<'_> {
    type Written = written::Item;
    fn plain(&self) -> written::Item {
        let (prefix, content) = (self.prefix.decoded().into_owned(), self.content.decoded().into_owned());
        written::Item::Message(written::Message { transactional: self.transactional, prefix, content })
    }
}

impl Plain for v1::Item<'_> {
    type Written = written::Item;
    fn plain(&self) -> written::Item {
        match self {
            Self::Change(change) => change.plain(),
            Self::Message(message) => message.plain(),
        }
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Format {
    One,
    Two,
}

/// What a format can say of an item under these options.
fn told(item: &written::Item, options: Options, format: Format) -> written::Item {
    let written::Item::Change(change) = item else { return item.clone() };
    let columns =
        |columns: &[written::Column], is_row| columns.iter().map(|column| told_of_column(column, is_row, options, format)).collect();
    let is_told = |column: &&written::Column| format == Format::Two || column.value.as_deref() != Some("null");
    let identity = |all: &Vec<written::Column>| columns(&all.iter().filter(is_told).cloned().collect::<Vec<_>>(), false);
    let key = |all: &Vec<written::Column>| all.iter().map(|column| told_of_key(column, options, format)).collect::<Vec<_>>();
    written::Item::Change(written::Change {
        kind: change.kind,
        table: told_of_table(&change.table, options),
        columns: columns(&change.columns, true),
        identity: change.identity.as_ref().map(identity),
        primary_key: change.primary_key.as_ref().filter(|key| options.pk && (format == Format::Two || !key.is_empty())).map(key),
    })
}

fn told_of_table(table: &written::Table, options: Options) -> written::Table {
    written::Table { schema: table.schema.clone().filter(|_| options.schemas), name: table.name.clone() }
}

fn told_of_column(column: &written::Column, is_row: bool, options: Options, format: Format) -> written::Column {
    let optionals = options.not_null && (format == Format::Two || options.types);
    let mut told = column.clone();
    told.type_name = told.type_name.filter(|_| options.types);
    told.type_oid = told.type_oid.filter(|_| options.type_oids);
    told.position = told.position.filter(|_| is_row && options.positions);
    told.is_optional = told.is_optional.filter(|_| is_row && optionals);
    told.default = told.default.filter(|_| is_row && options.defaults);
    told
}

fn told_of_key(column: &written::Column, options: Options, format: Format) -> written::Column {
    let mut told = told_of_column(column, false, options, format);
    told.value = None;
    told.type_oid = told.type_oid.filter(|_| format == Format::Two);
    told
}

/// What format 2 tells, without what format 1 leaves out.
fn as_in_format_1<'a>(change: &change::Change<'a>, options: Options) -> change::Change<'a> {
    let mut change = change.clone();
    if let Some(identity) = &mut change.identity {
        identity.retain(|column| column.value.as_json() != "null");
    }
    for column in change.columns.iter_mut().filter(|_| !options.types) {
        column.is_optional = None;
    }
    for column in change.primary_key.iter_mut().flatten() {
        column.type_oid = None;
    }
    change.primary_key = change.primary_key.filter(|key| !key.is_empty());
    change
}

fn check_context(context: change::Context, transaction: &written::Transaction, options: Options) -> Result<(), TestCaseError> {
    prop_assert_eq!(context.xid, options.xids.then_some(transaction.xid));
    let timestamp = context.timestamp.map(|timestamp| timestamp.decoded().into_owned());
    prop_assert_eq!(timestamp, options.timestamp.then(|| transaction.timestamp.clone()));
    prop_assert_eq!(context.origin, options.origin.then_some(transaction.origin.into()));
    Ok(())
}

/// The text with a member more at the front and at the end of each object that `chosen` picks.
fn with_unknown_members(text: &str, chosen: u64) -> String {
    let unknown = r#""unknown":{"action":[1e400,{"kind":null},[]],"\u0041":"\"}"}"#;
    let (mut out, mut count) = (String::new(), 0);
    let (mut in_string, mut is_escaped) = (false, false);
    for next in text.chars() {
        let is_brace = !in_string && matches!(next, '{' | '}');
        count += u32::from(is_brace);
        let picked = is_brace && chosen >> (count % 64) & 1 == 1;
        in_string ^= next == '"' && !is_escaped;
        is_escaped = next == '\\' && !is_escaped;
        match next {
            '{' if picked => out.push_str(&format!("{{{unknown},")),
            '}' if picked => out.push_str(&format!(",{unknown}}}")),
            other => out.push(other),
        }
    }
    out
}

fn check_any_bytes(bytes: Vec<u8>) {
    let text = mend(bytes);
    let _ = (v1::Transaction::parse(&text), v1::Item::parse(&text), v2::Record::parse(&text));
    let _ = (v1::Item::table(&text), v2::Record::table(&text));
}

fn table_of<'a>(record: &v2::Record<'a>) -> Option<change::Table<'a>> {
    match &record.action {
        v2::Action::Change(change) => Some(change.table),
        v2::Action::Truncate(table) => Some(*table),
        _ => None,
    }
}

proptest! {
    #[test]
    fn what_format_1_writes_is_read(transaction in any_transaction(), options in any_options()) {
        let text = mended(&written::format_1(&transaction, options));
        let read = v1::Transaction::parse(&text).unwrap();
        check_context(read.context, &transaction, options)?;
        prop_assert_eq!(read.commit_end, options.lsn.then(|| Lsn::from(transaction.commit_end)));
        let told: Vec<_> = transaction.items.iter().map(|item| told(item, options, Format::One)).collect();
        prop_assert_eq!(read.items.plain(), told);
    }

    #[test]
    fn what_format_2_writes_is_read(transaction in any_transaction(), options in any_options()) {
        let texts: Vec<_> = written::format_2(&transaction, options).iter().map(|text| mended(text)).collect();
        let records: Vec<_> = texts.iter().map(|text| v2::Record::parse(text).unwrap()).collect();
        let commit_end = options.lsn.then(|| Lsn::from(transaction.commit_end));
        let mut items = vec![];
        for (index, record) in records.iter().enumerate() {
            check_context(record.context, &transaction, options)?;
            let is_boundary = index == 0 || index + 1 == records.len();
            let lsn = transaction.commit_lsn - u64::from(!is_boundary);
            prop_assert_eq!(record.lsn, options.lsn.then(|| Lsn::from(lsn)));
            match &record.action {
                v2::Action::Begin { commit_end: end } => prop_assert!(index == 0 && *end == commit_end),
                v2::Action::Commit { commit_end: end } => prop_assert!(index + 1 == records.len() && *end == commit_end),
                v2::Action::Change(change) => items.push(change.plain()),
                v2::Action::Message(message) => items.push(message.plain()),
                v2::Action::Truncate(_) => prop_assert!(false),
            }
        }
        let told: Vec<_> = transaction.items.iter().map(|item| told(item, options, Format::Two)).collect();
        prop_assert_eq!(items, told);
    }

    #[test]
    fn both_formats_tell_the_same(change in any_change(), options in any_options()) {
        let item = written::Item::Change(change);
        let one = mended(&written::item_of_format_1(&item, options));
        let v1::Item::Change(one) = v1::Item::parse(&one).unwrap() else { panic!("{one}") };
        let transaction =
            written::Transaction { xid: 1, timestamp: String::new(), origin: 0, commit_lsn: 1, commit_end: 2, items: vec![item] };
        let two = mended(&written::format_2(&transaction, options)[1]);
        let v2::Action::Change(two) = v2::Record::parse(&two).unwrap().action else { panic!("{two}") };
        prop_assert_eq!(one, as_in_format_1(&two, options));
    }

    #[test]
    fn messages_outside_of_transactions_are_read(message in any_message(false), options in any_options(), comma: bool, lsn: u64) {
        let item = written::Item::Message(message.clone());
        let text = mended(&written::message_of_format_1(&message, comma));
        let read = v1::Transaction::parse(&text).unwrap();
        prop_assert_eq!((read.context, read.commit_end, read.items.plain()), (change::Context::default(), None, vec![item.clone()]));

        let text = mended(&written::message_of_format_2(&message, lsn, options));
        let read = v2::Record::parse(&text).unwrap();
        let v2::Action::Message(message) = read.action else { panic!("{text}") };
        prop_assert_eq!((read.context, message.plain()), (change::Context::default(), item));
        prop_assert_eq!(read.lsn, options.lsn.then(|| Lsn::from(lsn)));
    }

    #[test]
    fn emptied_tables_are_read(table in any_table(), options in any_options()) {
        let text = mended(&written::truncate_of_format_2(&table, options));
        let v2::Action::Truncate(read) = v2::Record::parse(&text).unwrap().action else { panic!("{text}") };
        prop_assert_eq!(read.plain(), told_of_table(&table, options));
    }

    #[test]
    fn what_is_passed_on_stays_escaped_as_it_was(change in any_change(), options in any_options()) {
        let text = mended(&written::item_of_format_1(&written::Item::Change(change.clone()), options));
        let v1::Item::Change(read) = v1::Item::parse(&text).unwrap() else { panic!("{text}") };
        prop_assert_eq!(read.table.name.as_json(), written::escape_json(&change.table.name));
        for (read, column) in read.columns.iter().zip(&change.columns) {
            prop_assert_eq!(read.name.as_json(), written::escape_json(&column.name));
        }
    }

    #[test]
    fn unknown_members_change_nothing(transaction in any_transaction(), options in any_options(), chosen: u64) {
        let text = mended(&written::format_1(&transaction, options));
        let more = with_unknown_members(&text, chosen);
        prop_assert_eq!(v1::Transaction::parse(&more), v1::Transaction::parse(&text));
        for text in written::format_2(&transaction, options) {
            let text = mended(&text);
            let more = with_unknown_members(&text, chosen);
            prop_assert!(v2::Record::parse(&text).is_ok());
            prop_assert_eq!(v2::Record::parse(&more), v2::Record::parse(&text));
        }
    }

    #[test]
    fn the_table_is_the_same_whether_or_not_the_rest_is_read(transaction in any_transaction(), options in any_options(), chosen: u64) {
        for text in written::format_2(&transaction, options) {
            let text = mended(&text);
            let table = table_of(&v2::Record::parse(&text).unwrap());
            prop_assert_eq!(v2::Record::table(&text), Ok(table));
            let more = with_unknown_members(&text, chosen);
            prop_assert_eq!(v2::Record::table(&more), Ok(table));
        }
        for item in &transaction.items {
            let text = mended(&written::item_of_format_1(item, options));
            let table = match v1::Item::parse(&text).unwrap() {
                v1::Item::Change(change) => Some(change.table),
                v1::Item::Message(_) => None,
            };
            prop_assert_eq!(v1::Item::table(&text), Ok(table));
            let more = with_unknown_members(&text, chosen);
            prop_assert_eq!(v1::Item::table(&more), Ok(table));
        }
    }

    #[test]
    fn no_bytes_panic(bytes: Vec<u8>) {
        check_any_bytes(bytes);
    }

    #[test]
    fn no_damage_panics(transaction in any_transaction(), options in any_options(), at: prop::sample::Index, until: prop::sample::Index, byte: u8) {
        for text in written::format_2(&transaction, options).into_iter().chain([written::format_1(&transaction, options)]) {
            let (at, until) = (at.index(text.len()), until.index(text.len()));
            let (at, until) = (at.min(until), at.max(until));
            let bytes = text.into_bytes();
            check_any_bytes(bytes[..at].to_vec());
            check_any_bytes(bytes[at..].to_vec());
            check_any_bytes([&bytes[..at], &bytes[until..]].concat());
            check_any_bytes([&bytes[..until], &bytes[at..]].concat());
            check_any_bytes([&bytes[..at], &[byte], &bytes[at + 1..]].concat());
        }
    }
}
