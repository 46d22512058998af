//! What is asked and answered about schemas.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::NumberForm;

/// All JSON Schemas of the service; each table has one besides, at `/v1/schemas/tables/{table}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(example = SchemaList::example())]
pub struct SchemaList {
    /// In the order of their names.
    pub schemas: Vec<SchemaEntry>,
}

/// One JSON Schema of the service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SchemaEntry {
    /// Its name.
    #[schemars(regex(pattern = "^[a-z0-9-]+$"))]
    pub name: String,
    /// Its `$id`, which stays the same as long as whatever was valid stays valid.
    #[schemars(regex(pattern = "^urn:pgdeltastream:v1:[a-z0-9-]+$"))]
    pub id: String,
    /// The path it is served at.
    #[schemars(regex(pattern = "^/v1/schemas/[a-z0-9-]+$"))]
    pub href: String,
    /// What it is about.
    pub description: String,
}

impl SchemaList {
    fn example() -> Self {
        Self {
            schemas: vec![SchemaEntry {
                name: String::from("acknowledgement"),
                id: String::from("urn:pgdeltastream:v1:acknowledgement"),
                href: String::from("/v1/schemas/acknowledgement"),
                description: String::from("Everything up to this position is durable on the client's side."),
            }],
        }
    }
}

/// The query of `/v1/schemas/tables/{table}`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(example = TableSchemaQuery { numbers: Some(NumberForm::String) })]
pub struct TableSchemaQuery {
    /// How numbers are written; without it: as JSON numbers, with every digit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "NumberForm")]
    pub numbers: Option<NumberForm>,
}
