//! Records of format 2 as events are made of them, for tests.

use serde_json::Value;

use super::super::catalogue::{Catalogue, admission};
use super::super::{Format, Item, Relation};
use super::Events;
use crate::row::{Encoding, Numbers};

/// Position, name, type, and value as a JSON token.
pub(super) type Told<'a> = (i16, &'a str, u32, &'a str);

pub(super) const BEGIN: &str =
    r#"{"action":"B","xid":741,"timestamp":"2026-11-23 17:57:57.21+00","lsn":"0/170FC80","nextlsn":"0/170FCB0"}"#;
pub(super) const COMMIT: &str =
    r#"{"action":"C","xid":741,"timestamp":"2026-11-23 17:57:57.21+00","lsn":"0/170FC80","nextlsn":"0/170FCB0"}"#;

pub(super) fn insert(lsn: &str, table: &str, row: &[Told<'_>]) -> String {
    record("I", lsn, table, &format!(r#","columns":[{}],"pk":[]"#, columns(row, true)))
}

/// `identity` is what the row was known by, and `key` its primary key.
pub(super) fn update(lsn: &str, table: &str, row: &[Told<'_>], identity: &[Told<'_>], key: &[&str]) -> String {
    let before = columns(identity, false);
    record("U", lsn, table, &format!(r#","columns":[{}],"identity":[{before}],"pk":[{}]"#, columns(row, true), names(key)))
}

pub(super) fn delete(lsn: &str, table: &str, identity: &[Told<'_>], key: &[&str]) -> String {
    record("D", lsn, table, &format!(r#","identity":[{}],"pk":[{}]"#, columns(identity, false), names(key)))
}

pub(super) fn truncate(lsn: &str, table: &str) -> String {
    record("T", lsn, table, "")
}

pub(super) fn message(lsn: &str, content: &str) -> String {
    let content = Value::from(content);
    format!(r#"{{"action":"M","xid":741,"timestamp":null,"lsn":"{lsn}","transactional":true,"prefix":"p","content":{content}}}"#)
}

pub(super) fn message_outside(lsn: &str) -> String {
    format!(r#"{{"action":"M","xid":null,"timestamp":null,"lsn":"{lsn}","transactional":false,"prefix":"p","content":"out"}}"#)
}

fn record(action: &str, lsn: &str, table: &str, rest: &str) -> String {
    let table = Value::from(table);
    format!(
        r#"{{"action":"{action}","xid":741,"timestamp":"2026-11-23 17:57:57.21+00","lsn":"{lsn}","schema":"public","table":{table}{rest}}}"#
    )
}

/// Only those of the row from now on have positions.
fn columns(columns: &[Told<'_>], with_positions: bool) -> String {
    let column = |(position, name, type_oid, value): &Told<'_>| {
        let position = if with_positions { format!(r#","position":{position}"#) } else { String::new() };
        // wal2json writes the number of a type as if it had a sign.
        let (name, type_oid) = (Value::from(*name), type_oid.cast_signed());
        format!(r#"{{"name":{name},"typeoid":{type_oid},"value":{value}{position}}}"#)
    };
    columns.iter().map(column).collect::<Vec<_>>().join(",")
}

fn names(key: &[&str]) -> String {
    key.iter().map(|name| format!(r#"{{"name":"{name}","typeoid":23}}"#)).collect::<Vec<_>>().join(",")
}

/// Events of everything, in messages of at most `limit` bytes.
pub(super) fn events(limit: usize) -> Format {
    events_of(Events::new(limit, false, Numbers::Bare, admission("", "")))
}

pub(super) fn events_of(events: Events) -> Format {
    Format::Events(Box::new(events))
}

/// What all messages say, in their order.
pub(super) fn said(items: &[Item]) -> Vec<Value> {
    let text = |item: &Item| match item {
        Item::Part { text, .. } | Item::Last { text, .. } | Item::Outside(text) => Some(text.clone()),
        Item::Nothing { .. } => None,
    };
    items.iter().filter_map(text).map(|text| serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))).collect()
}

/// The events of all messages, in their order.
pub(super) fn events_in(items: &[Item]) -> Vec<Value> {
    said(items).iter().filter_map(|message| message["events"].as_array().cloned()).flatten().collect()
}

/// What becomes of a change of the table `t`, without the id.
pub(super) fn event(relation: &Relation, record: &str) -> Value {
    let mut event = events_of_one(&mut events(1_000_000), &mut Catalogue::default().with("t", relation.clone()), &[record]).remove(0);
    event.as_object_mut().unwrap().remove("id").unwrap();
    event
}

/// The events of a transaction of these records.
pub(super) fn events_of_one(format: &mut Format, catalogue: &mut Catalogue, records: &[&str]) -> Vec<Value> {
    let frames = [&[BEGIN], records, &[COMMIT]].concat();
    events_in(&catalogue.read_all(format, &frames))
}

/// The text of a value in an event, where its column has this type and is written so.
pub(super) fn written(type_oid: u32, encoding: Encoding, numbers: Numbers, value: &str) -> String {
    let mut catalogue = Catalogue::default().with("t", super::super::catalogue::relation(&[("v", type_oid)]));
    catalogue.relations.values_mut().for_each(|relation| relation.columns[0].encoding = encoding.clone());
    let mut format = events_of(Events::new(1_000_000, false, numbers, admission("", "")));
    let items = catalogue.read_all(&mut format, &[BEGIN, &insert("0/20", "t", &[(1, "v", type_oid, value)]), COMMIT]);
    said(&items);
    let [Item::Last { text, .. }] = items.as_slice() else { panic!("{items:?}") };
    let (_, after) = text.split_once(r#""new":{"v":"#).unwrap();
    after.strip_suffix("}}]}").unwrap().to_owned()
}
