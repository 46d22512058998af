//! How far an open transaction was read of which there was a message. When the wire is taken up anew it comes again from its beginning, and exactly
//! what was read before is passed over: the same WAL is decoded into the same records.

/// How many records of a transaction were read.
#[derive(Debug, Default)]
pub(super) struct Place {
    read: u64,
    /// Of those, how many are still to come again.
    to_pass: u64,
    /// Whether the beginning is to come again.
    is_waiting: bool,
}

impl Place {
    /// The wire is taken up anew.
    pub(super) fn rewind(&mut self) {
        self.to_pass = self.read;
        self.is_waiting = true;
    }

    /// Whether the transaction's beginning is to come again before anything else of it.
    pub(super) fn is_waiting(&self) -> bool {
        self.is_waiting
    }

    /// The beginning came again.
    pub(super) fn begin(&mut self) {
        self.is_waiting = false;
    }

    /// Whether the next record was read before.
    pub(super) fn pass(&mut self) -> bool {
        let is_passed = self.to_pass > 0;
        self.to_pass = self.to_pass.saturating_sub(1);
        is_passed
    }

    /// Whether all that was read before has come again: it cannot have fewer records than it had.
    pub(super) fn has_passed(&self) -> bool {
        !self.is_waiting && self.to_pass == 0
    }

    /// A record was read.
    pub(super) fn read(&mut self) {
        self.read += 1;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::super::catalogue::{Catalogue, admission, relation};
    use super::super::{Events, Format, Item, ReadError, Records, Transactions};
    use crate::row::Numbers;
    use proptest::prelude::*;

    const OUTSIDE_1: &str = r#"{"change":[{"kind":"message","transactional":false,"prefix":"p","content":"c"}]}"#;
    const OUTSIDE_2: &str =
        r#"{"action":"M","xid":null,"timestamp":null,"lsn":"0/170FB18","transactional":false,"prefix":"p","content":"c"}"#;

    fn catalogue() -> Catalogue {
        Catalogue::default().with("t", relation(&[("id", 23), ("x", 25)]))
    }

    /// A format with room for few changes in a message, and the frames of a transaction that ends there.
    fn case(number: usize, changes: usize, end: &str) -> (Format, Vec<String>) {
        let format = match number {
            0 => Format::Transactions(Transactions::new(400, false, admission("", ""))),
            1 => Format::Records(Records::new(false, admission("", ""))),
            _ => Format::Events(Box::new(Events::new(400, false, Numbers::Bare, admission("", "")))),
        };
        let mut frames = vec![];
        if number == 0 {
            frames.push(format!(r#"{{"nextlsn":"{end}","change":["#));
            frames.extend((0..changes).map(|change| {
                let comma = if change == 0 { "" } else { "," };
                format!(r#"{comma}{{"kind":"insert","schema":"public","table":"t","columnnames":["id"],"columntypes":["integer"],"columnvalues":[{change}]}}"#)
            }));
            frames.push(String::from("]}"));
        } else {
            let mark = |action| {
                format!(r#"{{"action":"{action}","xid":741,"timestamp":"2024-01-02 03:04:05.6+00","lsn":"0/170FC80","nextlsn":"{end}"}}"#)
            };
            frames.push(mark("B"));
            frames.extend((0..changes).map(|change| {
                format!(r#"{{"action":"I","xid":741,"timestamp":"2024-01-02 03:04:05.6+00","lsn":"0/170FB1{}","schema":"public","table":"t","columns":[{{"name":"id","type":"integer","typeoid":23,"value":{change}}},{{"name":"x","type":"text","typeoid":25,"value":null}}],"pk":[{{"name":"id","type":"integer","typeoid":23}}]}}"#, change / 3)
            }));
            frames.push(mark("C"));
        }
        (format, frames)
    }

    fn all(format: &mut Format, frames: &[String]) -> Vec<Item> {
        catalogue().read_all(format, frames)
    }

    proptest! {
        #[test]
        fn wherever_the_wire_breaks_nothing_is_missing_and_nothing_twice(
            number in 0usize..3,
            changes in 0usize..12,
            breaks in prop::collection::vec(any::<prop::sample::Index>(), 0..5),
            outside in any::<bool>(),
        ) {
            let (mut format, frames) = case(number, changes, "0/170FCB0");
            let expected = all(&mut format, &frames);
            let (mut format, frames) = case(number, changes, "0/170FCB0");
            let mut items = vec![];
            for at in breaks {
                items.extend(all(&mut format, &frames[..at.index(frames.len())]));
                format.rewind();
                if outside {
                    let outside = if number == 0 { OUTSIDE_1 } else { OUTSIDE_2 };
                    let told = all(&mut format, &[String::from(outside)]);
                    prop_assert!(matches!(told.as_slice(), [Item::Outside(_)]));
                }
            }
            items.extend(all(&mut format, &frames));
            prop_assert_eq!(items, expected);
            prop_assert!(!format.is_inside());
        }
    }

    #[test]
    fn another_transaction_is_another_history() {
        for number in 0..3 {
            let again = |rewound_at: usize, frames: &[String]| {
                let (mut format, first) = case(number, 5, "0/170FCB0");
                let items = all(&mut format, &first[..rewound_at]);
                format.rewind();
                assert_eq!(format.begun().is_some(), !items.is_empty());
                let mut read = Ok(());
                for frame in frames {
                    read = read.and_then(|()| catalogue().read(&mut format, frame.as_bytes()).map(drop));
                }
                read
            };
            let (_, same) = case(number, 5, "0/170FCB0");
            let (_, other) = case(number, 5, "0/170FCC0");
            let (_, shorter) = case(number, 2, "0/170FCB0");
            assert_eq!(again(6, &same), Ok(()));
            for strange in [&other, &shorter, &same[1..].to_vec(), &same[6..].to_vec()] {
                assert_eq!(again(6, strange), Err(ReadError::AnotherTransaction), "{number}: {strange:?}");
            }
            for rewound_at in 0..2 {
                assert_eq!(again(rewound_at, &other), Ok(()), "there was no message of the first");
            }
        }
        // A whole transaction where chunks are to come again.
        let (mut format, frames) = case(0, 5, "0/170FCB0");
        all(&mut format, &frames[..6]);
        format.rewind();
        let whole = frames.concat().into_bytes();
        assert_eq!(format.read(whole, &mut VecDeque::new()), Err(ReadError::AnotherTransaction));
    }
}
