//! Rows of a snapshot.

use schemars::JsonSchema;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Number;

use super::SLOT_NAME;

/// Which rows of the snapshot to read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(example = SnapshotDataRequest::example())]
pub struct SnapshotDataRequest {
    /// The stream whose snapshot to read; without it: the stream that `/v1/init` made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", regex(pattern = SLOT_NAME))]
    pub slot_name: Option<String>,
    /// `table` or `schema.table`, quoted and folded as in SQL; without a schema: `public`.
    #[schemars(regex(pattern = concat!("^(", identifier!(), r")(\.(", identifier!(), "))?$")))]
    pub table: String,
    /// How many rows to pass over.
    #[serde(default, deserialize_with = "whole_number")]
    #[schemars(with = "u64", range(min = 0, max = i64::MAX as u64))]
    pub offset: u64,
    /// How many rows to return at most; without it: all.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "whole_number")]
    #[schemars(with = "u64", range(min = 0, max = i64::MAX as u64))]
    pub limit: Option<u64>,
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
            offset: 0,
            limit: Some(5),
            order_by: Some(OrderBy { column: String::from("id"), order: String::from("ASC") }),
        }
    }
}

/// One column and a direction, for all columns of the order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OrderBy {
    /// A column of the table, quoted and folded as in SQL, or else exactly as it is called.
    #[schemars(regex(pattern = r#"^("([^"\u0000]|""){1,63}"|[^\u0000]{1,63})$"#))]
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
