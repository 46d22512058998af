//! The row model: a column's value, as Postgres writes it in its text format, becomes JSON text at the end of a buffer.
//!
//! Digits are carried over as they stand and never become a float. Nothing is read, sent or logged here, and no text makes it fail: what does
//! not have the shape of its type is written as a JSON string, so that a row is valid JSON whatever the server sent. The one exception is `json`
//! and `jsonb`, whose text Postgres has parsed already, and which is trusted.
//!
//! The session is expected to write with `TimeZone=UTC`, `DateStyle=ISO`, `IntervalStyle=postgres`, `bytea_output=hex` and
//! `extra_float_digits=1`.

pub mod copy;
pub mod reading;

/// How a value of some type is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Encoding {
    /// `true` or `false`.
    Boolean,
    /// A number with every digit kept, as [`Numbers`] says; `NaN`, `Infinity` and `-Infinity` as strings.
    Number,
    /// The text itself, on one line.
    Json,
    /// ISO 8601 without a zone; `infinity`, `-infinity` and years BC as Postgres writes them.
    Timestamp,
    /// Like `Timestamp`, in UTC, with the zone `+00:00`.
    TimestampTz,
    /// A string with Postgres' own text.
    Text,
    /// Nested arrays of elements, without their lower bounds.
    Array {
        /// How each element is written.
        element: Box<Encoding>,
        /// What stands between elements, `pg_type.typdelim`: `,` for all built-in types but `box`, which has `;`.
        delimiter: u8,
    },
}

/// Whether a number is written as a JSON number, or as a string for readers whose numbers are floats.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Numbers {
    /// `12.50`
    #[default]
    Bare,
    /// `"12.50"`
    Strings,
}

/// One column of a row: its name, rendered once for all rows, and how its values are written.
#[derive(Debug, Clone)]
pub struct Column {
    /// `"name":`
    key: Vec<u8>,
    encoding: Encoding,
}

/// Writes a row as an object, the columns in their order. There is one value for each column; `None` is NULL.
pub fn write_row<V: AsRef<str>>(out: &mut Vec<u8>, columns: &[Column], numbers: Numbers, values: impl IntoIterator<Item = Option<V>>) {
    out.push(b'{');
    for (position, (column, value)) in columns.iter().zip(values).enumerate() {
        if position > 0 {
            out.push(b',');
        }
        out.extend_from_slice(&column.key);
        write_value(out, &column.encoding, numbers, value.as_ref().map(AsRef::as_ref));
    }
    out.push(b'}');
}

/// Writes one value; `None` is NULL.
pub fn write_value(out: &mut Vec<u8>, encoding: &Encoding, numbers: Numbers, text: Option<&str>) {
    let Some(text) = text else { return out.extend_from_slice(b"null") };
    match encoding {
        Encoding::Boolean => write_boolean(out, text),
        Encoding::Number => write_number(out, numbers, text),
        Encoding::Json => write_json(out, text),
        Encoding::Timestamp => write_timestamp(out, text, ""),
        Encoding::TimestampTz => write_timestamp(out, text, "+00"),
        Encoding::Text => write_string(out, text),
        Encoding::Array { element, delimiter } => write_array(out, element, *delimiter, numbers, text),
    }
}

/// Writes a JSON string.
pub fn write_string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    write_escaped(out, text);
    out.push(b'"');
}

impl Encoding {
    /// How a built-in type is written, by its OID in `pg_type`.
    ///
    /// Any other OID means `Text`: to see through arrays and domains takes the catalogue, and is the caller's part.
    pub fn of_scalar(type_oid: u32) -> Self {
        match type_oid {
            oid::BOOL => Self::Boolean,
            oid::INT2 | oid::INT4 | oid::INT8 | oid::FLOAT4 | oid::FLOAT8 | oid::NUMERIC => Self::Number,
            oid::JSON | oid::JSONB => Self::Json,
            oid::TIMESTAMP => Self::Timestamp,
            oid::TIMESTAMPTZ => Self::TimestampTz,
            _ => Self::Text,
        }
    }
}

impl Column {
    /// A column whose values are written as `encoding` says.
    pub fn new(name: &str, encoding: Encoding) -> Self {
        let mut key = Vec::with_capacity(name.len() + 3);
        write_string(&mut key, name);
        key.push(b':');
        Self { key, encoding }
    }
}

