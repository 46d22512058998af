//! `wal2json-v1`: format 1, a transaction a message, byte for byte.
//!
//! wal2json writes it whole, or in chunks: the text cut before, between and after the changes. A transaction in chunks is put together
//! again, up to the limit on messages; a longer one comes in several messages, cut between changes, each with the head of the whole but for
//! the position, which only the last one has.

use std::collections::{BTreeSet, VecDeque};

use super::place::Place;
use super::{Admission, Item, Missing, PART_BYTES, Read, ReadError, make_room};
use crate::lsn::Lsn;
use crate::wal2json::{Malformed, mend, v1};

/// Format 1 for one client.
#[derive(Debug)]
pub struct Transactions {
    /// The longest message that is put together, in bytes.
    limit: usize,
    /// Whether transactions without changes are messages.
    empty_transactions: bool,
    pub(super) admission: Admission,
    open: Option<Open>,
}

/// A transaction in chunks that has not ended.
#[derive(Debug)]
struct Open {
    /// All up to the list of changes, with the position: `{"nextlsn":"0/170FCB0","change":[`
    head: String,
    /// The message that is being put together; it begins with the head.
    text: Vec<u8>,
    commit_end: Lsn,
    /// Whether there was a message already.
    is_cut: bool,
    place: Place,
}

const CHANGES: &str = r#""change":["#;
const POSITION: &str = r#""nextlsn":""#;
const OUTSIDE: &str = r#"{"change":["#;
const END: &str = "]}";

impl Transactions {
    /// Messages of at most `limit` bytes, if a single change is not longer.
    pub fn new(limit: usize, empty_transactions: bool, admission: Admission) -> Self {
        Self { limit, empty_transactions, admission, open: None }
    }

    pub(super) fn is_inside(&self) -> bool {
        self.open.is_some()
    }

    pub(super) fn rewind(&mut self) {
        self.open.take_if(|open| !open.is_cut);
        if let Some(open) = &mut self.open {
            open.place.rewind();
        }
    }

    pub(super) fn begun(&self) -> Option<Lsn> {
        self.open.as_ref().filter(|open| open.is_cut).map(|open| open.commit_end)
    }

    pub(super) fn read(&mut self, mut frame: Vec<u8>, items: &mut VecDeque<Item>) -> Result<Read, ReadError> {
        self.admission.take_xid(&mut frame, 1);
        if frame.starts_with(OUTSIDE.as_bytes()) {
            items.push_back(Item::Outside(mend(frame)));
        } else if self.open.as_ref().is_some_and(|open| !open.place.is_waiting()) {
            return self.chunk(frame, items);
        } else if frame.ends_with(CHANGES.as_bytes()) {
            return self.begin(frame);
        } else if self.open.is_some() {
            return Err(ReadError::AnotherTransaction);
        } else {
            return self.whole(frame, items);
        }
        Ok(Read::Done)
    }

    fn begin(&mut self, frame: Vec<u8>) -> Result<Read, ReadError> {
        let head = String::from_utf8(frame).map_err(|_| Malformed)?;
        let (_, commit_end) = measure(&head)?;
        match &mut self.open {
            Some(open) if open.commit_end != commit_end => return Err(ReadError::AnotherTransaction),
            Some(open) => open.place.begin(),
            None => {
                let text = head.clone().into_bytes();
                self.open = Some(Open { text, head, commit_end, is_cut: false, place: Place::default() });
            }
        }
        Ok(Read::Done)
    }

    fn whole(&mut self, frame: Vec<u8>, items: &mut VecDeque<Item>) -> Result<Read, ReadError> {
        let mut text = mend(frame);
        let (start, commit_end) = measure(&text)?;
        let changes = text.get(start..).and_then(|rest| rest.strip_suffix(END)).ok_or(Malformed)?;
        let mut is_empty = changes.is_empty();
        if !self.admission.admits_all() {
            let admitted = match self.admitted(changes)? {
                Ok(admitted) => admitted,
                Err(missing) => return Ok(Read::Missing(missing, text.into_bytes())),
            };
            is_empty = admitted.is_empty();
            text.replace_range(start.., &admitted);
            text.push_str(END);
        }
        items.push_back(if is_empty && !self.empty_transactions { Item::Nothing { commit_end } } else { Item::Last { text, commit_end } });
        Ok(Read::Done)
    }

