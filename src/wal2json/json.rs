//! JSON as wal2json writes it, read from the front to the end, and borrowed from.
//!
//! Most of a change are values that are kept as they stand. To find where those end is all that there is to do, but for every byte of the stream, which
//! a deserializer for everything takes longer for. What is not JSON is refused, and of what is JSON, white space between the values, and what is
//! nested deeper than anybody needs: wal2json writes neither.

use std::str::FromStr;

use super::Malformed;

/// Of what is passed over. wal2json writes five, in a transaction of format 1.
const MOST_LEVELS: usize = 100;

/// Reads the whole of a text.
pub(super) fn read<'a, T>(text: &'a str, value: impl FnOnce(&mut Reader<'a>) -> Result<T, Malformed>) -> Result<T, Malformed> {
    // In strings these are no JSON, and between values we do not take them for white space: so whoever reads on need not look for them again. All bytes
    // are looked at, many at a time; to stop at the first would take longer.
    if text.bytes().fold(false, |is_found, byte| is_found | (byte < b' ')) {
        return Err(Malformed);
    }
    let mut reader = Reader { text, at: 0 };
    let value = value(&mut reader)?;
    if reader.peek().is_none() { Ok(value) } else { Err(Malformed) }
}

/// Whether a text is JSON.
pub(super) fn is_json(text: &str) -> bool {
    read(text, Reader::skip).is_ok()
}

/// A text, and how much of it was read.
pub(super) struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    /// An object, of whose members each is read where it stands. Their names are as they stand, too: nobody asks for one with an escape in it.
    pub(super) fn object(&mut self, mut member: impl FnMut(&mut Self, &'a str) -> Result<(), Malformed>) -> Result<(), Malformed> {
        self.elements(b'{', b'}', |reader| {
            let key = reader.string()?;
            reader.expect(b':')?;
            member(reader, key)
        })
    }

    fn list<T>(&mut self, mut element: impl FnMut(&mut Self) -> Result<T, Malformed>) -> Result<Vec<T>, Malformed> {
        let mut list = vec![];
        self.elements(b'[', b']', |reader| {
            list.push(element(reader)?);
            Ok(())
        })?;
        Ok(list)
    }

    /// The value of a member, which may not come twice. Null is as if it were not there.
    pub(super) fn member<T>(
        &mut self,
        member: &mut Option<T>,
        value: impl FnOnce(&mut Self) -> Result<T, Malformed>,
    ) -> Result<(), Malformed> {
        if member.is_some() {
            return Err(Malformed);
        }
        if self.peek() == Some(b'n') {
            return self.scalar().map(drop);
        }
        *member = Some(value(self)?);
        Ok(())
    }

    /// The same where the value is a list, all of whose elements are alike.
    pub(super) fn list_member<T>(
        &mut self,
        member: &mut Option<Vec<T>>,
        element: impl FnMut(&mut Self) -> Result<T, Malformed>,
    ) -> Result<(), Malformed> {
        self.member(member, |reader| reader.list(element))
    }

    /// A string with its quotes and escapes, a number, a boolean or null, as it stands.
    pub(super) fn scalar(&mut self) -> Result<&'a str, Malformed> {
        let first = self.peek().ok_or(Malformed)?;
        let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
        let length = match first {
            b'"' => rest.get(1..).and_then(string_length).map(|length| length + 2),
            b'-' | b'0'..=b'9' => number_length(rest),
            _ => ["true", "false", "null"].into_iter().find(|word| rest.starts_with(word.as_bytes())).map(str::len),
        };
        let end = self.at + length.ok_or(Malformed)?;
        let scalar = self.text.get(self.at..end).ok_or(Malformed)?;
        self.at = end;
        Ok(scalar)
    }

    /// What stands between the quotes of a string, escapes and all.
    pub(super) fn string(&mut self) -> Result<&'a str, Malformed> {
        self.expect(b'"')?;
        let rest = self.text.get(self.at..).ok_or(Malformed)?;
        let length = string_length(rest.as_bytes()).ok_or(Malformed)?;
        self.at += length + 1;
        rest.get(..length).ok_or(Malformed)
    }

    /// What a string says, which has no escapes in it.
    pub(super) fn parsed_string<T: FromStr>(&mut self) -> Result<T, Malformed> {
        self.string()?.parse().map_err(|_| Malformed)
    }

    /// A number without a fraction, or a boolean.
    pub(super) fn parsed<T: FromStr>(&mut self) -> Result<T, Malformed> {
        self.scalar()?.parse().map_err(|_| Malformed)
    }

    /// Whatever it is.
    pub(super) fn skip(&mut self) -> Result<(), Malformed> {
        self.skip_levels(MOST_LEVELS)
    }

    fn skip_levels(&mut self, levels: usize) -> Result<(), Malformed> {
        match self.peek() {
            Some(b'{' | b'[') if levels == 0 => Err(Malformed),
            Some(b'{') => self.object(|reader, _| reader.skip_levels(levels - 1)),
            Some(b'[') => self.elements(b'[', b']', |reader| reader.skip_levels(levels - 1)),
            _ => self.scalar().map(drop),
        }
    }

    fn elements(&mut self, open: u8, close: u8, mut element: impl FnMut(&mut Self) -> Result<(), Malformed>) -> Result<(), Malformed> {
        self.expect(open)?;
        if self.peek() == Some(close) {
            self.at += 1;
            return Ok(());
        }
        loop {
            element(self)?;
            let next = self.peek();
            self.at += 1;
            match next {
                Some(b',') => {}
                Some(next) if next == close => return Ok(()),
                _ => return Err(Malformed),
            }
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn expect(&mut self, wanted: u8) -> Result<(), Malformed> {
        if self.peek() != Some(wanted) {
            return Err(Malformed);
        }
        self.at += 1;
        Ok(())
    }
}

/// How long the string is whose first quote was read.
fn string_length(text: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        at += plain_length(text.get(at..)?);
        if *text.get(at)? == b'"' {
            return Some(at);
        }
        at += 1 + escape_length(text.get(at + 1..)?)?;
    }
}