/// OIDs in `pg_type`, the same in every database.
pub(crate) mod oid {
    pub(crate) const BOOL: u32 = 16;
    pub(crate) const BYTEA: u32 = 17;
    pub(crate) const INT8: u32 = 20;
    pub(crate) const INT2: u32 = 21;
    pub(crate) const INT4: u32 = 23;
    pub(crate) const JSON: u32 = 114;
    pub(crate) const FLOAT4: u32 = 700;
    pub(crate) const FLOAT8: u32 = 701;
    pub(crate) const BPCHAR: u32 = 1042;
    pub(crate) const VARCHAR: u32 = 1043;
    pub(crate) const DATE: u32 = 1082;
    pub(crate) const TIME: u32 = 1083;
    pub(crate) const TIMESTAMP: u32 = 1114;
    pub(crate) const TIMESTAMPTZ: u32 = 1184;
    pub(crate) const TIMETZ: u32 = 1266;
    pub(crate) const BIT: u32 = 1560;
    pub(crate) const VARBIT: u32 = 1562;
    pub(crate) const NUMERIC: u32 = 1700;
    pub(crate) const UUID: u32 = 2950;
    pub(crate) const JSONB: u32 = 3802;
}

fn write_boolean(out: &mut Vec<u8>, text: &str) {
    match text {
        "t" => out.extend_from_slice(b"true"),
        "f" => out.extend_from_slice(b"false"),
        _ => write_string(out, text),
    }
}

fn write_number(out: &mut Vec<u8>, numbers: Numbers, text: &str) {
    if numbers == Numbers::Bare && is_json_number(text.as_bytes()) {
        out.extend_from_slice(text.as_bytes());
    } else {
        write_string(out, text);
    }
}

/// The grammar of RFC 8259: no leading zeros, no plus sign, digits on both sides of the point.
fn is_json_number(text: &[u8]) -> bool {
    let (integer, rest) = split_digits(text.strip_prefix(b"-").unwrap_or(text));
    let (fraction_fits, rest) = match rest.strip_prefix(b".") {
        Some(fraction) => starts_with_digits(fraction),
        None => (true, rest),
    };
    let (exponent_fits, rest) = match rest.strip_prefix(b"e").or_else(|| rest.strip_prefix(b"E")) {
        Some(exponent) => starts_with_digits(exponent.strip_prefix(b"+").or_else(|| exponent.strip_prefix(b"-")).unwrap_or(exponent)),
        None => (true, rest),
    };
    matches!(integer, [b'0'] | [b'1'..=b'9', ..]) && fraction_fits && exponent_fits && rest.is_empty()
}

/// Whether there are digits in front, and what follows them.
fn starts_with_digits(text: &[u8]) -> (bool, &[u8]) {
    let (digits, rest) = split_digits(text);
    (!digits.is_empty(), rest)
}

fn split_digits(text: &[u8]) -> (&[u8], &[u8]) {
    text.split_at(text.iter().take_while(|byte| byte.is_ascii_digit()).count())
}

/// A change is one line, so line breaks must go; and since JSON has none inside its strings, each of them stands between two tokens, where a
/// space means the same.
fn write_json(out: &mut Vec<u8>, text: &str) {
    out.extend(text.bytes().map(|byte| if matches!(byte, b'\r' | b'\n') { b' ' } else { byte }));
}

/// `zone` is what Postgres writes for UTC at the end of this type: it leaves out the minutes, without which many parsers refuse a zone.
fn write_timestamp(out: &mut Vec<u8>, text: &str, zone: &str) {
    let Some((date, time)) = text.split_once(' ').filter(|_| !text.ends_with(" BC")) else { return write_string(out, text) };
    out.push(b'"');
    write_escaped(out, date);
    out.push(b'T');
    write_escaped(out, time);
    if !zone.is_empty() && time.ends_with(zone) {
        out.extend_from_slice(b":00");
    }
    out.push(b'"');
}

fn write_array(out: &mut Vec<u8>, element: &Encoding, delimiter: u8, numbers: Numbers, text: &str) {
    let start = out.len();
    let mut array = ArrayWriter { out, element, delimiter, numbers, unescaped: String::new() };
    if array.write_whole(text).is_none() {
        out.truncate(start);
        write_string(out, text);
    }
}

/// Postgres' own limit (`MAXDIM`). It also keeps braces without end from exhausting the stack.
const MAX_DIMENSIONS: usize = 6;

