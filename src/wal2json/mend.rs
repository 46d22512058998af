//! What wal2json breaks is mended, so that every text is JSON: of either format, and a single change of format 1.
//!
//! Known of 2.5:
//! - a logical message outside of a transaction starts with a stray comma (format 1);
//! - names of types that SQL quotes (`"Shop".mood`, `"We""ird"`) are copied as they are, so that their own quotes are all they have;
//! - with `include-default`, the SQL of a default is put between quotes as it is, whatever is in it;
//! - the text of logical messages may be any bytes.
//!
//! Such SQL ends where wal2json goes on, with a quote and a member's name; inside of SQL's own quotes that cannot stand, since there every
//! quote is doubled. Only a list of defaults leaves a doubt, about names like `a","b` or `,"a`, and is cut there.
//! What is JSON by chance, like a type `"A\b"`, stays as it is: mending is for what no client could read. White space between values gives a default
//! like `'a" , "b'` away, though: wal2json writes none.

use std::borrow::Cow;

use serde_json::Value;

use super::json::is_json;

/// The text, as JSON; or as it came, if it is nothing that wal2json writes.
pub fn mend(bytes: Vec<u8>) -> String {
    let text = String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned());
    if is_json(&text) {
        return text;
    }
    mend_members(&without_stray_comma(&text)).filter(|mended| is_json(mended)).unwrap_or(text)
}

fn without_stray_comma(text: &str) -> Cow<'_, str> {
    match text.strip_prefix(r#"{"change":[,"#) {
        Some(rest) => Cow::Owned(format!(r#"{{"change":[{rest}"#)),
        None => Cow::Borrowed(text),
    }
}

/// A member whose value has SQL in it: one text, or a list of them.
struct Member {
    key: &'static str,
    is_list: bool,
    sql: Sql,
    /// What follows a text.
    next: &'static [&'static str],
    /// What follows the last text of all.
    last: &'static [&'static str],
}

/// What stands between quotes that are not escaped.
enum Sql {
    /// The name of a type, if it starts with a quote: that quote is SQL's. Any other is a JSON string.
    TypeName,
    /// Any expression, between quotes of its own.
    Expression,
}

const MEMBERS: [Member; 6] = [
    Member {
        key: r#""type""#,
        is_list: false,
        sql: Sql::TypeName,
        next: &[r#","typeoid":"#, r#","value":"#, r#"},{"name":""#],
        last: &["}]}"],
    },
    Member {
        key: r#""default""#,
        is_list: false,
        sql: Sql::Expression,
        next: &[r#"},{"name":""#, r#"}],"identity":["#, r#"}],"pk":["#],
        last: &["}]}"],
    },
    Member { key: r#""columntypes""#, is_list: true, sql: Sql::TypeName, next: &[r#",""#, r#"],""#], last: &[] },
    Member { key: r#""keytypes""#, is_list: true, sql: Sql::TypeName, next: &[r#",""#, r#"],""#], last: &[] },
    Member {
        key: r#""pktypes""#,
        is_list: true,
        sql: Sql::TypeName,
        next: &[r#",""#, r#"]},"oldkeys":{"#, r#"]}},{"kind":""#],
        last: &["]}}]}", "]}}"],
    },
    Member {
        key: r#""columndefaults""#,
        is_list: true,
        sql: Sql::Expression,
        next: &[r#",""#, ",null", r#"],"columnvalues":["#],
        last: &[],
    },
];

/// Walks over the strings of the text, which are keys before a colon, and writes the SQL anew. None where it has no end.
fn mend_members(text: &str) -> Option<String> {
    let mut mended = String::with_capacity(text.len() + text.len() / 8);
    let mut rest = text;
    while let Some((before, at_string)) = rest.find('"').map(|start| rest.split_at(start)) {
        let (string, after) = split_string(at_string);
        mended.push_str(before);
        mended.push_str(string);
        rest = after;
        let member = MEMBERS.iter().find(|member| member.key == string);
        if let Some((member, value)) = member.zip(after.strip_prefix(':')) {
            mended.push(':');
            rest = member.mend(value, &mut mended)?;
        }
    }
    mended.push_str(rest);
    Some(mended)
}

impl Member {
    /// Writes the value; returns what follows.
    fn mend<'a>(&self, value: &'a str, mended: &mut String) -> Option<&'a str> {
        if !self.is_list {
            return self.mend_text(value, mended);
        }
        let mut rest = value;
        let mut before = '[';
        while let Some(element) = rest.strip_prefix(before) {
            mended.push(before);
            rest = self.mend_text(element, mended)?;
            before = ',';
        }
        Some(rest)
    }

    /// Writes one text, or null; returns what follows.
    fn mend_text<'a>(&self, value: &'a str, mended: &mut String) -> Option<&'a str> {
        if !value.starts_with('"') {
            let rest = value.strip_prefix("null").unwrap_or(value);
            mended.push_str(value.get(..value.len() - rest.len())?);
            return Some(rest);
        }
        let sql = match self.sql {
            Sql::TypeName => self.split_type_name(value),
            Sql::Expression => Some(self.split_expression(value)?),
        };
        let Some((sql, rest)) = sql else {
            let (string, rest) = split_string(value);
            mended.push_str(string);
            return Some(rest);
        };
        mended.push_str(&Value::from(sql).to_string());
        Some(rest)
    }

    /// A name that SQL quotes: `"schema"."name"(modifier)[]`, of which only the first name must be there and quoted.
    fn split_type_name<'a>(&self, text: &'a str) -> Option<(&'a str, &'a str)> {
        let mut rest = after_quoted_name(text)?;
        if let Some(name) = rest.strip_prefix('.') {
            rest = after_quoted_name(name).unwrap_or_else(|| name.trim_start_matches(is_in_bare_name));
        }
        if let Some((modifier, after)) = rest.strip_prefix('(').and_then(|modifier| modifier.split_once(')'))
            && !modifier.contains(['"', '\\'])
        {
            rest = after;
        }
        rest = rest.strip_prefix("[]").unwrap_or(rest);
        let name = text.get(..text.len() - rest.len())?;
        (self.goes_on(rest) && !is_json(name)).then_some((name, rest))
    }

    /// What is between the quotes, up to the first that is not SQL's own.
    fn split_expression<'a>(&self, text: &'a str) -> Option<(&'a str, &'a str)> {
        let text = text.strip_prefix('"')?;
        let mut lexer = Lexer::default();
        text.char_indices().filter(|(_, next)| lexer.opens_name(*next)).find_map(|(at, _)| {
            let rest = text.get(at + 1..).filter(|rest| self.goes_on(rest))?;
            Some((text.get(..at)?, rest))
        })
    }

    fn goes_on(&self, rest: &str) -> bool {
        self.last.contains(&rest) || self.next.iter().any(|next| rest.starts_with(next))
    }
}

