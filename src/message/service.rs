//! What the service says of itself, and of a stream that it made.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::SLOT_NAME;

/// The answer to `/v1/init`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(example = InitResponse { slot_name: String::from("delta_face56") })]
pub struct InitResponse {
    /// The replication slot that was made: the stream's name from here on.
    #[schemars(regex(pattern = SLOT_NAME))]
    pub slot_name: String,
}

/// The answer to `/healthz`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(example = Health { status: Status::Ok })]
pub struct Health {
    /// How the process is.
    pub status: Status,
}

/// How the process is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum Status {
    /// It answers.
    Ok,
}
