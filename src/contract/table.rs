//! The JSON Schema of one table: its rows by the row model, and the events of its changes.
//!
//! It says what holds for the table as the catalogue has it now. Rows and changes from before it was altered may be different.

#![expect(clippy::indexing_slicing, reason = "reading a JSON value where nothing is gives null, and those that are written to are objects")]

use serde_json::{Map, Value, json};

use crate::name::TableName;
use crate::row::{Numbers, oid};

/// A table as its schema describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableSchema {
    /// Its name.
    pub name: TableName,
    /// What `COMMENT ON TABLE` says.
    pub comment: Option<String>,
    /// Its columns, in their order.
    pub columns: Vec<ColumnSchema>,
    /// The columns of its primary key, in the key's order.
    pub primary_key: Vec<String>,
    /// Whose changes are told, and how.
    pub changes: Changes,
}

/// What is told of changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Changes {
    /// None, since it is something that has no changes of its own: what it is.
    None(&'static str),
    /// Its own, each of a row known by this.
    Own {
        /// What tells its rows apart.
        identity: Identity,
        /// The partitioned table at the top, if it is a partition.
        root: Option<TableName>,
    },
    /// Those of its partitions, whose rows may be known by anything. The partitioned table at the top, which may be itself.
    OfPartitions(TableName),
}

/// What a row was known by before a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    /// These columns.
    Columns(Vec<String>),
    /// The whole row.
    Full,
    /// Nothing: updates and deletes are left out.
    Nothing,
}

/// A column as the schema describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnSchema {
    /// Its name.
    pub name: String,
    /// Its type, as SQL writes it.
    pub type_name: String,
    /// What its values look like, with domains seen through.
    pub kind: Kind,
    /// Whether it is `NOT NULL`.
    pub not_null: bool,
    /// Whether its values are computed.
    pub generated: bool,
    /// Whether Postgres may keep values of it outside of the row, and then leave them out of an update that does not change them.
    pub may_be_large: bool,
    /// What `COMMENT ON COLUMN` says.
    pub comment: Option<String>,
}

/// What values look like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A built-in type by its OID in `pg_type`, with the modifier that the column's type has, or -1. Other types too: their values are text.
    Scalar(u32, i32),
    /// One of these.
    Enum(Vec<String>),
    /// An array of any number of dimensions.
    Array(Box<Kind>),
}

/// What Postgres adds to the length in a modifier.
const HEADER: i32 = 4;

