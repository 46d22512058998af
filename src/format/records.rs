//! `wal2json-v2`: format 2, a record a message, byte for byte. A transaction without records is left out with its begin and its commit.

use std::collections::VecDeque;

use super::place::Place;
use super::{Admission, Item, Missing, Read, ReadError};
use crate::lsn::Lsn;
use crate::wal2json::v2::{Action, Record};
use crate::wal2json::{Malformed, mend};

/// Format 2 for one client.
#[derive(Debug)]
pub struct Records {
    /// Whether transactions without records are messages.
    empty_transactions: bool,
    pub(super) admission: Admission,
    open: Option<Open>,
}

/// A transaction that has not ended.
#[derive(Debug)]
struct Open {
    /// Its begin, until there is a record to go with it.
    begin: Option<String>,
    commit_end: Lsn,
    place: Place,
}

const BEGIN: &str = r#"{"action":"B""#;
const COMMIT: &str = r#"{"action":"C""#;
const MESSAGE: &str = r#"{"action":"M""#;

impl Records {
    /// What the admission lets through.
    pub fn new(empty_transactions: bool, admission: Admission) -> Self {
        Self { empty_transactions, admission, open: None }
    }

    pub(super) fn is_inside(&self) -> bool {
        self.open.is_some()
    }

    pub(super) fn rewind(&mut self) {
        self.open.take_if(|open| open.begin.is_some());
        if let Some(open) = &mut self.open {
            open.place.rewind();
        }
    }

    pub(super) fn begun(&self) -> Option<Lsn> {
        self.open.as_ref().filter(|open| open.begin.is_none()).map(|open| open.commit_end)
    }

    pub(super) fn read(&mut self, mut frame: Vec<u8>, items: &mut VecDeque<Item>) -> Result<Read, ReadError> {
        self.admission.take_xid(&mut frame, BEGIN.len() + 1);
        let text = mend(frame);
        if text.starts_with(BEGIN) {
            return self.begin(text);
        }
        if text.starts_with(MESSAGE) && is_outside(&text)? {
            items.push_back(Item::Outside(text));
            return Ok(Read::Done);
        }
        let place = &mut self.open.as_mut().ok_or(Malformed)?.place;
        if place.is_waiting() {
            return Err(ReadError::AnotherTransaction);
        }
        if text.starts_with(COMMIT) {
            if !place.has_passed() {
                return Err(ReadError::AnotherTransaction);
            }
            self.commit(text, items)?;
        } else if !place.pass() {
            match self.admits(&text)? {
                Ok(true) => self.record(text, items)?,
                Ok(false) => {}
                Err(missing) => return Ok(Read::Missing(missing, text.into_bytes())),
            }
            self.open.as_mut().ok_or(Malformed)?.place.read();
        }
        Ok(Read::Done)
    }

    fn begin(&mut self, text: String) -> Result<Read, ReadError> {
        let Action::Begin { commit_end: Some(commit_end) } = Record::parse(&text)?.action else { return Err(Malformed.into()) };
        match &mut self.open {
            Some(open) if open.commit_end != commit_end => return Err(ReadError::AnotherTransaction),
            Some(open) => open.place.begin(),
            None => self.open = Some(Open { begin: Some(text), commit_end, place: Place::default() }),
        }
        Ok(Read::Done)
    }

    fn record(&mut self, text: String, items: &mut VecDeque<Item>) -> Result<(), Malformed> {
        let Open { begin, commit_end, .. } = self.open.as_mut().ok_or(Malformed)?;
        let commit_end = *commit_end;
        items.extend(begin.take().map(|text| Item::Part { text, commit_end }));
        items.push_back(Item::Part { text, commit_end });
        Ok(())
    }

    fn commit(&mut self, text: String, items: &mut VecDeque<Item>) -> Result<(), Malformed> {
        let Open { begin, commit_end, .. } = self.open.take().ok_or(Malformed)?;
        match begin {
            Some(_) if !self.empty_transactions => items.push_back(Item::Nothing { commit_end }),
            begin => {
                items.extend(begin.map(|text| Item::Part { text, commit_end }));
                items.push_back(Item::Last { text, commit_end });
            }
        }
        Ok(())
    }

    fn admits(&mut self, text: &str) -> Result<Result<bool, Missing>, Malformed> {
        if self.admission.admits_all() {
            return Ok(Ok(true));
        }
        Ok(Record::table(text)?.map_or(Ok(true), |table| self.admission.admits(&table)))
    }
}

