//! Puts the parts of a long transaction together again.
//!
//! Over `--maxMessageBytes`, a transaction of format 1 comes in several messages of the same shape, cut between changes. Each has the whole
//! head but `nextlsn`, which only the last has: so the last one's head and all changes are the text that wal2json would have written.

const CHANGES: &str = r#""change":["#;
const POSITION: &str = r#""nextlsn":""#;
const END: &str = "]}";

/// What a message outside of a transaction begins with. It has no position either, and is no part.
const OUTSIDE: &str = r#"{"kind":"message","transactional":false,"#;

/// Texts, of which the last ones may be parts of a transaction that goes on.
#[derive(Default)]
pub struct Joining {
    whole: Vec<String>,
    parts: Vec<String>,
}

impl Joining {
    /// Takes a text that is no part.
    pub fn push_whole(&mut self, text: String) {
        self.whole.push(text);
    }

    /// Takes a text that may be a part.
    pub fn push(&mut self, text: String) {
        let (head, changes) = split(&text);
        let is_outside = !head.contains(POSITION) && changes.starts_with(OUTSIDE);
        assert!(!is_outside || self.parts.is_empty(), "a message came between the parts of a transaction: {text}");
        if is_outside {
            return self.whole.push(text);
        }
        let is_last = head.contains(POSITION);
        self.parts.push(text);
        if is_last {
            self.whole.push(join(&std::mem::take(&mut self.parts)));
        }
    }

    /// All of them; none is left in parts.
    pub fn into_whole(self) -> Vec<String> {
        assert_eq!(self.parts, Vec::<String>::new(), "the last part is missing");
        self.whole
    }
}

fn join(parts: &[String]) -> String {
    let (last_head, _) = split(parts.last().unwrap());
    let mut changes = vec![];
    for (index, part) in parts.iter().enumerate() {
        let (head, list) = split(part);
        let expected = if index + 1 == parts.len() { last_head.to_owned() } else { without_position(last_head) };
        assert_eq!(head, expected, "the head of part {index}");
        assert!(parts.len() == 1 || !list.is_empty(), "part {index} is empty");
        changes.push(list);
    }
    format!("{last_head}{CHANGES}{}{END}", changes.join(","))
}

/// The head with its brace, and the list of changes.
fn split(text: &str) -> (&str, &str) {
    let parts = text.split_once(CHANGES).and_then(|(head, rest)| Some((head, rest.strip_suffix(END)?)));
    parts.unwrap_or_else(|| panic!("not a text of format 1: {text}"))
}

fn without_position(head: &str) -> String {
    let (before, rest) = head.split_once(POSITION).unwrap();
    let (_, after) = rest.split_once(r#"","#).unwrap();
    format!("{before}{after}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joined(texts: &[&str]) -> Vec<String> {
        let mut joining = Joining::default();
        texts.iter().for_each(|text| joining.push((*text).to_owned()));
        joining.into_whole()
    }

    #[test]
    fn parts_become_the_text_that_they_were() {
        let parts = [
            r#"{"xid":1,"timestamp":"t","change":[{"a":"]}"}]}"#,
            r#"{"xid":1,"timestamp":"t","change":[{"b":2},{"c":3}]}"#,
            r#"{"xid":1,"nextlsn":"0/1","timestamp":"t","change":[{"d":4}]}"#,
        ];
        assert_eq!(joined(&parts), [r#"{"xid":1,"nextlsn":"0/1","timestamp":"t","change":[{"a":"]}"},{"b":2},{"c":3},{"d":4}]}"#]);
        assert_eq!(joined(&[r#"{"change":[1]}"#, r#"{"nextlsn":"0/1","change":[2]}"#]), [r#"{"nextlsn":"0/1","change":[1,2]}"#]);
    }

    #[test]
    fn what_is_whole_stays() {
        let texts = [
            r#"{"change":[{"kind":"message","transactional":false,"prefix":"p","content":"c"}]}"#,
            r#"{"nextlsn":"0/1","change":[{"a":1}]}"#,
            r#"{"nextlsn":"0/2","change":[]}"#,
        ];
        assert_eq!(joined(&texts), texts);
    }

    #[test]
    #[should_panic(expected = "the head of part 0")]
    fn a_part_with_another_head_is_a_fault() {
        joined(&[r#"{"xid":2,"change":[1]}"#, r#"{"xid":1,"nextlsn":"0/1","change":[2]}"#]);
    }

    #[test]
    #[should_panic(expected = "the last part is missing")]
    fn a_transaction_that_does_not_end_is_a_fault() {
        joined(&[r#"{"change":[{"a":1}]}"#]);
    }
}