impl TableSchema {
    /// The schema's text.
    pub fn render(&self, numbers: Numbers) -> String {
        let mut definitions = Definitions { numbers, arrays: Map::new() };
        let row = self.row(&mut definitions, |_| true, |_| true);
        let mut all = Map::from_iter([(String::from("row"), titled(row, &self.name.table, self.comment.as_deref()))]);
        if self.leaves_out() {
            let changed = self.row(&mut definitions, |_| true, |column| !column.may_be_large);
            let title = format!("{} changed", self.name.table);
            let changed = titled(changed, &title, Some("A row after an update, without the columns that are unchanged."));
            all.insert(String::from("changedRow"), changed);
        }
        all.insert(String::from("event"), self.event(&mut definitions));
        all.append(&mut definitions.arrays);
        super::published::text(&json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "$id": self.id(numbers),
            "$ref": "#/$defs/row",
            "$defs": all,
        }))
    }

    /// Whether updates leave columns out that did not change. Under `REPLICA IDENTITY FULL` they are taken from the row before.
    fn leaves_out(&self) -> bool {
        let has_large = self.columns.iter().any(|column| column.may_be_large);
        has_large && matches!(self.changes, Changes::Own { identity: Identity::Columns(_), .. } | Changes::OfPartitions(_))
    }

    fn id(&self, numbers: Numbers) -> String {
        let [schema, table] = [&self.name.schema, &self.name.table].map(|name| percent_encoding::utf8_percent_encode(name, UNRESERVED));
        let numbers = if numbers == Numbers::Strings { ":numbers-as-strings" } else { "" };
        super::published::id(&format!("table:{schema}.{table}{numbers}"))
    }

    /// An object of some of the columns, of which some are always there.
    fn row(
        &self,
        definitions: &mut Definitions,
        mut has: impl FnMut(&ColumnSchema) -> bool,
        mut always: impl FnMut(&ColumnSchema) -> bool,
    ) -> Value {
        let columns: Vec<&ColumnSchema> = self.columns.iter().filter(|column| has(column)).collect();
        let required: Vec<&str> = columns.iter().filter(|column| always(column)).map(|column| column.name.as_str()).collect();
        let properties: Map<String, Value> =
            columns.iter().map(|column| (column.name.clone(), definitions.column(column, self.is_key(column)))).collect();
        let mut row = json!({"type": "object", "properties": properties, "required": required, "additionalProperties": false});
        let key: Vec<&str> =
            self.primary_key.iter().map(String::as_str).filter(|key| columns.iter().any(|column| column.name == *key)).collect();
        if !key.is_empty() && key.len() == self.primary_key.len() {
            // JSON Schema has no keyword for it. Validators pass over those that they do not know, but for the strict ones, which are told once.
            row["x-primary-key"] = json!(key);
        }
        row
    }

    fn is_key(&self, column: &ColumnSchema) -> bool {
        self.primary_key.contains(&column.name)
    }

    fn event(&self, definitions: &mut Definitions) -> Value {
        let title = format!("{} event", self.name.table);
        if let Changes::None(what) = &self.changes {
            return json!({"title": title, "description": format!("It is {what}: no changes of it are streamed."), "not": {}});
        }
        let row = json!({"$ref": "#/$defs/row"});
        let mut kinds = vec![self.kind_of_event("insert", "A new row.", &json!({ "new": row }), &["new"])];
        if let Some((before, required)) = self.before(definitions) {
            let mut members = before.clone();
            merge(&mut members, &self.after());
            kinds.push(self.kind_of_event("update", "A row changed.", &members, &[&required[..], &["new"]].concat()));
            kinds.push(self.kind_of_event("delete", "A row is gone.", &before, &required));
        }
        kinds.push(self.kind_of_event("truncate", "All rows are gone.", &json!({}), &[]));
        json!({"title": title, "description": "A change of the table, as it stands in `events`.", "oneOf": kinds})
    }

    /// What an update or a delete says of the row before, and what of that is always there; none where there are neither.
    fn before(&self, definitions: &mut Definitions) -> Option<(Value, Vec<&'static str>)> {
        let old = json!({"$ref": "#/$defs/row"});
        match &self.changes {
            Changes::None(_) | Changes::Own { identity: Identity::Nothing, .. } => None,
            Changes::Own { identity: Identity::Columns(columns), .. } => {
                let key = self.row(definitions, |column| columns.contains(&column.name), |_| true);
                Some((json!({ "key": key }), vec!["key"]))
            }
            Changes::Own { identity: Identity::Full, .. } if self.primary_key.is_empty() => Some((json!({ "old": old }), vec!["old"])),
            Changes::Own { identity: Identity::Full, .. } => {
                let key = self.row(definitions, |column| self.is_key(column), |_| true);
                Some((json!({ "key": key, "old": old }), vec!["key", "old"]))
            }
            Changes::OfPartitions(_) => {
                let key = self.row(definitions, |_| true, |_| false);
                Some((json!({ "key": key, "old": old }), vec![]))
            }
        }
    }

    /// What an update says of the row from now on.
    fn after(&self) -> Value {
        if !self.leaves_out() {
            return json!({"new": {"$ref": "#/$defs/row"}});
        }
        let large: Vec<&str> = self.columns.iter().filter(|column| column.may_be_large).map(|column| column.name.as_str()).collect();
        json!({
            "new": {"$ref": "#/$defs/changedRow"},
            "unchanged": {
                "description": "Columns whose large values did not change, which Postgres does not send.",
                "type": "array", "minItems": 1, "items": {"type": "string", "enum": large},
            },
            "unchangedUnknown": {
                "description": "Columns may be left out of `new` because they are unchanged, or because the table did not have them yet.",
                "type": "boolean", "const": true,
            },
        })
    }

    fn kind_of_event(&self, op: &str, description: &str, members: &Value, more: &[&str]) -> Value {
        let constant = |value: &str| json!({"type": "string", "const": value});
        let mut properties = json!({
            "op": constant(op),
            "id": {"type": "string", "description": "The same at every delivery: what to deduplicate by."},
            "schema": constant(&self.name.schema),
            "table": constant(&self.name.table),
        });
        let mut required = vec!["op", "id", "schema", "table"];
        match &self.changes {
            Changes::OfPartitions(root) => {
                let partition = json!({"schema": {"type": "string"}, "table": {"type": "string"}});
                merge(&mut properties, &partition);
                merge(&mut properties, &json!({"root": constant(&root.table), "rootSchema": constant(&root.schema)}));
            }
            Changes::Own { root: Some(root), .. } => {
                properties["root"] = constant(&root.table);
                required.push("root");
                if root.schema != self.name.schema {
                    properties["rootSchema"] = constant(&root.schema);
                    required.push("rootSchema");
                }
            }
            Changes::Own { root: None, .. } | Changes::None(_) => {}
        }
        // A TRUNCATE of the partitioned table comes for itself too, which is a part of nothing.
        if matches!(self.changes, Changes::OfPartitions(_)) && op != "truncate" {
            required.push("root");
        }
        merge(&mut properties, members);
        required.extend(more);
        json!({
            "title": format!("{} {op}", self.name.table), "description": description,
            "type": "object", "properties": properties, "required": required, "additionalProperties": false,
        })
    }
}

