//! Rows of a snapshot.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;
use serde_json::{Number, Value, json};

use super::{NumberForm, SLOT_NAME};

/// The pattern of a column.
const COLUMN: &str = r#"^("([^"\u0000]|""){1,63}"|[^\u0000]{1,63})$"#;

/// Which rows of the snapshot to read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(example = SnapshotDataRequest::example(), extend("dependentSchemas" = SnapshotDataRequest::rules()))]
pub struct SnapshotDataRequest {
    /// The stream whose snapshot to read; without it: the stream that `/v1/init` made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", regex(pattern = SLOT_NAME))]
    pub slot_name: Option<String>,
    /// `table` or `schema.table`, quoted and folded as in SQL; without a schema: `public`.
    #[schemars(regex(pattern = concat!("^(", identifier!(), r")(\.(", identifier!(), "))?$")))]
    pub table: String,
    /// Whether to leave out rows of tables that inherit from this one, as `ONLY` does in SQL. A partitioned table has none of its own.
    #[serde(default)]
    pub only: bool,
    /// How many rows to pass over.
    #[serde(default, deserialize_with = "whole_number")]
    #[schemars(with = "u64", range(min = 0, max = i64::MAX as u64))]
    pub offset: u64,
    /// How many rows to return at most; without it: all.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "whole_number")]
    #[schemars(with = "u64", range(min = 0, max = i64::MAX as u64))]
    pub limit: Option<u64>,
    /// The columns to return, in this order, each quoted and folded as in SQL, or else exactly as it is called; without it: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Vec<ColumnItem>", length(min = 1, max = 1_600), extend("uniqueItems" = true))]
    pub columns: Option<Vec<String>>,
    /// How to write numbers; without it: as JSON numbers, with every digit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "NumberForm")]
    pub numbers: Option<NumberForm>,
    /// Only rows behind this one in the order: the values, as a row has them, of the column of `order_by`, if there is one, and of the table's
    /// key. To go on after a page costs the same however many rows lie before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "KeyValues")]
    pub after: Option<KeyValues>,
    /// Only rows up to this one, itself included, in the order of the key: with `after`, a part of the table that others need not read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "KeyValues")]
    pub until: Option<KeyValues>,
    /// What to order by. The table's key follows, so that pages tile; without this, the key alone.
    #[serde(default, rename = "order_by", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "OrderBy")]
    pub order_by: Option<OrderBy>,
}

impl SnapshotDataRequest {
    fn example() -> Self {
        Self {
            slot_name: Some(String::from("delta_face56")),
            table: String::from("test_table"),
            only: false,
            offset: 0,
            limit: Some(5),
            columns: None,
            numbers: None,
            after: None,
            until: None,
            order_by: Some(OrderBy { column: String::from("id"), order: String::from("ASC") }),
        }
    }

    /// What one member must not be because of another. A `not` says in its description what is wrong.
    fn rules() -> Value {
        json!({
            "after": {"properties": {"offset": {
                "not": {"type": "number", "exclusiveMinimum": 0}, "description": "after says where to begin: there is nothing to pass over",
            }}},
            "until": {"properties": {"order_by": {
                "not": {}, "description": "until is a place in the order of the key: it does not go with another order",
            }}},
        })
    }
}

/// The values of some columns, by their names.
#[derive(Debug, Clone, Default, PartialEq, Eq, JsonSchema)]
#[schemars(inline, with = "BTreeMap<String, Value>", extend("minProperties" = 1))]
pub struct KeyValues(
    /// Each value is the JSON text that came, with all its digits.
    pub BTreeMap<String, String>,
);

impl Serialize for KeyValues {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let raw = |(name, text): (&String, &String)| Ok((name.clone(), RawValue::from_string(text.clone())?));
        let values: Result<BTreeMap<_, _>, serde_json::Error> = self.0.iter().map(raw).collect();
        values.map_err(serde::ser::Error::custom)?.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for KeyValues {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let values = BTreeMap::<String, Box<RawValue>>::deserialize(deserializer)?;
        Ok(Self(values.into_iter().map(|(name, value)| (name, value.get().to_owned())).collect()))
    }
}

/// A column's name.
#[derive(JsonSchema)]
#[schemars(inline)]
#[expect(dead_code, reason = "it is there for its schema only")]
struct ColumnItem(#[schemars(regex(pattern = COLUMN))] String);

/// One column and a direction, for all columns of the order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OrderBy {
    /// A column of the table, quoted and folded as in SQL, or else exactly as it is called.
    #[schemars(regex(pattern = COLUMN))]
    pub column: String,
    /// `ASC` or `DESC`, in any case.
    #[serde(default = "OrderBy::ascending")]
    #[schemars(regex(pattern = r"^([Aa][Ss][Cc]|[Dd][Ee][Ss][Cc])$"))]
    pub order: String,
}

impl OrderBy {
    fn ascending() -> String {
        String::from("ASC")
    }
}

/// To JSON Schema 10.0 is an integer, and so it is here.
fn whole_number<'de, D: Deserializer<'de>, N: From<u64>>(deserializer: D) -> Result<N, D::Error> {
    let number = Number::deserialize(deserializer)?;
    // Adding nothing makes 0 of -0.
    let float = || number.as_f64().filter(|float| float.fract() == 0.0).map(|float| float + 0.0)?.to_string().parse().ok();
    number.as_u64().or_else(float).map(N::from).ok_or_else(|| D::Error::custom(format!("{number} is not a whole number")))
}
