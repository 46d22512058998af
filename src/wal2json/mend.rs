//! What wal2json breaks is mended, so that every message is JSON.
//!
//! Known of 2.5: a logical message outside of a transaction starts with a stray comma; names of types that SQL quotes (`"Shop".mood`,
//! `"We""ird"`) are copied into `columntypes` and `keytypes` as they are; the text of logical messages may be any bytes.

use serde::de::IgnoredAny;

/// The text, as JSON.
pub(super) fn mend(bytes: Vec<u8>) -> String {
    let json = String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned());
    if serde_json::from_str::<IgnoredAny>(&json).is_ok() { json } else { mend_types(&without_stray_comma(json)) }
}

fn without_stray_comma(json: String) -> String {
    match json.strip_prefix(r#"{"change":[,"#) {
        Some(rest) => format!(r#"{{"change":[{rest}"#),
        None => json,
    }
}

/// Walks over the strings of the text and writes the elements of lists of types anew.
fn mend_types(json: &str) -> String {
    let mut mended = String::with_capacity(json.len() + 64);
    let mut rest = json;
    while let Some(start) = rest.find('"') {
        let (before, at_string) = rest.split_at(start);
        let (string, after) = split_string(at_string);
        mended.push_str(before);
        mended.push_str(string);
        rest = after;
        if matches!(string, r#""columntypes""# | r#""keytypes""#)
            && let Some(list) = after.strip_prefix(":[")
        {
            mended.push_str(":[");
            rest = mend_list(list, &mut mended);
        }
    }
    mended.push_str(rest);
    mended
}

/// Writes the elements up to the end of the list; returns what follows.
fn mend_list<'a>(list: &'a str, mended: &mut String) -> &'a str {
    let mut rest = list;
    while rest.starts_with('"') {
        let (string, after) = split_string(rest);
        if after.starts_with([',', ']']) {
            mended.push_str(string);
            rest = after;
        } else {
            let (name, after) = split_type_name(rest);
            mended.push_str(&serde_json::Value::from(name).to_string());
            rest = after;
        }
        if let Some(next) = rest.strip_prefix(',') {
            mended.push(',');
            rest = next;
        }
    }
    rest
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

/// The name of a type as SQL writes it, up to the comma or the bracket that ends it: neither inside of quotes nor of parentheses.
fn split_type_name(text: &str) -> (&str, &str) {
    let mut in_quotes = false;
    let mut in_parentheses = false;
    let end = text.find(|next| {
        match next {
            '"' => in_quotes = !in_quotes,
            '(' if !in_quotes => in_parentheses = true,
            ')' if !in_quotes => in_parentheses = false,
            _ => {}
        }
        matches!(next, ',' | ']') && !in_quotes && !in_parentheses
    });
    text.split_at(end.unwrap_or(text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;

    fn types(json: &str) -> Vec<String> {
        let value: Value = serde_json::from_str(&mend(json.as_bytes().to_vec())).unwrap();
        value["change"][0]["columntypes"].as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn names_of_types_become_strings() {
        let json = r#"{"nextlsn":"0/1","change":[{"columnnames":["a\"b"],"columntypes":["Shop".mood,"We""ird","\"Shop\".mood[]","integer","A"."B,""]c"(1,2),"text"],"columnvalues":["\"columntypes\":[","x"],"oldkeys":{"keytypes":["Shop".mood]}}]}"#;
        let names = [r#""Shop".mood"#, r#""We""ird""#, r#""Shop".mood[]"#, "integer", r#""A"."B,""]c"(1,2)"#, "text"];
        assert_eq!(types(json), names);
    }

    #[test]
    fn what_is_json_stays_as_it_is() {
        let json = r#"{"nextlsn":"0/1","change":[{"columntypes":["integer"],"columnvalues":[1e400]}]}"#;
        assert_eq!(mend(json.as_bytes().to_vec()), json);
    }

    #[test]
    fn bytes_that_are_no_text_are_replaced() {
        assert_eq!(mend(b"{\"change\":[\"\xff\"]}".to_vec()), "{\"change\":[\"\u{fffd}\"]}");
    }

    proptest! {
        #[test]
        fn any_name_of_a_type_is_mended(schema in "[a-zA-Z,\\]\\[. ü\"]{1,8}", name in "[a-zA-Z,\\]() \"]{1,8}") {
            let quoted = format!("{}.{}", crate::name::quoted(&schema), crate::name::quoted(&name));
            let json = format!(r#"{{"change":[{{"columntypes":["text",{quoted},"integer"],"columnvalues":["x"]}}]}}"#);
            prop_assert_eq!(types(&json), ["text", quoted.as_str(), "integer"]);
        }

        #[test]
        fn no_bytes_panic(bytes: Vec<u8>) {
            let _ = mend(bytes);
        }

        #[test]
        fn no_text_panics(list in "[\"\\\\,.()a\\]]{0,20}") {
            let _ = mend(format!(r#"{{"change":[{{"columntypes":[{list}"#).into_bytes());
        }
    }
}
