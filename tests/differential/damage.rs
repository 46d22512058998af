//! What wal2json breaks, and what it is mended to. Each script says of itself which of its texts are no JSON, and how: anything else that is
//! none, or that differs, is a fault.
//!
//! This repairs by plain replacement of what is written down, on purpose: it knows nothing of how the service finds the damage.

use std::cell::RefCell;
use std::collections::HashSet;

use serde::de::IgnoredAny;

#[derive(Default)]
pub struct Damage {
    replacements: Vec<(String, String)>,
    /// Whether there may be bytes that are no UTF-8.
    bytes: bool,
    used: RefCell<HashSet<String>>,
}

impl Damage {
    /// From what the directives of a script say.
    pub fn new<'a>(directives: impl Iterator<Item = &'a str>) -> Self {
        let mut damage = Self::default();
        for directive in directives {
            match directive.split_once(" => ") {
                Some((raw, json)) => damage.replacements.push((raw.replace('␤', "\n"), json.to_owned())),
                None if directive == "bytes" => damage.bytes = true,
                None => panic!("neither `RAW => JSON` nor `bytes`: {directive}"),
            }
        }
        damage
    }

    /// The text that a record is to come out as: what is JSON stays as it is.
    pub fn mended(&self, record: &[u8]) -> String {
        let text = self.text(record);
        if is_json(&text) {
            return text;
        }
        let mended = self.replacements.iter().fold(text, |text, replacement| self.replaced(text, replacement));
        assert!(is_json(&mended), "wal2json wrote what is no JSON, and the script does not say so: {mended}");
        mended
    }

    fn text(&self, record: &[u8]) -> String {
        if let Ok(text) = std::str::from_utf8(record) {
            return text.to_owned();
        }
        assert!(self.bytes, "wal2json wrote what is no UTF-8, and the script does not say so: {}", String::from_utf8_lossy(record));
        self.used.borrow_mut().insert("bytes".to_owned());
        String::from_utf8_lossy(record).into_owned()
    }

    fn replaced(&self, text: String, (raw, json): &(String, String)) -> String {
        if !text.contains(raw) {
            return text;
        }
        self.used.borrow_mut().insert(raw.clone());
        text.replace(raw, json)
    }

    /// What is written down happened: else the list would grow stale.
    pub fn assert_all_seen(&self) {
        let used = self.used.borrow();
        for (raw, _) in &self.replacements {
            assert!(used.contains(raw), "wal2json never wrote {raw} where it is no JSON");
        }
        assert!(!self.bytes || used.contains("bytes"), "wal2json wrote nothing but UTF-8");
    }
}

fn is_json(text: &str) -> bool {
    serde_json::from_str::<IgnoredAny>(text).is_ok()
}