/// Where in SQL a character stands. A doubled quote closes what is quoted and opens it again.
#[derive(Default)]
struct Lexer {
    quote: Option<char>,
    /// In a literal that starts with an E, a backslash escapes.
    has_escapes: bool,
    is_escaped: bool,
    /// The last two characters.
    before: [char; 2],
}

impl Lexer {
    /// Takes the next character. True for a double quote that opens the name of something, or that is not SQL at all.
    fn opens_name(&mut self, next: char) -> bool {
        let opens = self.quote.is_none() && next == '"';
        match self.quote {
            _ if self.is_escaped => self.is_escaped = false,
            Some('\'') if self.has_escapes && next == '\\' => self.is_escaped = true,
            Some(quote) if quote == next => self.quote = None,
            None if matches!(next, '\'' | '"') => self.open(next),
            _ => {}
        }
        self.before = [self.before[1], next];
        opens
    }

    fn open(&mut self, quote: char) {
        self.quote = Some(quote);
        let [before, last] = self.before;
        if last != quote {
            self.has_escapes = matches!(last, 'e' | 'E') && !is_in_bare_name(before);
        }
    }
}

fn is_in_bare_name(next: char) -> bool {
    next.is_ascii_alphanumeric() || matches!(next, '_' | '$') || !next.is_ascii()
}

/// What follows a name between double quotes, in which they are doubled.
fn after_quoted_name(text: &str) -> Option<&str> {
    let (_, mut rest) = text.strip_prefix('"')?.split_once('"')?;
    while let Some(doubled) = rest.strip_prefix('"') {
        rest = doubled.split_once('"')?.1;
    }
    Some(rest)
}