/// What need not be encoded in a URI.
const UNRESERVED: &percent_encoding::AsciiSet = &percent_encoding::NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'~');

fn titled(mut schema: Value, title: &str, description: Option<&str>) -> Value {
    schema["title"] = json!(title);
    if let Some(description) = description {
        schema["description"] = json!(description);
    }
    schema
}

fn merge(into: &mut Value, from: &Value) {
    if let (Value::Object(into), Value::Object(from)) = (into, from) {
        into.extend(from.clone());
    }
}

/// What the columns' schemas are made with, and what they refer to.
struct Definitions {
    numbers: Numbers,
    arrays: Map<String, Value>,
}

impl Definitions {
    fn column(&mut self, column: &ColumnSchema, is_key: bool) -> Value {
        let is_nullable = !column.not_null || (may_be_nan(&column.kind));
        let values = self.values(&column.kind, &column.type_name);
        let mut schema = if is_nullable { or_null(values) } else { values };
        let type_name =
            if is_key { format!("`{}`, part of the primary key.", column.type_name) } else { format!("`{}`.", column.type_name) };
        schema["description"] = match &column.comment {
            Some(comment) => json!(format!("{comment}\n\n{type_name}")),
            None => json!(type_name),
        };
        if column.generated {
            schema["readOnly"] = json!(true);
        }
        schema
    }

    fn values(&mut self, kind: &Kind, type_name: &str) -> Value {
        match kind {
            Kind::Enum(labels) => json!({"type": "string", "enum": labels}),
            Kind::Array(element) => {
                let name = self.array(element, type_name);
                json!({"$ref": format!("#/$defs/{name}")})
            }
            Kind::Scalar(oid, modifier) => scalar(*oid, *modifier, self.numbers),
        }
    }

    /// The definition of an array: of elements, or of arrays, since a column's type says nothing of dimensions.
    fn array(&mut self, element: &Kind, type_name: &str) -> String {
        let words: Vec<&str> = type_name.split(|letter: char| !letter.is_ascii_alphanumeric()).filter(|word| !word.is_empty()).collect();
        let mut name = format!("array_of_{}", words.join("_"));
        let values = self.values(element, type_name);
        let definition = |name: &str| {
            let nested = json!({"$ref": format!("#/$defs/{name}")});
            json!({"type": "array", "items": {"anyOf": [values.clone(), {"type": "null"}, nested]}})
        };
        while self.arrays.get(&name).is_some_and(|known| *known != definition(&name)) {
            name.push('_');
        }
        self.arrays.insert(name.clone(), definition(&name));
        name
    }
}

/// Numbers that wal2json loses, and then writes null for.
fn may_be_nan(kind: &Kind) -> bool {
    matches!(kind, Kind::Scalar(oid::FLOAT4 | oid::FLOAT8 | oid::NUMERIC, _))
}

fn or_null(mut schema: Value) -> Value {
    if let Some(options) = schema.get_mut("anyOf").and_then(Value::as_array_mut) {
        options.push(json!({"type": "null"}));
        return schema;
    }
    match &schema["type"] {
        // All of JSON has its null already.
        Value::Array(_) => schema,
        Value::String(one) if schema.get("enum").is_none() => {
            schema["type"] = json!([one, "null"]);
            schema
        }
        _ => json!({"anyOf": [schema, {"type": "null"}]}),
    }
}