/// Reads array text and writes JSON as it goes. Each step takes text off the front and returns the rest, or `None` where the text is no array,
/// and then what was written so far is worthless.
struct ArrayWriter<'a> {
    out: &'a mut Vec<u8>,
    element: &'a Encoding,
    delimiter: u8,
    numbers: Numbers,
    /// Kept from one quoted element to the next, so that an array costs one allocation at most.
    unescaped: String,
}

impl ArrayWriter<'_> {
    fn write_whole(&mut self, text: &str) -> Option<()> {
        let rest = self.write_dimension(without_bounds(text)?, MAX_DIMENSIONS)?;
        rest.is_empty().then_some(())
    }

    /// `{…}`, which may hold no more than `depth` levels of braces, itself included.
    fn write_dimension<'t>(&mut self, text: &'t str, depth: usize) -> Option<&'t str> {
        let inner = depth.checked_sub(1)?;
        let mut rest = text.strip_prefix('{')?;
        self.out.push(b'[');
        if !rest.starts_with('}') {
            rest = self.write_item(rest, inner)?;
            while let Some(next) = rest.strip_prefix(char::from(self.delimiter)) {
                self.out.push(b',');
                rest = self.write_item(next, inner)?;
            }
        }
        self.out.push(b']');
        rest.strip_prefix('}')
    }

    fn write_item<'t>(&mut self, text: &'t str, depth: usize) -> Option<&'t str> {
        match text.as_bytes().first()? {
            b'{' => self.write_dimension(text, depth),
            b'"' => self.write_quoted(text.strip_prefix('"')?),
            _ => self.write_bare(text),
        }
    }

    /// An element up to its closing quote, the opening one being gone. A backslash makes the next character stand for itself.
    fn write_quoted<'t>(&mut self, text: &'t str) -> Option<&'t str> {
        self.unescaped.clear();
        let mut rest = text;
        loop {
            let (plain, special) = split_before(rest, |byte| matches!(byte, b'"' | b'\\'))?;
            self.unescaped.push_str(plain);
            if let Some(after) = special.strip_prefix('"') {
                write_value(self.out, self.element, self.numbers, Some(&self.unescaped));
                return Some(after);
            }
            let mut after = special.strip_prefix('\\')?.chars();
            self.unescaped.push(after.next()?);
            rest = after.as_str();
        }
    }

    /// An element that Postgres saw no need to quote, or NULL: the text `NULL` would be quoted, and so would an empty one.
    fn write_bare<'t>(&mut self, text: &'t str) -> Option<&'t str> {
        let delimiter = self.delimiter;
        let (element, rest) = split_before(text, |byte| byte == delimiter || matches!(byte, b'{' | b'}' | b'"' | b'\\'))?;
        if element.is_empty() {
            return None;
        }
        write_value(self.out, self.element, self.numbers, Some(element).filter(|text| *text != "NULL"));
        Some(rest)
    }
}

/// Where an array does not begin at 1, Postgres puts the bounds of all dimensions in front: `[0:1][-1:0]=`.
fn without_bounds(text: &str) -> Option<&str> {
    if !text.starts_with('[') {
        return Some(text);
    }
    let (bounds, array) = text.split_once('=')?;
    bounds.bytes().all(|byte| matches!(byte, b'[' | b']' | b':' | b'-' | b'0'..=b'9')).then_some(array)
}

fn split_before(text: &str, is_end: impl Fn(u8) -> bool) -> Option<(&str, &str)> {
    text.split_at_checked(text.bytes().position(is_end)?)
}

/// Copies what is clean in runs: in most values, that is all of it.
fn write_escaped(out: &mut Vec<u8>, text: &str) {
    let mut rest = text.as_bytes();
    loop {
        let (clean, special) = rest.split_at(clean_length(rest));
        out.extend_from_slice(clean);
        let Some((byte, after)) = special.split_first() else { return };
        write_escape(out, *byte);
        rest = after;
    }
}

/// How many bytes in front need no escape.
///
/// Whole blocks are judged without an early exit, since the compiler can only then judge the bytes of a block at once.
fn clean_length(text: &[u8]) -> usize {
    const BLOCK: usize = 32;
    let is_clean = |block: &&[u8]| !block.iter().fold(false, |found, byte| found | needs_escape(*byte));
    let blocks = text.chunks_exact(BLOCK).take_while(is_clean).count();
    let (clean, rest) = text.split_at(blocks * BLOCK);
    clean.len() + rest.iter().take_while(|byte| !needs_escape(**byte)).count()
}