/// A JSON string at the front, and what follows.
fn split_string(text: &str) -> (&str, &str) {
    let mut escaped = false;
    let end = text.bytes().skip(1).position(|byte| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    });
    text.split_at(end.map_or(text.len(), |end| end + 2))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn mended(text: &str) -> Value {
        serde_json::from_str(&mend(text.as_bytes().to_vec())).unwrap()
    }

    /// The strings of a list; null is none.
    fn texts(list: &Value) -> Vec<Option<&str>> {
        list.as_array().unwrap().iter().map(Value::as_str).collect()
    }

    #[test]
    fn names_of_types_become_strings() {
        let value = mended(
            r#"{"nextlsn":"0/1","change":[{"columnnames":["a\"b"],"columntypes":["Shop".mood,"We""ird","\"Shop\".mood[]","integer","A"."B,""]c"(1,2),"shop.\"Mood\"","\"]}\".x[]","Dom","A\"],"columnvalues":["\"columntypes\":[","x"],"pk":{"pknames":[],"pktypes":["Shop".mood,"Shop".mood[],"text","shop.\"]}},\""]},"oldkeys":{"keytypes":["Shop".mood],"keyvalues":[]}}]}"#,
        );
        let change = &value["change"][0];
        let names = [
            r#""Shop".mood"#,
            r#""We""ird""#,
            r#""Shop".mood[]"#,
            "integer",
            r#""A"."B,""]c"(1,2)"#,
            r#"shop."Mood""#,
            r#""]}".x[]"#,
            "Dom",
            r#""A\""#,
        ];
        assert_eq!(texts(&change["columntypes"]), names.map(Some));
        let names = [r#""Shop".mood"#, r#""Shop".mood[]"#, "text", r#"shop."]}},""#];
        assert_eq!(texts(&change["pk"]["pktypes"]), names.map(Some));
        assert_eq!(texts(&change["oldkeys"]["keytypes"]), [Some(r#""Shop".mood"#)]);
    }

    #[test]
    fn names_of_types_become_strings_in_a_record() {
        let value = mended(
            r#"{"action":"U","columns":[{"name":"type","type":"Shop".mood,"value":"type"},{"name":"b","type":"A\","typeoid":1,"value":1},{"name":"c","type":"\"]}\".x[]","value":",\"value\":"}],"identity":[{"name":"d","type":"A}","value":null}],"pk":[{"name":"a","type":"Shop".mood},{"name":"e","type":"a""}]}"}]}"#,
        );
        let names = |list: &str| value[list].as_array().unwrap().iter().map(|column| column["type"].clone()).collect::<Vec<_>>();
        assert_eq!(names("columns"), [r#""Shop".mood"#, r#""A\""#, r#""]}".x[]"#]);
        assert_eq!(names("identity"), ["A}"]);
        assert_eq!(names("pk"), [r#""Shop".mood"#, r#""a""}]}""#]);
    }

    const DEFAULTS: [&str; 16] = [
        "5",
        "''::text",
        r#"'it''s "x"'::text"#,
        "'\\ \n\t\u{1} {},]}'::text",
        r#"nextval('"We""ird".s'::regclass)"#,
        r#"'bad"x'::"Shop".mood"#,
        r#"'a'::"We""ird""#,
        r#"'101'::"bit""#,
        r#"("Shop".f('"},{"name":"') || E'\'"},{"name":"')"#,
        r#"'"],"columnvalues":['::text"#,
        r#"'","'::text"#,
        r#"true'x\'"#,
        r#"'"}]}'::text"#,
        r#"'a'::"A\b""#,
        r#"'a" , "b'::text"#,
        r#"'a" , "b" : "c'::text"#,
    ];

    #[test]
    fn defaults_become_strings() {
        let list = DEFAULTS.map(|sql| format!(r#""{sql}""#)).join(",null,");
        let value = mended(&format!(r#"{{"kind":"insert","columndefaults":[{list}],"columnvalues":["\"columndefaults\":["]}}"#));
        let defaults: Vec<_> = texts(&value["columndefaults"]).into_iter().step_by(2).collect();
        assert_eq!(defaults, DEFAULTS.map(Some));
        assert_eq!(value["columndefaults"][1], Value::Null);
    }

    #[test]
    fn defaults_become_strings_in_a_record() {
        let columns = DEFAULTS.map(|sql| format!(r#"{{"name":"a","default":"{sql}"}}"#)).join(r#",{"name":"b","default":null},"#);
        for after in ["", r#","identity":[{"name":"default","value":1}]"#, r#","pk":[]"#] {
            let value = mended(&format!(r#"{{"action":"I","columns":[{columns}]{after}}}"#));
            let defaults = value["columns"].as_array().unwrap().iter().map(|column| column["default"].as_str()).step_by(2);
            assert_eq!(defaults.collect::<Vec<_>>(), DEFAULTS.map(Some));
        }
    }

    #[test]
    fn what_is_json_stays_as_it_is() {
        let json = r#"{"nextlsn":"0/1","change":[{"columntypes":["integer"],"columnvalues":[1e400]}]}"#;
        assert_eq!(mend(json.as_bytes().to_vec()), json);
    }

    #[test]
    fn what_cannot_be_mended_stays_as_it_is() {
        for text in ["", "{", r#"{"change":[,"#, r#"{"columntypes":["Shop".mood"#, r#"{"default":"'"}]}"#, r#"{"type":"a".b,"value":x}"#] {
            assert_eq!(mend(text.as_bytes().to_vec()), text);
        }
    }

    #[test]
    fn bytes_that_are_no_text_are_replaced() {
        assert_eq!(mend(b"{\"change\":[\"\xff\"]}".to_vec()), "{\"change\":[\"\u{fffd}\"]}");
    }

    fn any_name() -> impl Strategy<Value = String> {
        prop_oneof![r#"[a-zA-Z,\[\]{}:. ü'"\\\n]{1,8}"#, ".{1,8}"].prop_map(|name| crate::name::quoted(&name))
    }

    /// As SQL writes it: one that is not quoted would be a JSON string, and is not told apart from one.
    fn any_quoted_type() -> impl Strategy<Value = String> {
        (any_name(), prop_oneof![any_name(), "[a-z_ü]{1,8}"], r"(\([0-9]{1,2}(,[0-9])?\))?")
            .prop_map(|(schema, name, modifier)| format!("{schema}.{name}{modifier}"))
    }

    /// A list leaves a doubt about some names.
    fn any_default(in_list: bool) -> impl Strategy<Value = String> {
        let text = prop_oneof![r#"[a-z"\\{},:\[\]\n]{0,8}"#, r#""\},\{"name":""#, r#""\]\}"#, ".{0,8}"];
        let literal = (text, any::<bool>()).prop_map(|(text, escapes)| {
            let text = text.replace('\'', "''");
            if escapes { format!("E'{}'", text.replace('\\', r"\\")) } else { format!("'{text}'") }
        });
        let name = any_name().prop_map(move |name| if in_list { name.replace(',', ";") } else { name });
        let word = "[a-z0-9()+:]{1,5}";
        prop::collection::vec(prop_oneof![literal, name, word], 1..6).prop_map(|words| words.join(" "))
    }

    proptest! {
        #[test]
        fn any_name_of_a_type_is_mended(name in any_quoted_type(), array: bool) {
            let array = if array { "[]" } else { "" };
            let value = mended(&format!(
                r#"{{"change":[{{"columntypes":["text",{name},"integer",{name}],"columnvalues":["x"],"pk":{{"pktypes":[{name}{array},"text",{name}{array}]}}}}]}}"#
            ));
            prop_assert_eq!(texts(&value["change"][0]["columntypes"]), [Some("text"), Some(&name), Some("integer"), Some(&name)]);
            let key = format!("{name}{array}");
            prop_assert_eq!(texts(&value["change"][0]["pk"]["pktypes"]), [Some(key.as_str()), Some("text"), Some(&key)]);
        }

        #[test]
        fn any_name_of_a_type_is_mended_in_a_record(name in any_quoted_type()) {
            let value = mended(&format!(r#"{{"columns":[{{"name":"a","type":{name},"value":1}}],"pk":[{{"name":"a","type":{name}}}]}}"#));
            prop_assert_eq!(value["columns"][0]["type"].as_str(), Some(name.as_str()));
            prop_assert_eq!(value["pk"][0]["type"].as_str(), Some(name.as_str()));
        }

        #[test]
        fn any_default_is_mended(sql in any_default(true)) {
            // The control character, which wal2json would write too, makes it no JSON whatever the SQL.
            let value = mended(&format!("{{\"columndefaults\":[\"{sql}\",null,\"'\n'\",\"{sql}\"],\"columnvalues\":[]}}"));
            prop_assert_eq!(texts(&value["columndefaults"]), [Some(sql.as_str()), None, Some("'\n'"), Some(sql.as_str())]);
        }

        #[test]
        fn any_default_is_mended_in_a_record(sql in any_default(false)) {
            let value = mended(&format!(
                "{{\"columns\":[{{\"name\":\"a\",\"default\":\"{sql}\"}},{{\"name\":\"b\",\"default\":\"'\n'\"}},{{\"name\":\"c\",\"default\":\"{sql}\"}}]}}"
            ));
            prop_assert_eq!(value["columns"][0]["default"].as_str(), Some(sql.as_str()));
            prop_assert_eq!(value["columns"][2]["default"].as_str(), Some(sql.as_str()));
        }

        #[test]
        fn no_bytes_panic(bytes: Vec<u8>) {
            let _ = mend(bytes);
        }

        #[test]
        fn mending_twice_is_mending_once(key in "(columntypes|pktypes|columndefaults|type|default)", list in "[\"'\\\\,.(){}a\\]:E]{0,30}", end in "(\\],\"columnvalues\":\\[\\]|\\]|)\\}") {
            for text in [format!(r#"{{"{key}":[{list}{end}"#), format!(r#"{{"{key}":{list}{end}"#)] {
                let once = mend(text.into_bytes());
                prop_assert_eq!(mend(once.clone().into_bytes()), once);
            }
        }
    }
}