fn scalar(oid: u32, modifier: i32, numbers: Numbers) -> Value {
    // Never negative where the catalogue has one.
    let length = u32::try_from(modifier).ok();
    match oid {
        oid::BOOL => json!({"type": "boolean"}),
        oid::INT2 => integer(i16::MIN.into(), i16::MAX.into(), numbers),
        oid::INT4 => integer(i32::MIN.into(), i32::MAX.into(), numbers),
        oid::INT8 => integer(i64::MIN, i64::MAX, numbers),
        oid::FLOAT4 | oid::FLOAT8 => number(&json!({}), &["NaN", "Infinity", "-Infinity"], numbers),
        oid::NUMERIC => numeric(modifier, numbers),
        // To say nothing would mean the same, but generators make objects of that.
        oid::JSON | oid::JSONB => json!({"type": ["object", "array", "string", "number", "boolean", "null"]}),
        oid::TIMESTAMP => moment("", ""),
        oid::TIMESTAMPTZ => moment(r"\+00:00", r"\+00"),
        oid::DATE => text(r"^(-?infinity|[0-9]{4,7}-[0-9]{2}-[0-9]{2}( BC)?)$"),
        oid::TIME => text(r"^[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?$"),
        oid::TIMETZ => text(r"^[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?[+-][0-9]{2}(:[0-9]{2}){0,2}$"),
        oid::BYTEA => text(r"^\\x([0-9a-f]{2})*$"),
        oid::UUID => json!({"type": "string", "format": "uuid"}),
        oid::VARCHAR if modifier >= HEADER => json!({"type": "string", "maxLength": modifier - HEADER}),
        oid::BPCHAR if modifier >= HEADER => json!({"type": "string", "minLength": modifier - HEADER, "maxLength": modifier - HEADER}),
        oid::BIT => text(&length.map_or_else(|| String::from("^[01]*$"), |length| format!("^[01]{{{length}}}$"))),
        oid::VARBIT => text(&length.map_or_else(|| String::from("^[01]*$"), |length| format!("^[01]{{0,{length}}}$"))),
        _ => json!({"type": "string"}),
    }
}

/// Years before Christ stay as Postgres writes them.
fn moment(zone: &str, zone_of_postgres: &str) -> Value {
    const DATE: &str = "[0-9]{4,6}-[0-9]{2}-[0-9]{2}";
    const TIME: &str = r"[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?";
    text(&format!("^(-?infinity|{DATE}T{TIME}{zone}|{DATE} {TIME}{zone_of_postgres} BC)$"))
}

fn text(pattern: &str) -> Value {
    json!({"type": "string", "pattern": pattern})
}

fn integer(minimum: i64, maximum: i64, numbers: Numbers) -> Value {
    match numbers {
        Numbers::Bare => json!({"type": "integer", "minimum": minimum, "maximum": maximum}),
        Numbers::Strings => text("^(0|-?[1-9][0-9]*)$"),
    }
}

/// A number within bounds, or what is none.
fn number(bounds: &Value, others: &[&str], numbers: Numbers) -> Value {
    match numbers {
        Numbers::Bare => {
            let mut number = json!({"type": "number"});
            merge(&mut number, bounds);
            json!({"anyOf": [number, {"type": "string", "enum": others}]})
        }
        Numbers::Strings => text(&format!(r"^(-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?|{})$", others.join("|"))),
    }
}

