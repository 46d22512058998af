//! `events`: rows as objects, every value as the row model has it, a transaction a message, or several if it is a long one.
//!
//! Read from format 2, which alone has TRUNCATE. An event's id is made of positions of the WAL, so that it is the same whenever and through
//! whatever filter it comes.

mod change;
mod known;

use std::collections::{BTreeMap, VecDeque};
use std::io::Write;

use super::admission::name_of;
use super::place::Place;
use super::tables::{self, Tables};
use super::{Admission, Ahead, Answer, Item, Missing, PART_BYTES, Read, ReadError, Relation, make_room};
use crate::lsn::Lsn;
use crate::message::{Notice, NoticeCode, NoticeMessage};
use crate::name::TableName;
use crate::row::{Encoding, Numbers};
use crate::wal2json::change::{Change, Context, Kind, Message, Table, Text};
use crate::wal2json::v2::{Action, Record};
use crate::wal2json::{Malformed, mend};
use change::ChangeWriter;
use known::Known;

/// Events for one client.
#[derive(Debug)]
pub struct Events {
    /// The longest message that is put together, in bytes.
    limit: usize,
    /// Whether transactions without events are messages.
    empty_transactions: bool,
    numbers: Numbers,
    pub(super) admission: Admission,
    /// Tables that something came of, and others that were learnt with them.
    relations: Tables<Known>,
    /// How values are written, by the OIDs of their types.
    types: BTreeMap<u32, Encoding>,
    open: Option<Open>,
}

/// A transaction that has not ended, or a message outside of any.
#[derive(Debug)]
struct Open {
    /// Where it will have ended.
    commit_end: Option<Lsn>,
    /// `"xid":741,"commitTime":"…Z",`
    head: Vec<u8>,
    /// `{"id":"0/170FC80/`, with where its commit record begins: so begins each event.
    event_head: Vec<u8>,
    /// How many messages there were of it.
    parts: u32,
    /// The message that is being put together, as if it were the last one, and where its events begin in it.
    text: Vec<u8>,
    start: usize,
    /// The position of the last change, and how many had it before that one.
    last: (Lsn, u32),
    place: Place,
}

/// A message has the position of what follows it, and is not counted with that: it may be filtered out. No row and no table has this number.
const MESSAGE_NUMBER: u32 = u32::MAX;

/// Tables that are asked for with another one, and how many of them nothing may have come of yet, for each that something has.
const MOST_AHEAD: usize = 100;
const MOST_AHEAD_OF_ONE: usize = 8;

const END: &str = "]}";

/// Enough for what the events of a transaction begin with, and for what its messages do: neither is copied as it grows.
const HEAD_BYTES: usize = 96;

/// Enough for a short message.
const MESSAGE_BYTES: usize = 512;

impl Events {
    /// Messages of at most `limit` bytes, if a single event is not longer.
    pub fn new(limit: usize, empty_transactions: bool, numbers: Numbers, admission: Admission) -> Self {
        Self { limit, empty_transactions, numbers, admission, relations: Tables::default(), types: BTreeMap::new(), open: None }
    }

    pub(super) fn is_inside(&self) -> bool {
        self.open.is_some()
    }

    pub(super) fn rewind(&mut self) {
        self.open.take_if(|open| open.parts == 0);
        if let Some(open) = &mut self.open {
            open.place.rewind();
        }
    }

    pub(super) fn begun(&self) -> Option<Lsn> {
        self.open.as_ref().filter(|open| open.parts > 0).and_then(|open| open.commit_end)
    }

    /// Where one table has changes, its neighbours often have some too, but what was learnt of tables in vain must not outweigh the rest.
    pub(super) fn ahead(&self) -> Ahead {
        let known = self.relations.len();
        let met = self.relations.values().filter(|known| known.was_met()).count();
        let most = (met * MOST_AHEAD_OF_ONE).saturating_sub(known - met).min(MOST_AHEAD);
        if most == 0 || known > tables::MOST / 2 {
            return Ahead::default();
        }
        Ahead { most, known: self.relations.values().filter_map(Known::oid).collect() }
    }

    pub(super) fn learn(&mut self, answer: Answer) {
        match answer {
            Answer::Relations(relations) => relations.into_iter().for_each(|(table, relation)| self.learn_relation(&table, relation)),
            Answer::Types(types) => self.types.extend(types),
            Answer::Structure(structure) => {
                if self.admission.learn_structure(structure) {
                    self.relations = Tables::default();
                }
            }
        }
    }

