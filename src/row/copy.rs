//! Lines of COPY's text format, as `COPY … TO STDOUT` writes them: values between tabs, `\N` for NULL, escapes with backslashes.

use std::borrow::Cow;

/// The values of a line, without its line break; `None` is NULL. A row without columns is an empty line, and has none.
pub fn values(line: &str, columns: usize) -> impl Iterator<Item = Option<Cow<'_, str>>> {
    let fields = Fields { rest: Some(line.as_bytes()), line };
    fields.take(columns)
}

struct Fields<'a> {
    line: &'a str,
    /// What is still to be read; none after the last field.
    rest: Option<&'a [u8]>,
}

impl<'a> Iterator for Fields<'a> {
    type Item = Option<Cow<'a, str>>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.rest?;
        let start = self.line.len() - rest.len();
        // Most fields have nothing escaped, and end at the first tab.
        let special = memchr::memchr2(b'\t', b'\\', rest);
        let is_escaped = special.is_some_and(|at| rest.get(at) == Some(&b'\\'));
        let end = if is_escaped { memchr::memchr(b'\t', rest) } else { special };
        self.rest = end.and_then(|end| rest.get(end + 1..));
        let field = self.line.get(start..end.map_or(self.line.len(), |end| start + end)).unwrap_or_default();
        Some(match field {
            "\\N" => None,
            field if is_escaped => Some(Cow::Owned(unescaped(field))),
            field => Some(Cow::Borrowed(field)),
        })
    }
}

/// A backslash stands before a letter for a control character, or else before a character that stands for itself.
fn unescaped(field: &str) -> String {
    let mut text = String::with_capacity(field.len());
    let mut rest = field;
    while let Some((plain, escaped)) = rest.split_once('\\') {
        text.push_str(plain);
        let mut letters = escaped.chars();
        text.extend(letters.next().map(|letter| match letter {
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'v' => '\u{b}',
            other => other,
        }));
        rest = letters.as_str();
    }
    text.push_str(rest);
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(line: &str, columns: usize) -> Vec<Option<String>> {
        values(line, columns).map(|value| value.map(Cow::into_owned)).collect()
    }

    /// As Postgres does it.
    fn written(values: &[Option<String>]) -> String {
        let escaped = |text: &String| {
            let mut field = String::new();
            for letter in text.chars() {
                match letter {
                    '\u{8}' => field.push_str("\\b"),
                    '\u{c}' => field.push_str("\\f"),
                    '\n' => field.push_str("\\n"),
                    '\r' => field.push_str("\\r"),
                    '\t' => field.push_str("\\t"),
                    '\u{b}' => field.push_str("\\v"),
                    '\\' => field.push_str("\\\\"),
                    other => field.push(other),
                }
            }
            field
        };
        values.iter().map(|value| value.as_ref().map_or(String::from("\\N"), escaped)).collect::<Vec<_>>().join("\t")
    }

    #[test]
    fn values_stand_between_tabs() {
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(read("1\tä b\t\\N\t", 4), [some("1"), some("ä b"), None, some("")]);
        assert_eq!(read(r"a\tb\\N	\\N	C:\\dir\n", 3), [some("a\tb\\N"), some("\\N"), some("C:\\dir\n")]);
        assert_eq!(read("", 1), [some("")]);
        assert_eq!(read("", 0), []);
    }

    proptest! {
        #[test]
        fn what_postgres_writes_is_read(values in prop::collection::vec(prop::option::of(any::<String>()), 1..6)) {
            prop_assert_eq!(read(&written(&values), values.len()), values);
        }

        #[test]
        fn no_text_panics(line: String, columns in 0..9_usize) {
            prop_assert!(values(&line, columns).count() <= columns);
        }
    }
}