    fn chunk(&mut self, mut frame: Vec<u8>, items: &mut VecDeque<Item>) -> Result<Read, ReadError> {
        let place = &mut self.open.as_mut().ok_or(Malformed)?.place;
        if frame == END.as_bytes() {
            if !place.has_passed() {
                return Err(ReadError::AnotherTransaction);
            }
            self.end(items)?;
            return Ok(Read::Done);
        }
        if place.pass() {
            return Ok(Read::Done);
        }
        if frame.starts_with(b",") {
            frame.remove(0);
        }
        let change = mend(frame);
        match self.admits(&change)? {
            Ok(true) => self.add(&change, items)?,
            Ok(false) => {}
            Err(missing) => return Ok(Read::Missing(missing, change.into_bytes())),
        }
        self.open.as_mut().ok_or(Malformed)?.place.read();
        Ok(Read::Done)
    }

    /// Adds a change, and makes a message of those before it if it does not fit.
    fn add(&mut self, change: &str, items: &mut VecDeque<Item>) -> Result<(), Malformed> {
        let open = self.open.as_mut().ok_or(Malformed)?;
        let limit = if open.is_cut { self.limit.min(PART_BYTES) } else { self.limit };
        let more = 1 + change.len() + END.len();
        if open.has_changes() && open.text.len() + more > limit {
            items.push_back(Item::Part { text: open.cut()?, commit_end: open.commit_end });
        }
        make_room(&mut open.text, more, limit);
        if open.has_changes() {
            open.text.push(b',');
        }
        open.text.extend_from_slice(change.as_bytes());
        Ok(())
    }

    fn end(&mut self, items: &mut VecDeque<Item>) -> Result<(), Malformed> {
        let open = self.open.take().ok_or(Malformed)?;
        let commit_end = open.commit_end;
        items.push_back(if !open.has_changes() && !open.is_cut && !self.empty_transactions {
            Item::Nothing { commit_end }
        } else {
            Item::Last { text: ended(open.text)?, commit_end }
        });
        Ok(())
    }

    /// The changes of a list that are for this client, or else all the tables that must be known first.
    fn admitted(&mut self, list: &str) -> Result<Result<String, Missing>, Malformed> {
        let mut admitted = String::with_capacity(list.len());
        let mut unknown = BTreeSet::new();
        let mut rest = list;
        while !rest.is_empty() {
            let (change, after) = split_object(rest).ok_or(Malformed)?;
            rest = after.strip_prefix(',').unwrap_or(after);
            match self.admits(change)? {
                Ok(true) => {
                    admitted.push_str(if admitted.is_empty() { "" } else { "," });
                    admitted.push_str(change);
                }
                Ok(false) => {}
                Err(Missing::Relations(tables)) => unknown.extend(tables),
                Err(missing) => return Ok(Err(missing)),
            }
        }
        Ok(if unknown.is_empty() { Ok(admitted) } else { Err(Missing::Relations(unknown.into_iter().collect())) })
    }

    fn admits(&mut self, change: &str) -> Result<Result<bool, Missing>, Malformed> {
        if self.admission.admits_all() {
            return Ok(Ok(true));
        }
        Ok(v1::Item::table(change)?.map_or(Ok(true), |table| self.admission.admits(&table)))
    }
}

impl Open {
    fn has_changes(&self) -> bool {
        self.text.len() > self.head.len()
    }

    /// The message as it is, without the position.
    fn cut(&mut self) -> Result<String, Malformed> {
        let mut text = std::mem::replace(&mut self.text, self.head.clone().into_bytes());
        text.splice(..self.head.len(), without_position(&self.head).into_bytes());
        self.is_cut = true;
        ended(text)
    }
}

fn ended(mut text: Vec<u8>) -> Result<String, Malformed> {
    text.extend_from_slice(END.as_bytes());
    String::from_utf8(text).map_err(|_| Malformed)
}

/// Where the list of changes begins, and where the transaction ends. What stands before the list is short, and has no text of a user.
fn measure(text: &str) -> Result<(usize, Lsn), Malformed> {
    let start = text.find(CHANGES).ok_or(Malformed)?;
    let head = text.get(..start).ok_or(Malformed)?;
    let (position, _) = head.split_once(POSITION).and_then(|(_, rest)| rest.split_once('"')).ok_or(Malformed)?;
    Ok((start + CHANGES.len(), position.parse().map_err(|_| Malformed)?))
}

