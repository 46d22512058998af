//! The way back: a value as the row model has it becomes the text that Postgres reads as that value.

use serde_json::value::RawValue;

use super::{Encoding, MAX_DIMENSIONS};

/// Not a value of that type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected}")]
pub struct Mismatch {
    /// What would have been one.
    pub expected: &'static str,
}

const STRING: Mismatch = Mismatch { expected: "a string, as the row has it" };
const NUL: Mismatch = Mismatch { expected: "a text without the character NUL, which Postgres has not" };
const ARRAY: Mismatch = Mismatch { expected: "an array, as the row has it" };

/// The text of a value; none for NULL. Digits are carried over as they stand.
pub fn read_value(encoding: &Encoding, json: &str) -> Result<Option<String>, Mismatch> {
    if json == "null" {
        return Ok(None);
    }
    let string = || serde_json::from_str::<String>(json).map_err(|_| STRING).and_then(without_nul);
    let text = match (encoding, json.as_bytes().first()) {
        (Encoding::Json, _) => without_nul(json.to_owned())?,
        // What does not have the shape of its type is a string in the row, and so are all numbers if the client wants it so.
        (_, Some(b'"')) => string()?,
        (Encoding::Boolean, Some(b't' | b'f')) => json.to_owned(),
        (Encoding::Boolean, _) => return Err(Mismatch { expected: "true or false" }),
        (Encoding::Number, Some(b'-' | b'0'..=b'9')) => json.to_owned(),
        (Encoding::Number, _) => return Err(Mismatch { expected: "a number, or its text" }),
        (Encoding::Array { element, delimiter }, Some(b'[')) => {
            let mut literal = String::new();
            write_dimension(&mut literal, element, *delimiter, json, MAX_DIMENSIONS)?;
            literal
        }
        (Encoding::Array { .. }, _) => return Err(ARRAY),
        _ => return Err(STRING),
    };
    Ok(Some(text))
}

fn without_nul(text: String) -> Result<String, Mismatch> {
    if text.contains('\0') { Err(NUL) } else { Ok(text) }
}

/// `{…}`, with no more than `depth` levels of braces, itself included.
fn write_dimension(literal: &mut String, element: &Encoding, delimiter: u8, json: &str, depth: usize) -> Result<(), Mismatch> {
    let inner = depth.checked_sub(1).ok_or(ARRAY)?;
    let items: Vec<&RawValue> = serde_json::from_str(json).map_err(|_| ARRAY)?;
    literal.push('{');
    for (position, item) in items.into_iter().enumerate() {
        if position > 0 {
            literal.push(char::from(delimiter));
        }
        // An array of `jsonb` has elements that are arrays themselves; whether those are dimensions, nobody can tell.
        if item.get().starts_with('[') && *element != Encoding::Json {
            write_dimension(literal, element, delimiter, item.get(), inner)?;
        } else {
            write_element(literal, read_value(element, item.get())?.as_deref());
        }
    }
    literal.push('}');
    Ok(())
}

fn write_element(literal: &mut String, text: Option<&str>) {
    let Some(text) = text else { return literal.push_str("NULL") };
    literal.push('"');
    for letter in text.chars() {
        if matches!(letter, '"' | '\\') {
            literal.push('\\');
        }
        literal.push(letter);
    }
    literal.push('"');
}

#[cfg(test)]
mod tests {
    use super::super::{Numbers, write_value};
    use super::*;
    use proptest::prelude::*;

    fn array_of(element: Encoding) -> Encoding {
        Encoding::Array { element: Box::new(element), delimiter: b',' }
    }

    fn read(encoding: &Encoding, json: &str) -> Option<String> {
        read_value(encoding, json).unwrap_or_else(|error| panic!("{json}: {error}"))
    }

    #[test]
    fn each_type_is_read_as_it_was_written() {
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(read(&Encoding::Boolean, "true"), some("true"));
        let digits = "1234567890123456789012345678901234567890.10";
        assert_eq!(read(&Encoding::Number, digits), some(digits));
        assert_eq!(read(&Encoding::Number, &format!("{digits:?}")), some(digits));
        assert_eq!(read(&Encoding::Number, r#""NaN""#), some("NaN"));
        assert_eq!(read(&Encoding::Json, r#"{"a":1e400}"#), some(r#"{"a":1e400}"#));
        assert_eq!(read(&Encoding::TimestampTz, r#""2024-01-01T00:00:00+00:00""#), some("2024-01-01T00:00:00+00:00"));
        assert_eq!(read(&Encoding::Text, r#""a\"\n""#), some("a\"\n"));
        assert_eq!(read(&Encoding::Text, "null"), None);
        assert_eq!(read(&array_of(Encoding::Number), r#"[[1,null],[2.50,"NaN"]]"#), some(r#"{{"1",NULL},{"2.50","NaN"}}"#));
        assert_eq!(read(&array_of(Encoding::Text), r#"["a\\b\"","null",""]"#), some(r#"{"a\\b\"","null",""}"#));
        assert_eq!(read(&array_of(Encoding::Json), r#"[[1],{"a":"b"}]"#), some(r#"{"[1]","{\"a\":\"b\"}"}"#));
    }

    #[test]
    fn what_is_no_value_of_the_type_is_refused() {
        for (encoding, json) in [
            (Encoding::Boolean, "1"),
            (Encoding::Number, "true"),
            (Encoding::Number, "[1]"),
            (Encoding::Text, "1"),
            (Encoding::Text, r#""a\u0000b""#),
            (Encoding::Timestamp, "{}"),
            (array_of(Encoding::Text), "{}"),
            (array_of(Encoding::Text), "[1]"),
            (array_of(Encoding::Number), "[[[[[[[1]]]]]]]"),
        ] {
            assert!(read_value(&encoding, json).is_err(), "{encoding:?} {json}");
        }
    }

    proptest! {
        #[test]
        fn text_comes_back(text in "[^\0]*") {
            let mut json = vec![];
            write_value(&mut json, &Encoding::Text, Numbers::Bare, Some(&text));
            prop_assert_eq!(read(&Encoding::Text, std::str::from_utf8(&json).unwrap()), Some(text));
        }

        #[test]
        fn arrays_of_text_come_back(items in prop::collection::vec(prop::option::of("[^\0]*"), 1..5)) {
            let encoding = array_of(Encoding::Text);
            let json = serde_json::to_string(&items).unwrap();
            let literal = read(&encoding, &json).unwrap();
            let mut again = vec![];
            write_value(&mut again, &encoding, Numbers::Bare, Some(&literal));
            prop_assert_eq!(serde_json::from_slice::<Vec<Option<String>>>(&again).unwrap(), items);
        }

        #[test]
        fn no_json_panics(text: String) {
            for encoding in [Encoding::Boolean, Encoding::Number, Encoding::Json, Encoding::Text, array_of(Encoding::Number)] {
                let _ = read_value(&encoding, &text);
            }
        }
    }
}