/// A modifier has the precision in its upper half, and the scale, which may be negative, in eleven bits of the lower one.
fn numeric(modifier: i32, numbers: Numbers) -> Value {
    if modifier < HEADER {
        return number(&json!({}), &["NaN", "Infinity", "-Infinity"], numbers);
    }
    let modifier = modifier - HEADER;
    let (precision, scale) = (modifier >> 16, ((modifier & 0x7ff) ^ 1024) - 1024);
    let digits = precision - scale;
    let bound = 10_f64.powi(digits);
    // Readers whose numbers are floats round a number of more than 15 digits, perhaps up to the bound; and no float is longer than that.
    let bounds = match (precision, digits) {
        (..=15, _) => json!({"exclusiveMinimum": -bound, "exclusiveMaximum": bound}),
        (_, ..=300) => json!({"minimum": -bound, "maximum": bound}),
        _ => json!({}),
    };
    match numbers {
        Numbers::Strings if scale > 0 => text(&format!(r"^(-?[0-9]{{1,{}}}\.[0-9]{{{scale}}}|NaN)$", digits.max(1))),
        Numbers::Strings => text(&format!("^(-?[0-9]{{1,{digits}}}|NaN)$")),
        Numbers::Bare => number(&bounds, &["NaN"], numbers),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn column(name: &str, kind: Kind) -> ColumnSchema {
        let type_name = format!("{name} type");
        ColumnSchema { name: name.to_owned(), type_name, kind, not_null: true, generated: false, may_be_large: false, comment: None }
    }

    fn table(columns: Vec<ColumnSchema>, changes: Changes) -> TableSchema {
        TableSchema { name: "orders".parse().unwrap(), comment: None, columns, primary_key: vec![String::from("id")], changes }
    }

    fn by(identity: Identity) -> Changes {
        Changes::Own { identity, root: None }
    }

    fn rendered(table: &TableSchema, numbers: Numbers) -> Value {
        let schema = serde_json::from_str(&table.render(numbers)).unwrap();
        assert!(jsonschema::meta::is_valid(&schema));
        schema
    }

    fn is_row(table: &TableSchema, numbers: Numbers, row: &Value) -> bool {
        jsonschema::is_valid(&rendered(table, numbers), row)
    }

    fn of_numeric(precision: i32, scale: i32) -> TableSchema {
        let modifier = ((precision << 16) | (scale & 0x7ff)) + HEADER;
        table(vec![column("v", Kind::Scalar(oid::NUMERIC, modifier))], Changes::None("a view"))
    }

    #[test]
    fn each_schema_has_an_id_of_its_own() {
        let id = |schema: &str, name: &str, numbers| {
            let name = TableName { schema: schema.to_owned(), table: name.to_owned() };
            let table = TableSchema { name, ..table(vec![], Changes::None("a view")) };
            rendered(&table, numbers)["$id"].as_str().unwrap().to_owned()
        };
        assert_eq!(id("public", "orders", Numbers::Bare), "urn:pgdeltastream:v1:table:public.orders");
        assert_eq!(id("public", "orders", Numbers::Strings), "urn:pgdeltastream:v1:table:public.orders:numbers-as-strings");
        assert_eq!(id("a.b", "c d", Numbers::Bare), "urn:pgdeltastream:v1:table:a%2Eb.c%20d");
        assert_ne!(id("a.b", "c", Numbers::Bare), id("a", "b.c", Numbers::Bare));
    }

    #[test]
    fn arrays_of_one_type_are_described_once_and_those_of_others_apart() {
        let kind = |oid| Kind::Array(Box::new(Kind::Scalar(oid, -1)));
        let typed = |name: &str, type_name: &str, oid| ColumnSchema { type_name: type_name.to_owned(), ..column(name, kind(oid)) };
        let columns = vec![typed("a", "x y", oid::INT4), typed("b", "x y", oid::INT4), typed("c", "x_y", oid::BOOL)];
        let table = table(columns, Changes::None("a view"));
        let schema = rendered(&table, Numbers::Bare);
        let definitions: Vec<&String> = schema["$defs"].as_object().unwrap().keys().collect();
        assert_eq!(definitions, ["row", "event", "array_of_x_y", "array_of_x_y_"]);
        assert!(is_row(&table, Numbers::Bare, &json!({"a": [1, [2, null], []], "b": [], "c": [[true]]})));
        assert!(!is_row(&table, Numbers::Bare, &json!({"a": [1], "b": [true], "c": []})));
    }

    #[test]
    fn what_is_always_there_depends_on_the_identity() {
        let columns = || {
            let large = ColumnSchema { may_be_large: true, ..column("note", Kind::Scalar(25, -1)) };
            vec![column("id", Kind::Scalar(oid::INT4, -1)), large]
        };
        let required = |changes: Changes| {
            let schema = rendered(&table(columns(), changes), Numbers::Bare);
            let kinds = schema["$defs"]["event"]["oneOf"].as_array().cloned().unwrap_or_default();
            kinds
                .iter()
                .map(|kind| {
                    kind["required"].as_array().unwrap().iter().skip(4).map(|name| name.as_str().unwrap()).collect::<Vec<_>>().join(" ")
                })
                .collect::<Vec<_>>()
        };
        let root: TableName = "p".parse().unwrap();
        assert_eq!(required(by(Identity::Columns(vec![String::from("id")]))), ["new", "key new", "key", ""]);
        assert_eq!(required(by(Identity::Full)), ["new", "key old new", "key old", ""]);
        assert_eq!(required(by(Identity::Nothing)), ["new", ""]);
        assert_eq!(required(Changes::OfPartitions(root.clone())), ["root new", "root new", "root", ""]);
        assert_eq!(required(Changes::Own { identity: Identity::Nothing, root: Some(root) }), ["root new", "root"]);
        assert_eq!(required(Changes::None("a view")), Vec::<String>::new());
    }

    #[test]
    fn only_what_may_be_large_may_be_left_out() {
        let large = ColumnSchema { may_be_large: true, ..column("note", Kind::Scalar(25, -1)) };
        let table = table(vec![column("id", Kind::Scalar(oid::INT4, -1)), large], by(Identity::Columns(vec![String::from("id")])));
        let mut schema = rendered(&table, Numbers::Bare);
        schema["$ref"] = json!("#/$defs/event");
        let update = |new: Value, unchanged: Value| {
            let event = json!({"op": "update", "id": "", "schema": "public", "table": "orders", "key": {"id": 1}, "new": new, "unchanged": unchanged});
            jsonschema::is_valid(&schema, &event)
        };
        assert!(update(json!({"id": 1}), json!(["note"])));
        assert!(
            !update(json!({"note": ""}), json!(["note"]))
                && !update(json!({"id": 1}), json!(["id"]))
                && !update(json!({"id": 1}), json!([]))
        );
    }

    #[test]
    fn numbers_are_strings_where_that_is_wanted() {
        let kinds = [oid::INT4, oid::INT8, oid::FLOAT8, oid::NUMERIC].map(|oid| Kind::Scalar(oid, -1));
        for kind in kinds {
            let table = table(vec![column("v", kind.clone())], Changes::None("a view"));
            for (value, is_bare) in [(json!(1), true), (json!("1"), false)] {
                assert_eq!(is_row(&table, Numbers::Bare, &json!({ "v": value })), is_bare, "{kind:?} {value}");
                assert_eq!(is_row(&table, Numbers::Strings, &json!({ "v": value })), !is_bare, "{kind:?} {value}");
            }
        }
    }

    proptest! {
        /// The largest number that fits, and the smallest that does not; where scale is negative or above the precision, too.
        #[test]
        fn a_numeric_has_as_many_digits_as_its_type_says((precision, scale) in (1..=40_i32).prop_flat_map(|precision| (Just(precision), -20..=40_i32))) {
            let table = of_numeric(precision, scale);
            let digits = "9".repeat(usize::try_from(precision).unwrap());
            let largest: Value = serde_json::from_str(&format!("{digits}e{}", -scale)).unwrap();
            let takes = |value: Value| is_row(&table, Numbers::Bare, &json!({ "v": value }));
            prop_assert!(takes(largest));
            let too_large: Value = serde_json::from_str(&format!("1.1e{}", precision - scale)).unwrap();
            prop_assert!(!takes(too_large));
            prop_assert!(takes(json!("NaN")) && !takes(json!("Infinity")));
        }

        #[test]
        fn a_numeric_as_a_string_has_every_digit((precision, scale) in (1..=40_i32).prop_flat_map(|precision| (Just(precision), -20..=40_i32))) {
            let table = of_numeric(precision, scale);
            let count = |number: i32| usize::try_from(number).unwrap_or_default();
            let whole = if precision > scale { "9".repeat(count(precision - scale)) } else { String::from("0") };
            let fraction = if scale > 0 { format!(".{}{}", "0".repeat(count(scale - precision)), "9".repeat(count(scale.min(precision)))) } else { String::new() };
            let text = format!("-{whole}{fraction}");
            let takes = |text: &str| is_row(&table, Numbers::Strings, &json!({ "v": text }));
            prop_assert!(takes(&text), "{}", text);
            let too_long = format!("1{whole}{fraction}");
            prop_assert!(!takes(&too_long), "{}", too_long);
        }
    }
}