fn without_position(head: &str) -> String {
    let Some((before, rest)) = head.split_once(POSITION) else { return head.to_owned() };
    let after = rest.split_once("\",").map_or("", |(_, after)| after);
    [before, after].concat()
}

/// An object at the front, by the braces outside of strings, and what follows.
fn split_object(text: &str) -> Option<(&str, &str)> {
    let mut depth = 0usize;
    let mut in_string = false;
    let mut escaped = false;
    for (index, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' if !in_string => depth += 1,
            b'}' if !in_string && depth <= 1 => return text.split_at_checked(index + 1),
            b'}' if !in_string => depth -= 1,
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::super::catalogue::{Catalogue, admission, name, part_of};
    use super::super::{Format, Missing};
    use super::*;
    use proptest::prelude::*;

    const HEAD: &str = r#"{"nextlsn":"0/170FCB0","change":["#;
    const LONG_HEAD: &str = r#"{"xid":741,"nextlsn":"0/170FCB0","timestamp":"2024-01-02 03:04:05.6+00","origin":1,"change":["#;
    const POSITIONLESS_HEAD: &str = r#"{"xid":741,"timestamp":"2024-01-02 03:04:05.6+00","origin":1,"change":["#;

    fn format(limit: usize, admission: Admission) -> Format {
        Format::Transactions(Transactions::new(limit, false, admission))
    }

    fn everything() -> Format {
        format(1_000_000, admission("", ""))
    }

    fn insert(table: &str, value: &str) -> String {
        format!(
            r#"{{"kind":"insert","schema":"public","table":"{table}","columnnames":["a"],"columntypes":["text"],"columnvalues":[{}]}}"#,
            serde_json::Value::from(value)
        )
    }

    fn whole(head: &str, changes: &[String]) -> String {
        [head, &changes.join(","), END].concat()
    }

    /// As wal2json cuts it.
    fn chunks(head: &str, changes: &[String]) -> Vec<String> {
        let comma = |index| if index == 0 { "" } else { "," };
        let changes = changes.iter().enumerate().map(|(index, change)| format!("{}{change}", comma(index)));
        [head.to_owned()].into_iter().chain(changes).chain([END.to_owned()]).collect()
    }

    fn commit_end() -> Lsn {
        "0/170FCB0".parse().unwrap()
    }

    fn last(text: &str) -> Item {
        Item::Last { text: text.to_owned(), commit_end: commit_end() }
    }

    fn nothing() -> Item {
        Item::Nothing { commit_end: commit_end() }
    }

    /// The texts of a transaction, of which only the last ends it.
    fn texts(items: &[Item]) -> Vec<&str> {
        let (end, parts) = items.split_last().unwrap();
        let part = |item| match item {
            &Item::Part { ref text, commit_end: end } if end == commit_end() => text.as_str(),
            other => panic!("{other:?}"),
        };
        let Item::Last { text, .. } = end else { panic!("{end:?}") };
        parts.iter().map(part).chain([text.as_str()]).collect()
    }

    #[test]
    fn a_whole_text_passes_byte_for_byte() {
        for head in [HEAD, LONG_HEAD] {
            for changes in [vec![insert("t", r#"]}"change":[{\"nextlsn":""#)], vec![insert("t", "ü"), insert("u", "{"), insert("t", "")]] {
                let text = whole(head, &changes);
                assert_eq!(Catalogue::default().read_all(&mut everything(), &[&text]), [last(&text)]);
            }
        }
    }

    #[test]
    fn what_is_empty_is_a_message_only_if_it_is_wanted() {
        for frames in [vec![whole(HEAD, &[])], chunks(HEAD, &[])] {
            assert_eq!(Catalogue::default().read_all(&mut everything(), &frames), [nothing()]);
            let mut with_empty = Format::Transactions(Transactions::new(1_000, true, admission("", "")));
            assert_eq!(Catalogue::default().read_all(&mut with_empty, &frames), [last(&whole(HEAD, &[]))]);
        }
    }

    #[test]
    fn a_message_outside_of_a_transaction_stands_for_itself_in_either_gear() {
        let text = r#"{"change":[{"kind":"message","transactional":false,"prefix":"p","content":"c"}]}"#;
        let with_comma = r#"{"change":[,{"kind":"message","transactional":false,"prefix":"p","content":"c"}]}"#;
        let outside = Item::Outside(text.to_owned());
        let mut format = everything();
        assert_eq!(Catalogue::default().read_all(&mut format, &[text, with_comma]), [outside.clone(), outside.clone()]);
        Catalogue::default().read_all(&mut format, &[HEAD]);
        assert_eq!(Catalogue::default().read_all(&mut format, &[with_comma]), [outside]);
        assert!(format.is_inside());
    }

    #[test]
    fn after_the_first_cut_messages_are_shorter() {
        const MEBIBYTE: usize = 1024 * 1024;
        let changes: Vec<_> = (0..60).map(|_| insert("t", &"x".repeat(100_000))).collect();
        let items = Catalogue::default().read_all(&mut format(3 * MEBIBYTE, admission("", "")), &chunks(HEAD, &changes));
        let lengths: Vec<_> = texts(&items).iter().map(|text| text.len()).collect();
        assert!(lengths[0] > 3 * MEBIBYTE - 101_000 && lengths[0] <= 3 * MEBIBYTE, "{lengths:?}");
        assert!(lengths[1..].iter().all(|length| *length <= MEBIBYTE) && lengths[1] > MEBIBYTE - 101_000, "{lengths:?}");
    }

    #[test]
    fn a_filter_lets_through_what_it_names_and_what_is_part_of_that() {
        let changes = [insert("a", "1"), insert("p0", "2"), insert("b", "3"), insert("p00", "4")];
        let message = String::from(r#"{"kind":"message","transactional":true,"prefix":"p","content":"c"}"#);
        let all = [changes.as_slice(), std::slice::from_ref(&message)].concat();
        for (tables, exclude, expected) in [
            ("p", "", vec![&changes[1], &changes[3], &message]),
            ("p", "p0", vec![&message]),
            ("", "p", vec![&changes[0], &changes[2], &message]),
            ("a", "", vec![&changes[0], &message]),
        ] {
            let expected = whole(LONG_HEAD, &expected.into_iter().cloned().collect::<Vec<_>>());
            for frames in [vec![whole(LONG_HEAD, &all)], chunks(LONG_HEAD, &all)] {
                let mut catalogue = Catalogue::default().with("p0", part_of(&["p"])).with("p00", part_of(&["p0", "p"]));
                let items = catalogue.read_all(&mut format(10_000, admission(tables, exclude)), &frames);
                assert_eq!(items, [last(&expected)], "{tables} {exclude}");
            }
        }
    }

    #[test]
    fn a_transaction_of_which_nothing_is_let_through_is_nothing() {
        for frames in [vec![whole(HEAD, &[insert("b", "")])], chunks(HEAD, &[insert("b", "")])] {
            assert_eq!(Catalogue::default().read_all(&mut format(10, admission("a", "")), &frames), [nothing()]);
        }
    }

    #[test]
    fn all_tables_that_must_be_known_are_asked_for_at_once_and_only_once() {
        let text = whole(HEAD, &[insert("b", "1"), insert("a", "2"), insert("b", "3")]);
        let mut format = format(10_000, admission("public.*", "c"));
        let mut catalogue = Catalogue::default();
        assert_eq!(catalogue.read_all(&mut format, &[&text, &text]), [last(&text), last(&text)]);
        assert_eq!(catalogue.asked, [Missing::Relations(vec![name("a"), name("b")])]);
        let texts = chunks(HEAD, &[insert("c", "1"), insert("a", "2"), insert("c", "3")]);
        assert_eq!(catalogue.read_all(&mut format, &texts), [last(&whole(HEAD, &[insert("a", "2")]))]);
        assert_eq!(catalogue.asked[1..], [Missing::Relations(vec![name("c")])]);
    }

    #[test]
    fn the_same_frame_is_given_back() {
        let mut format = format(10_000, admission("a", ""));
        Catalogue::default().read_all(&mut format, &[HEAD]);
        for frame in [insert("a", "ü"), format!(",{}", insert("b", "ü"))] {
            let Ok(Read::Missing(_, same)) = format.read(frame.clone().into_bytes(), &mut VecDeque::new()) else { panic!("{frame}") };
            assert_eq!(String::from_utf8(same).unwrap(), frame.trim_start_matches(','));
        }
    }

    #[test]
    fn nothing_is_left_out_of_a_list_that_breaks_off() {
        let mut format = format(10_000, admission("public.*", ""));
        for broken in [r#"{"kind":"insert""#, r#"x"#, r#"{"kind":"insert","schema":"public","table":"t","columnvalues":["]}"#] {
            let list = [insert("t", "1"), broken.to_owned()].join(",");
            assert_eq!(Catalogue::default().read(&mut format, whole(HEAD, &[list]).as_bytes()), Err(Malformed.into()), "{broken}");
        }
    }

    fn any_changes() -> impl Strategy<Value = Vec<String>> {
        let value = prop_oneof![".{0,40}", r#"[\]\[{}",\\:]{0,20}"#, "x{0,300}"];
        prop::collection::vec(("[abc]", value).prop_map(|(table, value)| insert(&table, &value)), 0..12)
    }

    proptest! {
        #[test]
        fn a_transaction_in_chunks_is_the_whole_or_parts_of_it(changes in any_changes(), is_long in any::<bool>(), limit in 0usize..3_000) {
            let head = if is_long { LONG_HEAD } else { HEAD };
            let positionless = if is_long { POSITIONLESS_HEAD } else { r#"{"change":["# };
            let whole = whole(head, &changes);
            let items = Catalogue::default().read_all(&mut format(limit, admission("", "")), &chunks(head, &changes));
            if changes.is_empty() {
                prop_assert_eq!(items, [nothing()]);
                return Ok(());
            }
            let texts = texts(&items);
            prop_assert_eq!(texts.len() == 1, whole.len() <= limit || changes.len() == 1);
            let mut lists = vec![];
            for (index, text) in texts.iter().enumerate() {
                let head = if index + 1 == texts.len() { head } else { positionless };
                let list = text.strip_prefix(head).and_then(|rest| rest.strip_suffix(END)).unwrap();
                prop_assert!(text.len() <= limit || changes.iter().any(|change| change == list), "{}", text);
                lists.push(list);
            }
            prop_assert_eq!([head, &lists.join(","), END].concat(), whole);
        }

        #[test]
        fn a_filter_takes_the_same_out_of_the_whole_and_out_of_chunks(changes in any_changes()) {
            let mut catalogue = Catalogue::default().with("c", part_of(&["b"]));
            let wholly = catalogue.read_all(&mut format(1_000_000, admission("", "b")), &[whole(HEAD, &changes)]);
            let in_chunks = catalogue.read_all(&mut format(1_000_000, admission("", "b")), &chunks(HEAD, &changes));
            let left: Vec<_> = changes.iter().filter(|change| change.contains(r#""table":"a""#)).cloned().collect();
            prop_assert_eq!(&wholly, &in_chunks);
            prop_assert_eq!(wholly, [if left.is_empty() { nothing() } else { last(&whole(HEAD, &left)) }]);
        }

        #[test]
        fn no_bytes_make_it_fail_otherwise_than_by_refusing_them(frames in prop::collection::vec(any::<Vec<u8>>(), 0..8), is_filtered in any::<bool>()) {
            let mut format = format(100, admission("", if is_filtered { "b" } else { "" }));
            for frame in frames {
                let _ = Catalogue::default().read(&mut format, &frame);
            }
        }

        #[test]
        fn no_damage_makes_it_fail_otherwise_than_by_refusing_it(
            changes in any_changes(),
            is_filtered in any::<bool>(),
            damage in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), prop::option::of(any::<u8>())), 1..4),
        ) {
            let mut format = format(500, admission("", if is_filtered { "b" } else { "" }));
            let frames = chunks(HEAD, &changes).into_iter().chain([whole(LONG_HEAD, &changes)]);
            let mut frames: Vec<Vec<u8>> = frames.map(String::into_bytes).collect();
            for (frame, at, byte) in damage {
                let frame = frame.get(&frames).clone();
                let at = at.index(frame.len() + 1);
                let damaged = frame.iter().take(at).copied().chain(byte).chain(frame.iter().skip(at + 1).copied().filter(|_| byte.is_some()));
                frames.push(damaged.collect());
            }
            for frame in frames.into_iter().rev() {
                let _ = Catalogue::default().read(&mut format, &frame);
            }
        }
    }
}