/// How many bytes at the front are neither quotes nor backslashes. Eight at a time: most strings are too short for more.
fn plain_length(text: &[u8]) -> usize {
    const EACH: u64 = u64::MAX / 255;
    let (words, _) = text.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        // A byte that is zero borrows from its highest bit. So may those after it, wrongly, but the first one is what counts.
        let found =
            [b'"', b'\\'].map(|byte| u64::from_le_bytes(*word) ^ (EACH * u64::from(byte))).map(|word| word.wrapping_sub(EACH) & !word);
        let found = (found[0] | found[1]) & (EACH << 7);
        if found != 0 {
            return index * 8 + found.trailing_zeros() as usize / 8;
        }
    }
    let done = words.len() * 8;
    done + text.iter().skip(done).take_while(|byte| !matches!(byte, b'"' | b'\\')).count()
}

/// How much of an escape follows its backslash.
fn escape_length(text: &[u8]) -> Option<usize> {
    match text.first()? {
        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Some(1),
        b'u' => text.get(1..5)?.iter().all(u8::is_ascii_hexdigit).then_some(5),
        _ => None,
    }
}

/// How long the number is at the front.
fn number_length(text: &[u8]) -> Option<usize> {
    let byte = |at: usize| text.get(at).copied().unwrap_or_default();
    // Up to where there are digits, of which there must be one.
    let digits = |start: usize| {
        let count = text.iter().skip(start).take_while(|byte| byte.is_ascii_digit()).count();
        (count > 0).then_some(start + count)
    };
    let start = usize::from(byte(0) == b'-');
    let mut end = digits(start)?;
    if byte(start) == b'0' && end > start + 1 {
        return None;
    }
    if byte(end) == b'.' {
        end = digits(end + 1)?;
    }
    if matches!(byte(end), b'e' | b'E') {
        end = digits(end + if matches!(byte(end + 1), b'+' | b'-') { 2 } else { 1 })?;
    }
    Some(end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde::de::IgnoredAny;
    use serde_json::value::RawValue;

    #[derive(Debug, Default, PartialEq, Eq)]
    struct Members<'a> {
        text: Option<&'a str>,
        number: Option<u32>,
        boolean: Option<bool>,
        list: Option<Vec<&'a str>>,
    }

    fn members(text: &str) -> Result<Members<'_>, Malformed> {
        read(text, |reader| {
            let mut members = Members::default();
            reader.object(|reader, key| match key {
                "text" => reader.member(&mut members.text, Reader::string),
                "number" => reader.member(&mut members.number, Reader::parsed),
                "boolean" => reader.member(&mut members.boolean, Reader::parsed),
                "list" => reader.list_member(&mut members.list, Reader::scalar),
                _ => reader.skip(),
            })?;
            Ok(members)
        })
    }

    #[test]
    fn what_is_asked_for_is_read_and_the_rest_passed_over() {
        let text = r#"{"other":{"a":[{},[],{"b":null,"c":1}]},"text":"é\n","number":7,"list":[1e400,"\n",null,true]}"#;
        let list = vec!["1e400", r#""\n""#, "null", "true"];
        assert_eq!(members(text), Ok(Members { text: Some("é\\n"), number: Some(7), boolean: None, list: Some(list) }));
        assert_eq!(members(r#"{"number":null,"boolean":true}"#), Ok(Members { boolean: Some(true), ..Members::default() }));
        assert_eq!(members("{}"), Ok(Members::default()));
        assert_eq!(members(r#"{"t\u0065xt":1,"number":null,"number":1}"#), Ok(Members { number: Some(1), ..Members::default() }));
    }

    #[test]
    fn what_is_not_what_is_asked_for_is_refused() {
        let texts = [
            r#"{"text":1}"#,
            r#"{"number":-1}"#,
            r#"{"number":1.0}"#,
            r#"{"number":4294967296}"#,
            r#"{"number":"1"}"#,
            r#"{"number":1,"number":1}"#,
            r#"{"number":nul}"#,
            r#"{"boolean":1}"#,
            r#"{"list":[[]]}"#,
            r#"{"list":{}}"#,
            r#"{"list":[{}]}"#,
            r#"{"number": 1}"#,
            "{}\n",
            "[]",
            "1",
            "",
        ];
        for text in texts {
            assert_eq!(members(text), Err(Malformed), "{text}");
        }
    }

    #[test]
    fn nothing_is_nested_without_end() {
        let nested = |levels: usize| "[".repeat(levels) + &"]".repeat(levels);
        assert!(is_json(&nested(MOST_LEVELS)) && !is_json(&nested(MOST_LEVELS + 1)));
        assert!(!is_json(&"[".repeat(1_000_000)));
    }

    /// What might be JSON, and often is.
    fn any_text() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            4 => "[\\[\\]{},:\"\\\\\u{1}0-9.eE+-]{0,3}",
            1 => prop::sample::select(vec!["\"a\":", "true", "null", "false", "-0.1e-5", "01", "\\u00e9", "\\u00g9", "\\n", "\\x", "\u{7f}é🎈"])
                .prop_map(String::from),
        ];
        prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
    }

    fn any_value() -> impl Strategy<Value = serde_json::Value> {
        let scalar = prop_oneof![
            any::<Option<bool>>().prop_map(serde_json::Value::from),
            any::<i64>().prop_map(serde_json::Value::from),
            any::<f64>().prop_map(serde_json::Value::from),
            "[a-z\"\\\\\u{1}-\u{ff}]{0,30}".prop_map(serde_json::Value::from),
        ];
        scalar.prop_recursive(4, 30, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(serde_json::Value::from),
                prop::collection::btree_map(".{0,12}", inner, 0..5).prop_map(|members| members.into_iter().collect()),
            ]
        })
    }

    proptest! {
        #[test]
        fn json_is_what_serde_json_takes_for_json(text in any_text(), value in any_value(), at in any::<prop::sample::Index>(), byte in 0x21u8..128) {
            let written = value.to_string();
            prop_assert!(is_json(&written), "{written}");
            let mut damaged = written.clone().into_bytes();
            let at = at.index(damaged.len());
            damaged[at] = byte;
            let damaged = String::from_utf8_lossy(&damaged).into_owned();
            for text in [&text, &damaged, &written[..written.floor_char_boundary(at)]] {
                prop_assert_eq!(is_json(text), serde_json::from_str::<IgnoredAny>(text).is_ok(), "{}", text);
            }
        }

        #[test]
        fn scalars_are_what_serde_json_takes_for_a_value(text in any_text(), value in any_value()) {
            for text in [&text, &value.to_string()] {
                let expected = serde_json::from_str::<&RawValue>(text).ok().map(RawValue::get).filter(|raw| !raw.starts_with(['{', '[']));
                prop_assert_eq!(read(text, Reader::scalar).ok(), expected, "{}", text);
            }
        }
    }
}