fn is_outside(text: &str) -> Result<bool, Malformed> {
    match Record::parse(text)?.action {
        Action::Message(message) => Ok(!message.transactional),
        _ => Err(Malformed),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Format;
    use super::super::catalogue::{Catalogue, admission, name, part_of};
    use super::*;
    use proptest::prelude::*;

    const B: &str = r#"{"action":"B","xid":741,"lsn":"0/170FC80","nextlsn":"0/170FCB0"}"#;
    const C: &str = r#"{"action":"C","xid":741,"lsn":"0/170FC80","nextlsn":"0/170FCB0"}"#;
    const INSIDE: &str = r#"{"action":"M","xid":741,"lsn":"0/170FB10","transactional":true,"prefix":"p","content":"\"table\":\"b\""}"#;
    const OUTSIDE: &str = r#"{"action":"M","xid":null,"lsn":"0/170FB18","transactional":false,"prefix":"p","content":"c"}"#;

    fn format(admission: Admission) -> Format {
        Format::Records(Records::new(false, admission))
    }

    fn insert(table: &str) -> String {
        format!(
            r#"{{"action":"I","xid":741,"lsn":"0/170FB10","schema":"public","table":"{table}","columns":[{{"name":"schema","type":"text","value":"ü"}}]}}"#
        )
    }

    fn truncate(table: &str) -> String {
        format!(r#"{{"action":"T","xid":741,"lsn":"0/170FB10","schema":"public","table":"{table}"}}"#)
    }

    fn part(text: &str) -> Item {
        Item::Part { text: text.to_owned(), commit_end: "0/170FCB0".parse().unwrap() }
    }

    fn last(text: &str) -> Item {
        Item::Last { text: text.to_owned(), commit_end: "0/170FCB0".parse().unwrap() }
    }

    fn nothing() -> Item {
        Item::Nothing { commit_end: "0/170FCB0".parse().unwrap() }
    }

    #[test]
    fn each_record_passes_byte_for_byte() {
        let (insert, truncate) = (insert("t"), truncate("t"));
        let items = Catalogue::default().read_all(&mut format(admission("", "")), &[B, &insert, INSIDE, &truncate, C]);
        assert_eq!(items, [part(B), part(&insert), part(INSIDE), part(&truncate), last(C)]);
    }

    #[test]
    fn a_pair_with_nothing_between_is_left_out_unless_it_is_wanted() {
        assert_eq!(Catalogue::default().read_all(&mut format(admission("", "")), &[B, C, B, C]), [nothing(), nothing()]);
        let mut with_empty = Format::Records(Records::new(true, admission("a", "")));
        assert_eq!(Catalogue::default().read_all(&mut with_empty, &[B, C, B, &insert("b"), C]), [part(B), last(C), part(B), last(C)]);
    }

    /// It may stand between those of a transaction, and makes none of it worth sending.
    #[test]
    fn a_message_outside_of_a_transaction_stands_for_itself() {
        let outside = Item::Outside(OUTSIDE.to_owned());
        let mut format = format(admission("", ""));
        assert_eq!(Catalogue::default().read_all(&mut format, &[OUTSIDE, B, OUTSIDE, C]), [outside.clone(), outside.clone(), nothing()]);
        let items = Catalogue::default().read_all(&mut format, &[B, INSIDE, OUTSIDE, C]);
        assert_eq!(items, [part(B), part(INSIDE), outside, last(C)]);
        assert!(!format.is_inside());
    }

    #[test]
    fn a_filter_lets_through_what_it_names_and_what_is_part_of_that() {
        let texts = [insert("a"), insert("p0"), truncate("p0"), truncate("a")];
        let frames = [B, &texts[0], &texts[1], INSIDE, &texts[2], &texts[3], C];
        for (tables, exclude, expected) in
            [("p", "", vec![&texts[1], &texts[2]]), ("", "p", vec![&texts[0], &texts[3]]), ("a", "", vec![&texts[0], &texts[3]])]
        {
            let mut catalogue = Catalogue::default().with("p0", part_of(&["p"]));
            let items = catalogue.read_all(&mut format(admission(tables, exclude)), &frames);
            let before = expected.iter().take(1).map(|text| part(text));
            let after = expected.iter().skip(1).map(|text| part(text));
            // The message stands between the two inserts and the two truncates.
            assert_eq!(items, [part(B)].into_iter().chain(before).chain([part(INSIDE)]).chain(after).chain([last(C)]).collect::<Vec<_>>());
            assert_eq!(catalogue.asked, [Missing::Relations(vec![name("a")]), Missing::Relations(vec![name("p0")])]);
        }
    }

    #[test]
    fn what_the_filter_empties_is_nothing() {
        assert_eq!(Catalogue::default().read_all(&mut format(admission("a", "")), &[B, &insert("b"), &truncate("b"), C]), [nothing()]);
    }

    #[test]
    fn what_has_no_begin_or_no_position_is_refused() {
        for filter in ["", "a"] {
            for text in [C, &insert("a"), INSIDE, r#"{"action":"B"}"#, r#"{"action":"B","nextlsn":"x"}"#, r#"{"action":"M"}"#, "", "[]"] {
                assert_eq!(Catalogue::default().read(&mut format(admission(filter, "")), text.as_bytes()), Err(Malformed.into()), "{text}");
            }
        }
    }

    proptest! {
        #[test]
        fn no_bytes_and_no_damage_make_it_fail_otherwise_than_by_refusing_them(
            bytes in any::<Vec<u8>>(),
            chosen in prop::collection::vec((0usize..6, any::<prop::sample::Index>(), any::<u8>(), any::<bool>()), 0..12),
            filter in "[ab]?",
        ) {
            let mut format = format(admission(&filter, ""));
            let valid = [B.to_owned(), insert("a"), truncate("b"), INSIDE.to_owned(), OUTSIDE.to_owned(), C.to_owned()];
            let _ = Catalogue::default().read(&mut format, &bytes);
            for (which, at, byte, is_cut) in chosen {
                let mut frame = valid[which].clone().into_bytes();
                let _ = Catalogue::default().read(&mut format, &frame);
                let at = at.index(frame.len());
                frame[at] = byte;
                frame.truncate(if is_cut { at } else { frame.len() });
                let _ = Catalogue::default().read(&mut format, &frame);
            }
        }
    }
}