fn needs_escape(byte: u8) -> bool {
    byte < b' ' || byte == b'"' || byte == b'\\'
}

fn write_escape(out: &mut Vec<u8>, byte: u8) {
    let short = match byte {
        b'"' | b'\\' => byte,
        b'\n' => b'n',
        b'\t' => b't',
        b'\r' => b'r',
        0x08 => b'b',
        0x0C => b'f',
        _ => return out.extend_from_slice(&[b'\\', b'u', b'0', b'0', hex_digit(byte >> 4), hex_digit(byte & 0xF)]),
    };
    out.extend_from_slice(&[b'\\', short]);
}

fn hex_digit(nibble: u8) -> u8 {
    if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn written(encoding: &Encoding, numbers: Numbers, text: Option<&str>) -> String {
        let mut out = Vec::new();
        write_value(&mut out, encoding, numbers, text);
        String::from_utf8(out).unwrap()
    }

    fn bare(encoding: &Encoding, text: &str) -> String {
        written(encoding, Numbers::Bare, Some(text))
    }

    fn parsed(encoding: &Encoding, text: &str) -> Value {
        serde_json::from_str(&bare(encoding, text)).unwrap()
    }

    fn array_of(element: Encoding) -> Encoding {
        Encoding::Array { element: Box::new(element), delimiter: b',' }
    }

    /// A table of what Postgres writes and what we make of it.
    fn check(encoding: &Encoding, table: &[(&str, &str)]) {
        for (text, expected) in table {
            assert_eq!(bare(encoding, text), *expected, "{encoding:?} {text:?}");
        }
    }

    #[test]
    fn built_in_types_are_known_by_their_oid() {
        use Encoding::*;
        let known = [(16, Boolean), (114, Json), (3802, Json), (1114, Timestamp), (1184, TimestampTz)];
        let numbers = [20, 21, 23, 700, 701, 1700].map(|oid| (oid, Number));
        // oid, text, date, time, interval, money, and the array of integer, which takes the catalogue.
        let others = [26, 25, 1082, 1083, 1186, 790, 1007, 0, u32::MAX].map(|oid| (oid, Text));
        for (oid, encoding) in known.into_iter().chain(numbers).chain(others) {
            assert_eq!(Encoding::of_scalar(oid), encoding, "{oid}");
        }
    }

    #[test]
    fn null_is_null_in_every_encoding() {
        for encoding in
            [Encoding::Boolean, Encoding::Number, Encoding::Json, Encoding::TimestampTz, Encoding::Text, array_of(Encoding::Text)]
        {
            assert_eq!(written(&encoding, Numbers::Bare, None), "null");
            assert_eq!(written(&encoding, Numbers::Strings, None), "null");
        }
    }

    #[test]
    fn booleans() {
        check(&Encoding::Boolean, &[("t", "true"), ("f", "false"), ("", r#""""#), ("true", r#""true""#)]);
    }

    #[test]
    fn numbers_keep_every_digit() {
        let exact = [
            "0",
            "-0",
            "7",
            "-32768",
            "9223372036854775807",
            "0.1000",
            "0.00",
            "1e+308",
            "5e-324",
            "1E5",
            "1e-07",
            "-1.7976931348623157e+308",
            "123456789012345678901234567890123456789012345678901234567890.123456789012345678901234567890",
        ];
        for text in exact {
            assert_eq!(bare(&Encoding::Number, text), text);
        }
    }

    #[test]
    fn what_json_does_not_take_for_a_number_is_a_string() {
        let others = [
            "NaN",
            "Infinity",
            "-Infinity",
            "",
            "-",
            "+1",
            "01",
            "-01",
            ".5",
            "5.",
            "1.e5",
            "1e",
            "1e+",
            "0x1",
            "1 ",
            " 1",
            "1_000",
            "1e5.0",
            "--1",
            "1é",
        ];
        for text in others {
            assert_eq!(parsed(&Encoding::Number, text), json!(text));
        }
    }

    #[test]
    fn numbers_can_be_strings_everywhere() {
        for text in ["0.1000", "-12", "NaN"] {
            assert_eq!(written(&Encoding::Number, Numbers::Strings, Some(text)), format!("\"{text}\""));
        }
        assert_eq!(written(&array_of(Encoding::Number), Numbers::Strings, Some("{1,NULL,2.50}")), r#"["1",null,"2.50"]"#);
        assert_eq!(written(&Encoding::Json, Numbers::Strings, Some("[1, 2.50]")), "[1, 2.50]");
    }

    #[test]
    fn json_stays_as_it_is_on_one_line() {
        check(
            &Encoding::Json,
            &[
                (r#"{"a": 1e400, "a": 0.10}"#, r#"{"a": 1e400, "a": 0.10}"#),
                ("{\r\n\t\"a\":\n[1,\r2]\n}\n", "{  \t\"a\": [1, 2] } "),
                ("{\"a\\\"\":\n\"\\\\\"\n,\"\\r\\n\":\n2}", r#"{"a\"": "\\" ,"\r\n": 2}"#),
                ("null", "null"),
            ],
        );
    }

    #[test]
    fn timestamps_are_iso_8601() {
        check(
            &Encoding::Timestamp,
            &[
                ("2024-01-02 03:04:05", r#""2024-01-02T03:04:05""#),
                ("2024-02-29 23:59:59.999999", r#""2024-02-29T23:59:59.999999""#),
                ("294276-12-31 23:59:59.999999", r#""294276-12-31T23:59:59.999999""#),
                ("infinity", r#""infinity""#),
                ("-infinity", r#""-infinity""#),
                ("0044-03-15 00:00:00 BC", r#""0044-03-15 00:00:00 BC""#),
                // Never written by Postgres: no zone is touched, and quotes are escaped.
                ("2024-01-02 03:04:05+00", r#""2024-01-02T03:04:05+00""#),
                ("a\" b\"", r#""a\"Tb\"""#),
            ],
        );
    }

    #[test]
    fn timestamps_with_time_zone_are_in_utc() {
        check(
            &Encoding::TimestampTz,
            &[
                ("2024-01-02 03:04:05+00", r#""2024-01-02T03:04:05+00:00""#),
                ("2024-01-02 03:04:05.12+00", r#""2024-01-02T03:04:05.12+00:00""#),
                ("infinity", r#""infinity""#),
                ("-infinity", r#""-infinity""#),
                ("0044-03-15 12:00:00+00 BC", r#""0044-03-15 12:00:00+00 BC""#),
            ],
        );
    }

    #[test]
    fn everything_else_is_its_text() {
        check(
            &Encoding::Text,
            &[
                ("", r#""""#),
                ("2024-01-02", r#""2024-01-02""#),
                ("1 year 2 mons -3 days +04:05:06", r#""1 year 2 mons -3 days +04:05:06""#),
                (r"\xdeadbeef", r#""\\xdeadbeef""#),
                ("[1,10)", r#""[1,10)""#),
                (r#"(1,"a ""b""",)"#, r#""(1,\"a \"\"b\"\"\",)""#),
                ("<a href=\"/x\">ä €\u{2028}😀\u{7f}</a>", "\"<a href=\\\"/x\\\">ä €\u{2028}😀\u{7f}</a>\""),
                ("\n\t\r\u{8}\u{c}\u{1}\u{1f}\u{b}", r#""\n\t\r\b\f\u0001\u001f\u000b""#),
            ],
        );
    }

    #[test]
    fn arrays_nest_without_their_bounds() {
        check(
            &array_of(Encoding::Number),
            &[
                ("{}", "[]"),
                ("{1,2,NULL}", "[1,2,null]"),
                ("{NaN,-Infinity,1e+308}", r#"["NaN","-Infinity",1e+308]"#),
                ("{{1,2},{3,4}}", "[[1,2],[3,4]]"),
                ("[0:2]={1,2,3}", "[1,2,3]"),
                ("[-1:0][5:5]={{1},{2}}", "[[1],[2]]"),
                ("{{{{{{1}}}}}}", "[[[[[[1]]]]]]"),
            ],
        );
    }

    #[test]
    fn elements_follow_their_own_encoding() {
        check(&array_of(Encoding::Boolean), &[("{t,f,NULL}", "[true,false,null]")]);
        check(
            &array_of(Encoding::TimestampTz),
            &[(r#"{"2024-01-02 03:04:05+00",infinity,NULL}"#, r#"["2024-01-02T03:04:05+00:00","infinity",null]"#)],
        );
        check(
            &array_of(Encoding::Json),
            &[("{\"{\\\"a\\\": [1, \\\"\\\\\\\\\\\"]}\",1,true,\"null\",NULL,\"[\n]\"}", r#"[{"a": [1, "\\"]},1,true,null,null,[ ]]"#)],
        );
        check(
            &array_of(Encoding::Text),
            &[
                (r#"{a,"b c","","NULL",NULL,"null","x,y","{}","say \"hi\"","back\\slash",ä,"😀 \"é\""}"#, {
                    r#"["a","b c","","NULL",null,"null","x,y","{}","say \"hi\"","back\\slash","ä","😀 \"é\""]"#
                }),
                ("{\"line\nbreak\",a=b}", r#"["line\nbreak","a=b"]"#),
                (r#"{"(1,\"a b\")","(2,c)"}"#, r#"["(1,\"a b\")","(2,c)"]"#),
            ],
        );
    }

    #[test]
    fn boxes_have_a_delimiter_of_their_own() {
        let boxes = Encoding::Array { element: Box::new(Encoding::Text), delimiter: b';' };
        check(&boxes, &[("{(1,1),(0,0);(2,2),(1,1);NULL}", r#"["(1,1),(0,0)","(2,2),(1,1)",null]"#)]);
    }

    /// The only way to an array whose elements are arrays: a domain over an array, and an array of that domain.
    #[test]
    fn arrays_of_domains_over_arrays() {
        check(&array_of(array_of(Encoding::Text)), &[(r#"{"{1,\"a \\\"b\\\"\"}",NULL,"{}"}"#, r#"[["1","a \"b\""],null,[]]"#)]);
    }

    #[test]
    fn what_is_no_array_is_a_string() {
        let deep = "{".repeat(1_000_000);
        let too_deep = format!("{}1{}", "{".repeat(7), "}".repeat(7));
        let others = [
            "", "1 2 3", "{", "}", "{}}", "{1", "{1,", "{1,}", "{,}", "{,1}", "{1}x", "{\"a}", "{\"a\\", "{\"a\"b}", "{a\"b\"}", "{a{b}",
            "{a\\,b}", "{1}{2}", "{{1}{2}}", "[0:1]", "[a]={1}", "[0:1={", "{1;2}é{", &too_deep, &deep,
        ];
        for text in others {
            assert_eq!(parsed(&array_of(Encoding::Text), text), json!(text));
        }
        let mut out = b"before".to_vec();
        write_value(&mut out, &array_of(Encoding::Number), Numbers::Bare, Some("{1,2"));
        assert_eq!(out, b"before\"{1,2\"");
    }

    #[test]
    fn rows_are_objects_in_the_order_of_their_columns() {
        let columns = [
            Column::new("id", Encoding::Number),
            Column::new("We\"ird\nNäme", Encoding::Text),
            Column::new("at", Encoding::TimestampTz),
            Column::new("doc", Encoding::Json),
            Column::new("tags", array_of(Encoding::Text)),
        ];
        let row = |numbers, values: [Option<&str>; 5]| {
            let mut out = b"data: ".to_vec();
            write_row(&mut out, &columns, numbers, values);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(
            row(Numbers::Bare, [Some("1"), Some("x\ty"), Some("2024-01-02 03:04:05+00"), Some("{\"a\":\n1}"), Some("{a}")]),
            r#"data: {"id":1,"We\"ird\nNäme":"x\ty","at":"2024-01-02T03:04:05+00:00","doc":{"a": 1},"tags":["a"]}"#
        );
        assert_eq!(
            row(Numbers::Strings, [Some("2"), None, None, None, None]),
            r#"data: {"id":"2","We\"ird\nNäme":null,"at":null,"doc":null,"tags":null}"#
        );
        let mut out = Vec::new();
        write_row::<&str>(&mut out, &[], Numbers::Bare, []);
        assert_eq!(out, b"{}");
    }

    /// Every encoding but `Json`, which trusts its text.
    fn any_checked_encoding() -> impl Strategy<Value = Encoding> {
        let scalar = prop_oneof![
            Just(Encoding::Boolean),
            Just(Encoding::Number),
            Just(Encoding::Timestamp),
            Just(Encoding::TimestampTz),
            Just(Encoding::Text)
        ];
        scalar.prop_recursive(3, 3, 1, |element| {
            let delimiter = prop_oneof![4 => Just(b','), 1 => Just(b';'), 1 => any::<u8>()];
            (element, delimiter).prop_map(|(element, delimiter)| Encoding::Array { element: Box::new(element), delimiter })
        })
    }

    /// Anything at all, and what comes close to arrays, numbers and timestamps.
    fn any_text() -> impl Strategy<Value = String> {
        prop_oneof![
            any::<String>(),
            r#"[{}"\\,;a1]{0,30}"#,
            r#"(\[0:1\]=)?\{[{}",;N1é\\]{0,12}\}"#,
            r"[-+.eE0-9]{0,8}",
            r#"[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9:]{0,8}["\\+0]{0,3}( BC)?"#,
        ]
    }

    /// Arrays within arrays, down to Postgres' six dimensions, of strings and nulls.
    fn any_array() -> impl Strategy<Value = Value> {
        let text = prop_oneof![any::<String>(), r#"[a"\\{},; \n]{0,5}"#, "(?i)null"];
        let element = prop_oneof![1 => Just(Value::Null), 4 => text.prop_map(Value::String)];
        let vector = prop::collection::vec(element, 0..5).prop_map(Value::Array);
        vector.prop_recursive(5, 40, 4, |inner| prop::collection::vec(inner, 1..4).prop_map(Value::Array))
    }

    /// As `array_out` does it: quoted where the text is empty, NULL in any case, or holds a quote, backslash, brace, delimiter or space.
    fn postgres_array(value: &Value, delimiter: char) -> String {
        match value {
            Value::Array(items) => {
                let items: Vec<_> = items.iter().map(|item| postgres_array(item, delimiter)).collect();
                format!("{{{}}}", items.join(&delimiter.to_string()))
            }
            Value::String(text) => {
                let special = |next: char| "\"\\{} \t\n\r\u{b}\u{c}".contains(next) || next == delimiter;
                let quoted = text.is_empty() || text.eq_ignore_ascii_case("null") || text.contains(special);
                if quoted { format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")) } else { text.clone() }
            }
            _ => String::from("NULL"),
        }
    }

    /// JSON over several lines, as an editor would indent it, with a different line break each time.
    fn spread_out(value: &Value, line_break: &str) -> String {
        serde_json::to_string_pretty(value).unwrap().replace('\n', line_break)
    }

    proptest! {
        #[test]
        fn any_text_is_read_back(text: String) {
            prop_assert_eq!(parsed(&Encoding::Text, &text), json!(text));
        }

        #[test]
        fn any_mixture_of_clean_and_special_is_read_back(text in r#"([a-zé]{0,40}["\\\n\x00-\x1f]{0,2}){0,5}"#) {
            prop_assert_eq!(parsed(&Encoding::Text, &text), json!(text));
        }

        #[test]
        fn any_text_in_any_checked_encoding_is_valid_json(encoding in any_checked_encoding(), text in any_text(), strings: bool) {
            let numbers = if strings { Numbers::Strings } else { Numbers::Bare };
            let json = written(&encoding, numbers, Some(&text));
            let valid = serde_json::from_str::<serde::de::IgnoredAny>(&json);
            prop_assert!(valid.is_ok(), "{:?} {:?} {}", encoding, text, json);
            prop_assert!(!json.contains(['\r', '\n']));
        }

        #[test]
        fn any_json_number_stays_as_it_is(text in r"-?(0|[1-9][0-9]{0,40})(\.[0-9]{1,40})?([eE][-+]?[0-9]{1,3})?") {
            prop_assert_eq!(bare(&Encoding::Number, &text), text);
        }

        #[test]
        fn any_json_keeps_its_value_on_one_line(value in any_array(), line_break in "[\r\n]{1,2}") {
            let json = bare(&Encoding::Json, &spread_out(&value, &line_break));
            prop_assert!(!json.contains(['\r', '\n']));
            prop_assert_eq!(serde_json::from_str::<Value>(&json).unwrap(), value);
        }

        #[test]
        fn any_array_is_read_back(array in any_array(), bounds in r"((\[-?[0-9]:[0-9]\]){1,6}=)?", delimiter in "[,;]") {
            let text = bounds + &postgres_array(&array, delimiter.chars().next().unwrap());
            let encoding = Encoding::Array { element: Box::new(Encoding::Text), delimiter: delimiter.as_bytes()[0] };
            prop_assert_eq!(parsed(&encoding, &text), array);
        }
    }
}