    fn learn_relation(&mut self, table: &TableName, relation: Relation) {
        if relation.is_ahead && self.relations.get_named(table).is_some() {
            return;
        }
        self.admission.learn(table, &relation);
        self.types.extend(relation.columns.iter().map(|column| (column.type_oid, column.encoding.clone())));
        let former = self.relations.remove(table);
        self.relations.insert(table, Known::new(relation, former));
    }

    pub(super) fn forget(&mut self) {
        self.admission.forget();
        self.relations = Tables::default();
        self.types.clear();
    }

    pub(super) fn forget_if_too_many(&mut self) {
        self.admission.forget_if_too_many();
        self.relations.forget_if_too_many();
        if self.types.len() > tables::MOST {
            self.types.clear();
        }
    }

    pub(super) fn read(&mut self, frame: Vec<u8>, items: &mut VecDeque<Item>) -> Result<Read, ReadError> {
        // What can be read needs no mending; to look for it first would be to read everything twice.
        if let Some(record) = std::str::from_utf8(&frame).ok().and_then(|text| Record::parse(text).ok()) {
            let missing = self.record(&record, items)?;
            return Ok(missing.map_or(Read::Done, |missing| Read::Missing(missing, frame)));
        }
        let text = mend(frame);
        let missing = self.record(&Record::parse(&text)?, items)?;
        Ok(missing.map_or(Read::Done, |missing| Read::Missing(missing, text.into_bytes())))
    }

    fn record(&mut self, record: &Record<'_>, items: &mut VecDeque<Item>) -> Result<Option<Missing>, ReadError> {
        let lsn = record.lsn.ok_or(Malformed)?;
        match &record.action {
            Action::Begin { commit_end } => self.begin(&record.context, lsn, commit_end.ok_or(Malformed)?)?,
            Action::Message(message) if !message.transactional => self.message_outside(lsn, message, items)?,
            action => return self.inside(lsn, action, items),
        }
        Ok(None)
    }

    fn inside(&mut self, lsn: Lsn, action: &Action<'_>, items: &mut VecDeque<Item>) -> Result<Option<Missing>, ReadError> {
        let place = &mut self.open.as_mut().ok_or(Malformed)?.place;
        let is_end = matches!(action, Action::Commit { .. });
        if place.is_waiting() || is_end && !place.has_passed() {
            return Err(ReadError::AnotherTransaction);
        }
        if place.pass() {
            return Ok(None);
        }
        let missing = match action {
            Action::Change(change) => self.change(lsn, change, items)?,
            Action::Truncate(table) => self.truncate(lsn, table, items)?,
            Action::Message(message) => self.message(lsn, message, items)?,
            Action::Begin { .. } | Action::Commit { .. } => {
                self.commit(items)?;
                return Ok(None);
            }
        };
        if missing.is_none() {
            self.open.as_mut().ok_or(Malformed)?.place.read();
        }
        Ok(missing)
    }

    fn begin(&mut self, context: &Context<'_>, commit: Lsn, commit_end: Lsn) -> Result<(), ReadError> {
        self.admission.xid = context.xid;
        match &mut self.open {
            Some(open) if open.commit_end != Some(commit_end) => return Err(ReadError::AnotherTransaction),
            Some(open) => open.place.begin(),
            None => self.open = Some(Open::new(commit, Some(commit_end), context)),
        }
        Ok(())
    }

    fn commit(&mut self, items: &mut VecDeque<Item>) -> Result<(), Malformed> {
        let open = self.open.take().ok_or(Malformed)?;
        let commit_end = open.commit_end.ok_or(Malformed)?;
        if open.is_empty() && !self.empty_transactions {
            items.push_back(Item::Nothing { commit_end });
        } else {
            items.push_back(Item::Last { text: open.last()?, commit_end });
        }
        Ok(())
    }

    fn change(&mut self, lsn: Lsn, change: &Change<'_>, items: &mut VecDeque<Item>) -> Result<Option<Missing>, Malformed> {
        match self.admission.admits(&change.table) {
            Ok(true) => {}
            Ok(false) => return Ok(None),
            Err(missing) => return Ok(Some(missing)),
        }
        let xid = self.admission.xid;
        let known = self.relations.get(&change.table).and_then(|known| known.is_true_for(xid, change).then_some(known));
        let Some(known) = known else { return Ok(Some(Missing::Relations(vec![name_of(&change.table)]))) };
        // What was learnt after the transaction has all that happened to the table before it.
        if self.admission.is_in_doubt() && !known.is_after(xid) {
            return Ok(Some(Missing::Structure));
        }
        let unknown = unknown_types(change, &self.types);
        if !unknown.is_empty() {
            return Ok(Some(Missing::Types(unknown)));
        }
        let open = self.open.as_mut().ok_or(Malformed)?;
        known.met(change);
        let start = open.start_event(lsn, None);
        let writer = ChangeWriter { change, known, types: &self.types, numbers: self.numbers, xid };
        let limit = open.limit(self.limit);
        make_room(&mut open.text, writer.length(), limit);
        writer.write(&mut open.text);
        self.end_event(start, items)
    }

    fn truncate(&mut self, lsn: Lsn, table: &Table<'_>, items: &mut VecDeque<Item>) -> Result<Option<Missing>, Malformed> {
        match self.admission.admits(table) {
            Ok(true) => {}
            Ok(false) => return Ok(None),
            Err(missing) => return Ok(Some(missing)),
        }
        let xid = self.admission.xid;
        let Some(known) = self.relations.get(table).and_then(|known| known.meet(xid).then_some(known)) else {
            return Ok(Some(Missing::Relations(vec![name_of(table)])));
        };
        let open = self.open.as_mut().ok_or(Malformed)?;
        let start = open.start_event(lsn, Some(number(table)));
        open.text.extend_from_slice(br#""op":"truncate""#);
        known.write_table(table, &mut open.text);
        self.end_event(start, items)
    }

    fn message(&mut self, lsn: Lsn, message: &Message<'_>, items: &mut VecDeque<Item>) -> Result<Option<Missing>, Malformed> {
        let open = self.open.as_mut().ok_or(Malformed)?;
        let start = open.start_event(lsn, Some(MESSAGE_NUMBER));
        write_message(message, &mut open.text);
        self.end_event(start, items)
    }

    fn message_outside(&mut self, lsn: Lsn, message: &Message<'_>, items: &mut VecDeque<Item>) -> Result<(), Malformed> {
        let mut alone = Open::new(lsn, None, &Context::default());
        alone.start_event(lsn, Some(MESSAGE_NUMBER));
        write_message(message, &mut alone.text);
        alone.text.push(b'}');
        items.push_back(Item::Outside(alone.last()?));
        Ok(())
    }

    /// Closes an event that began at `start`, and makes a message of those before it if it does not fit.
    fn end_event(&mut self, start: usize, items: &mut VecDeque<Item>) -> Result<Option<Missing>, Malformed> {
        let open = self.open.as_mut().ok_or(Malformed)?;
        open.text.push(b'}');
        if start > open.start && open.text.len() + END.len() > open.limit(self.limit) {
            let commit_end = open.commit_end.ok_or(Malformed)?;
            items.push_back(Item::Part { text: open.cut(start)?, commit_end });
        }
        Ok(None)
    }
}

impl Open {
    fn new(commit: Lsn, commit_end: Option<Lsn>, context: &Context<'_>) -> Self {
        let mut event_head = Vec::with_capacity(HEAD_BYTES);
        event_head.extend_from_slice(br#"{"id":""#);
        commit.write(&mut event_head);
        event_head.push(b'/');
        let head = head(context);
        let mut open =
            Self { commit_end, head, event_head, parts: 0, text: vec![], start: 0, last: (Lsn::ZERO, 0), place: Place::default() };
        open.start_message();
        open
    }

    /// How long the message may get, where a whole transaction may have `limit` bytes.
    fn limit(&self, limit: usize) -> usize {
        if self.parts == 0 { limit } else { limit.min(PART_BYTES) }
    }

    fn is_empty(&self) -> bool {
        self.parts == 0 && self.text.len() == self.start
    }

    fn start_message(&mut self) {
        self.text = self.message_head(true);
        self.start = self.text.len();
    }

    /// Only the last message has a position to acknowledge.
    fn message_head(&self, is_last: bool) -> Vec<u8> {
        let mut head = Vec::with_capacity(MESSAGE_BYTES);
        head.push(b'{');
        if let Some(position) = self.commit_end.filter(|_| is_last) {
            head.extend_from_slice(br#""nextlsn":""#);
            position.write(&mut head);
            head.extend_from_slice(br#"","#);
        }
        head.extend_from_slice(&self.head);
        head.extend_from_slice(br#""part":"#);
        write_number(self.parts, &mut head);
        head.extend_from_slice(if is_last { br#","last":true,"events":["# } else { br#","last":false,"events":["# });
        head
    }

    /// Writes all that an event begins with, and returns where it begins. `number` tells it from others of the same position; without it,
    /// they are counted.
    fn start_event(&mut self, lsn: Lsn, number: Option<u32>) -> usize {
        let number = number.unwrap_or_else(|| self.count(lsn));
        let start = self.text.len();
        if start > self.start {
            self.text.push(b',');
        }
        self.text.extend_from_slice(&self.event_head);
        lsn.write(&mut self.text);
        self.text.push(b'/');
        write_number(number, &mut self.text);
        self.text.extend_from_slice(br#"","#);
        start
    }

    /// How many changes had this position before: rows of one COPY share it.
    fn count(&mut self, lsn: Lsn) -> u32 {
        self.last = if self.last.0 == lsn { (lsn, self.last.1 + 1) } else { (lsn, 0) };
        self.last.1
    }

    /// The message of all events before the last one, which begins at `start` with a comma, and begins the next message.
    fn cut(&mut self, start: usize) -> Result<String, Malformed> {
        let event = self.text.split_off(start);
        let mut text = std::mem::take(&mut self.text);
        text.splice(..self.start, self.message_head(false));
        self.parts += 1;
        self.start_message();
        self.text.extend(event.into_iter().skip(1));
        ended(text)
    }

    /// The last message.
    fn last(self) -> Result<String, Malformed> {
        ended(self.text)
    }
}

fn ended(mut text: Vec<u8>) -> Result<String, Malformed> {
    text.extend_from_slice(END.as_bytes());
    String::from_utf8(text).map_err(|_| Malformed)
}

/// Those of its columns that nothing is known of yet.
fn unknown_types(change: &Change<'_>, known: &BTreeMap<u32, Encoding>) -> Vec<u32> {
    let columns = change.columns.iter().chain(change.identity.iter().flatten());
    columns.filter_map(|column| column.type_oid).filter(|oid| !known.contains_key(oid)).collect()
}

/// Tells the client something that is no event.
pub(super) fn notice(code: NoticeCode, message: String, table: &TableName) -> String {
    NoticeMessage { notice: Notice { code, message, schema: table.schema.clone(), table: table.table.clone() } }.to_json()
}

/// Tells the tables of one TRUNCATE apart, by their names: those in the stream never change, whatever becomes of the tables.
fn number(table: &Table<'_>) -> u32 {
    let name = [table.schema.map_or("", Text::as_json), table.name.as_json()].concat();
    // FNV-1a, which gives the same number in every release.
    name.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

fn write_message(message: &Message<'_>, out: &mut Vec<u8>) {
    let (prefix, content, transactional) = (message.prefix.as_json(), message.content.as_json(), message.transactional);
    // Writing to memory does not fail.
    let _ = write!(out, r#""op":"message","prefix":{prefix},"content":{content},"transactional":{transactional}"#);
}

/// `"xid":741,"commitTime":"2026-11-23T17:57:57.21Z",` of what wal2json writes as `"2026-11-23 17:57:57.21+00"`.
fn head(context: &Context<'_>) -> Vec<u8> {
    let mut head = Vec::with_capacity(HEAD_BYTES);
    head.extend_from_slice(br#""xid":"#);
    match context.xid {
        Some(xid) => write_number(xid, &mut head),
        None => head.extend_from_slice(b"null"),
    }
    head.extend_from_slice(br#","commitTime":"#);
    let time = context.timestamp.map_or("null", Text::as_json);
    match time.strip_suffix("+00\"").and_then(|time| time.split_once(' ')) {
        Some((date, time)) => [date, "T", time, "Z\""].into_iter().for_each(|part| head.extend_from_slice(part.as_bytes())),
        None => head.extend_from_slice(time.as_bytes()),
    }
    head.push(b',');
    head
}

fn write_number(number: u32, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

fn op(kind: Kind) -> &'static str {
    match kind {
        Kind::Insert => "insert",
        Kind::Update => "update",
        Kind::Delete => "delete",
    }
}

#[cfg(test)]
mod told;

#[cfg(test)]
mod tests {
    use super::super::catalogue::{Catalogue, admission, name, relation, seen_before};
    use super::super::{Format, Item, tables};
    use super::told::{
        BEGIN, COMMIT, Told, delete, events, events_in, events_of, events_of_one, insert, message, message_outside, said, truncate, update,
    };
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};
    use std::collections::BTreeSet;

    fn row(id: &str) -> [Told<'_>; 1] {
        [(1, "id", 23, id)]
    }

    fn catalogue() -> Catalogue {
        let (t, u) = (relation(&[("id", 23)]), Relation { oid: Some(16_400), ..relation(&[("id", 23)]) });
        Catalogue::default().with("t", t).with("u", u)
    }

    fn ids(events: &[Value]) -> Vec<&str> {
        events.iter().map(|event| event["id"].as_str().unwrap()).collect()
    }

    #[test]
    fn a_transaction_is_a_message_that_says_which_one_it_is() {
        let items = catalogue().read_all(&mut events(10_000), &[BEGIN, &insert("0/20", "t", &row("1")), COMMIT]);
        let [Item::Last { text, commit_end }] = items.as_slice() else { panic!("{items:?}") };
        assert_eq!(commit_end.to_string(), "0/170FCB0");
        assert_eq!(
            text,
            r#"{"nextlsn":"0/170FCB0","xid":741,"commitTime":"2026-11-23T17:57:57.21Z","part":0,"last":true,"events":[{"id":"0/170FC80/0/20/0","op":"insert","schema":"public","table":"t","new":{"id":1}}]}"#
        );
    }

    #[test]
    fn a_transaction_without_events_is_a_message_only_if_it_is_wanted() {
        let items = catalogue().read_all(&mut events(10_000), &[BEGIN, COMMIT]);
        assert_eq!(items, [Item::Nothing { commit_end: "0/170FCB0".parse().unwrap() }]);
        let mut with_empty = events_of(Events::new(10_000, true, Numbers::Bare, admission("", "t")));
        let items = catalogue().read_all(&mut with_empty, &[BEGIN, &insert("0/20", "t", &row("1")), COMMIT]);
        let [message] = said(&items).try_into().unwrap();
        assert_eq!((&message["nextlsn"], &message["last"], &message["events"]), (&json!("0/170FCB0"), &json!(true), &json!([])));
    }

    #[test]
    fn ids_are_positions_and_what_tells_those_at_the_same_position_apart() {
        let records = [
            insert("0/20", "t", &row("1")),
            insert("0/20", "t", &row("2")),
            insert("0/20", "t", &row("3")),
            message("0/28", "m"),
            insert("0/28", "u", &row("4")),
            truncate("0/30", "t"),
            truncate("0/30", "u"),
            truncate("0/30", "gone"),
        ];
        let frames: Vec<&str> = records.iter().map(String::as_str).collect();
        let told = events_of_one(&mut events(10_000), &mut catalogue(), &frames);
        let expected = [
            "0/170FC80/0/20/0",
            "0/170FC80/0/20/1",
            "0/170FC80/0/20/2",
            "0/170FC80/0/28/4294967295",
            "0/170FC80/0/28/0",
            "0/170FC80/0/30/26063998",
            "0/170FC80/0/30/596650139",
        ];
        assert_eq!(ids(&told)[..7], expected);
        let filtered = &mut events_of(Events::new(10_000, false, Numbers::Bare, admission("u,gone", "")));
        let some = events_of_one(filtered, &mut catalogue(), &frames);
        assert_eq!(ids(&some), [ids(&told)[3], ids(&told)[4], ids(&told)[6], ids(&told)[7]], "the same through a filter");
    }

    #[test]
    fn messages_are_events_and_stand_alone_outside_of_a_transaction() {
        let items = catalogue().read_all(&mut events(10_000), &[BEGIN, &message("0/20", "in\n"), &message_outside("0/21"), COMMIT]);
        assert!(matches!(items.as_slice(), [Item::Outside(_), Item::Last { .. }]));
        let outside = json!({"xid": null, "commitTime": null, "part": 0, "last": true, "events": [
            {"id": "0/21/0/21/4294967295", "op": "message", "prefix": "p", "content": "out", "transactional": false}]});
        assert_eq!(said(&items)[0], outside);
        assert_eq!(said(&items)[1]["events"][0]["content"], "in\n");
    }

    #[test]
    fn a_long_transaction_comes_in_parts_of_which_only_the_last_has_a_position() {
        let rows: Vec<String> = (0..100).map(|id| insert("0/20", "t", &row(&id.to_string()))).collect();
        let frames = [&[BEGIN.to_owned()], rows.as_slice(), &[COMMIT.to_owned()]].concat();
        let items = catalogue().read_all(&mut events(1_000), &frames);
        let messages = said(&items);
        assert!(messages.len() > 5);
        for (index, message) in messages.iter().enumerate() {
            let is_last = index + 1 == messages.len();
            assert_eq!((&message["part"], &message["last"]), (&json!(index), &json!(is_last)));
            assert_eq!(message.get("nextlsn").is_some(), is_last);
            assert_eq!((&message["xid"], &message["commitTime"]), (&json!(741), &json!("2026-11-23T17:57:57.21Z")));
        }
        assert!(
            matches!(items.split_last(), Some((Item::Last { .. }, parts)) if parts.iter().all(|part| matches!(part, Item::Part { text, .. } if text.len() <= 1_000 && text.len() > 800)))
        );
        assert!(events_in(&items).iter().map(|event| event["new"]["id"].as_u64().unwrap()).eq(0..100));
    }

    #[test]
    fn after_the_first_cut_messages_are_shorter() {
        let long = format!("\"{}\"", "x".repeat(PART_BYTES / 4));
        let changes: Vec<String> =
            (0..20).map(|id: u32| insert("0/20", "t", &[(1, "id", 23, id.to_string().as_str()), (2, "text", 25, &long)])).collect();
        let frames: Vec<&str> = [BEGIN].into_iter().chain(changes.iter().map(String::as_str)).chain([COMMIT]).collect();
        let items = catalogue().read_all(&mut events(2 * PART_BYTES), &frames);
        let lengths: Vec<usize> = said(&items).iter().map(|message| message.to_string().len()).collect();
        assert!(lengths[0] > PART_BYTES && lengths[1..].iter().all(|length| *length <= PART_BYTES), "{lengths:?}");
    }

    #[test]
    fn a_notice_says_what_it_is_about() {
        let notice = events(10_000).notice(NoticeCode::NoReplicaIdentity, String::from("te\"xt"), &name("\"T\"")).unwrap();
        let notice: Value = serde_json::from_str(&notice).unwrap();
        assert_eq!(notice, json!({"notice": {"code": "no_replica_identity", "message": "te\"xt", "schema": "public", "table": "T"}}));
    }

    #[test]
    fn the_tables_of_one_truncate_are_told_apart_by_their_names() {
        let number = |table: &str| {
            let record = truncate("0/20", table);
            let Action::Truncate(table) = Record::parse(&record).unwrap().action else { panic!("{record}") };
            number(&table)
        };
        assert_eq!(number("t"), 26_063_998, "the same in every release");
        assert_ne!(number("t"), number("u"));
    }

    #[test]
    fn what_a_begin_does_not_say_is_null_and_a_time_of_another_zone_stays_as_it_is() {
        let head = |begin: &str| String::from_utf8(head(&Record::parse(begin).unwrap().context)).unwrap();
        assert_eq!(head(r#"{"action":"B"}"#), r#""xid":null,"commitTime":null,"#);
        let elsewhere = r#"{"action":"B","xid":7,"timestamp":"2026-11-23 17:57:57.21+05:30"}"#;
        assert_eq!(head(elsewhere), r#""xid":7,"commitTime":"2026-11-23 17:57:57.21+05:30","#);
    }

    #[test]
    fn the_catalogue_is_asked_for_what_is_let_through_and_once() {
        let mut format = events_of(Events::new(10_000, false, Numbers::Bare, admission("", "u")));
        let mut catalogue = catalogue();
        let unknown_type = [(1, "id", 99, "\"1\"")];
        let frames = [insert("0/8", "u", &unknown_type), insert("0/8", "t", &row("1")), insert("0/20", "t", &row("2"))];
        events_of_one(&mut format, &mut catalogue, &frames.each_ref().map(String::as_str));
        assert_eq!(catalogue.asked, [Missing::Relations(vec![name("u")]), Missing::Relations(vec![name("t")])]);
        catalogue.asked.clear();
        events_of_one(&mut format, &mut catalogue, &[&insert("0/8", "t", &unknown_type), &insert("0/8", "t", &unknown_type)]);
        assert_eq!(catalogue.asked, [Missing::Relations(vec![name("t")]), Missing::Types(vec![99])], "it is a type of long ago");
        catalogue.asked.clear();
        let odd = update("0/21", "t", &[], &[], &[]);
        events_of_one(&mut format, &mut catalogue, &[&odd, &odd, &insert("0/21", "t", &row("3")), &odd]);
        assert_eq!(catalogue.asked, [Missing::Relations(vec![name("t")])]);
    }

    #[test]
    fn a_table_that_was_altered_is_asked_for_again_and_written_as_it_is_now() {
        let (mut format, mut catalogue) = (events(10_000), catalogue());
        events_of_one(&mut format, &mut catalogue, &[&insert("0/20", "t", &row("1"))]);
        let altered = Relation { seen: seen_before(1_000), ..relation(&[("id", 23), ("j", 3802)]) };
        catalogue.relations.insert(name("t"), altered);
        let told = events_of_one(&mut format, &mut catalogue, &[&insert("0/21", "t", &[(1, "id", 23, "1"), (2, "j", 3802, "\"[1]\"")])]);
        assert_eq!(told[0]["new"], json!({"id": 1, "j": [1]}));
        assert_eq!(catalogue.asked.len(), 2);
    }

    #[test]
    fn a_table_that_was_learnt_ahead_is_asked_for_unless_that_was_after_its_first_change() {
        let frames = [insert("0/20", "t", &row("1")), truncate("0/21", "t")];
        for (seen, questions, first) in [(0, 1, 0), (0, 1, 1), (1_000, 0, 0), (1_000, 0, 1)] {
            let (mut format, mut catalogue) = (events(10_000), catalogue());
            let ahead = Relation { seen: seen_before(seen), is_ahead: true, ..relation(&[("id", 23)]) };
            format.learn(Answer::Relations(vec![(name("t"), ahead)]));
            for frame in [&frames[first], &frames[1 - first], &frames[first]] {
                events_of_one(&mut format, &mut catalogue, &[frame]);
            }
            assert_eq!(catalogue.asked.len(), questions);
        }
    }

    #[test]
    fn more_is_asked_for_ahead_the_more_of_it_was_of_use() {
        let (mut format, mut catalogue) = (events(10_000), catalogue());
        assert_eq!(format.ahead(), Ahead::default());
        events_of_one(&mut format, &mut catalogue, &[&insert("0/20", "t", &row("1"))]);
        assert_eq!(format.ahead(), Ahead { most: MOST_AHEAD_OF_ONE, known: vec![16_384] });
        let ahead = |table: &str| (name(table), Relation { seen: seen_before(1_000), is_ahead: true, ..relation(&[("id", 23)]) });
        format.learn(Answer::Relations((0..MOST_AHEAD_OF_ONE).map(|number| ahead(&format!("t{number}"))).collect()));
        assert_eq!(format.ahead(), Ahead::default(), "of none of them has come anything");
        events_of_one(&mut format, &mut catalogue, &[&insert("0/20", "t0", &row("1"))]);
        assert_eq!(format.ahead().most, MOST_AHEAD_OF_ONE + 1);
        for number in 1..MOST_AHEAD_OF_ONE {
            events_of_one(&mut format, &mut catalogue, &[&insert("0/20", &format!("t{number}"), &row("1"))]);
        }
        assert_eq!((format.ahead().most, catalogue.asked.len()), ((MOST_AHEAD_OF_ONE + 1) * MOST_AHEAD_OF_ONE, 1));
        format.learn(Answer::Relations((0..tables::MOST / 2).map(|number| ahead(&format!("u{number}"))).collect()));
        assert_eq!(format.ahead(), Ahead::default(), "there are enough");
    }

    #[test]
    fn what_was_learnt_when_it_was_needed_counts_more_than_what_is_learnt_ahead() {
        let (mut format, mut catalogue) = (events(10_000), catalogue());
        events_of_one(&mut format, &mut catalogue, &[&insert("0/20", "t", &row("1"))]);
        format.learn(Answer::Relations(vec![(name("t"), Relation { is_ahead: true, ..Relation::default() })]));
        events_of_one(&mut format, &mut catalogue, &[&insert("0/20", "t", &row("2"))]);
        assert_eq!(catalogue.asked.len(), 1);
    }

    #[test]
    fn what_was_learnt_after_the_transaction_is_not_doubted() {
        for (seen, questions) in [(0x11, 2), (1_000, 1)] {
            let (mut format, mut catalogue) = (events(10_000), catalogue());
            catalogue.relations.insert(name("t"), Relation { seen: seen_before(seen), ..relation(&[("id", 23)]) });
            events_of_one(&mut format, &mut catalogue, &[&insert("0/20", "t", &row("1"))]);
            // Whoever asks for the structure forgets what was known.
            catalogue.structure.fingerprint = 7;
            format.doubt();
            events_of_one(&mut format, &mut catalogue, &[&insert("0/21", "t", &row("2"))]);
            assert_eq!(catalogue.asked.len(), questions);
        }
    }

    #[test]
    fn what_is_known_has_a_limit_and_is_asked_for_again() {
        let (mut format, mut catalogue) = (events(10_000), catalogue());
        events_of_one(&mut format, &mut catalogue, &[&insert("0/20", "t", &row("1"))]);
        for number in 0..tables::MOST {
            format.learn(Answer::Relations(vec![(name(&format!("t{number}")), relation(&[]))]));
        }
        let told = events_of_one(&mut format, &mut catalogue, &[&insert("0/20", "t", &row("1")), &insert("0/20", "t", &row("2"))]);
        assert_eq!(told.len(), 2);
        assert_eq!(catalogue.asked.len(), 2, "once at first, and once more");
        let Format::Events(events) = format else { panic!("{format:?}") };
        assert_eq!((events.relations.len(), events.types.len()), (1, 1));
    }

    #[derive(Debug, Clone)]
    enum Step {
        Insert(bool, String),
        Update(String),
        Delete,
        Truncate,
        Message(String),
        Outside,
    }

    fn any_steps() -> impl Strategy<Value = Vec<Step>> {
        let text = || prop_oneof!["x{0,200}", ".{0,20}", r#"[\[\]{}",\\]{0,9}"#];
        let step = prop_oneof![
            4 => (any::<bool>(), text()).prop_map(|(is_same_place, text)| Step::Insert(is_same_place, text)),
            2 => text().prop_map(Step::Update),
            1 => Just(Step::Delete),
            1 => Just(Step::Truncate),
            1 => text().prop_map(Step::Message),
            1 => Just(Step::Outside),
        ];
        prop::collection::vec(step, 0..20)
    }

    /// The records of one transaction, whose positions rise but for rows that come together.
    fn records(steps: &[Step]) -> Vec<String> {
        let mut position = 0x20;
        let mut record = |step: &Step| {
            position += u64::from(!matches!(step, Step::Insert(true, _)));
            let lsn = Lsn::from(position).to_string();
            let value = |text: &str| Value::from(text).to_string();
            match step {
                Step::Insert(_, text) => insert(&lsn, "t", &[(1, "id", 23, "1"), (2, "text", 25, &value(text))]),
                Step::Update(text) => update(&lsn, "t", &[(1, "id", 23, "1"), (2, "text", 25, &value(text))], &row("1"), &["id"]),
                Step::Delete => delete(&lsn, "t", &row("1"), &["id"]),
                Step::Truncate => truncate(&lsn, "t"),
                Step::Message(text) => message(&lsn, text),
                Step::Outside => message_outside(&lsn),
            }
        };
        let records: Vec<String> = steps.iter().map(&mut record).collect();
        [BEGIN.to_owned()].into_iter().chain(records).chain([COMMIT.to_owned()]).collect()
    }

    proptest! {
        #[test]
        fn the_events_are_the_same_whatever_the_limit(steps in any_steps(), limit in 0usize..2_000) {
            let catalogue = || Catalogue::default().with("t", relation(&[("id", 23), ("text", 25)]));
            let wholly = catalogue().read_all(&mut events(1_000_000), &records(&steps));
            let mut format = events(limit);
            let in_parts = catalogue().read_all(&mut format, &records(&steps));
            // What is outside of the transaction comes when it comes.
            let inside = |items: &[Item]| events_in(items).into_iter().filter(|event| event["transactional"] != false).collect::<Vec<_>>();
            prop_assert_eq!(inside(&in_parts), inside(&wholly));
            let told = inside(&in_parts);
            let different: BTreeSet<&str> = ids(&told).into_iter().collect();
            prop_assert_eq!(different.len(), told.len());
            let messages = said(&in_parts);
            prop_assert!(messages.iter().all(|message| message["events"].is_array()));
            for item in &in_parts {
                if let Item::Part { text, .. } | Item::Last { text, .. } = item {
                    let count = events_in(std::slice::from_ref(item)).len();
                    prop_assert!(text.len() <= limit || count <= 1, "{} {}", text.len(), text);
                }
            }
        }

        #[test]
        fn no_bytes_and_no_damage_make_it_fail_otherwise_than_by_refusing_them(
            steps in any_steps(),
            bytes in any::<Vec<u8>>(),
            damage in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<u8>(), any::<bool>()), 0..6),
        ) {
            let mut frames: Vec<Vec<u8>> = records(&steps).into_iter().map(String::into_bytes).collect();
            for (frame, at, byte, is_cut) in damage {
                let frame = &mut frames[frame.index(steps.len() + 2)];
                let at = at.index(frame.len().max(1));
                frame.iter_mut().skip(at).take(1).for_each(|damaged| *damaged = byte);
                frame.truncate(if is_cut { at } else { frame.len() });
            }
            let mut format = events(500);
            for frame in frames.iter().chain([&bytes]) {
                if let Ok(items) = Catalogue::default().read(&mut format, frame) {
                    said(&items);
                }
            }
        }
    }
}
