//! What a client says to have.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{LSN, SLOT_NAME};

/// What a client sends over the websocket: everything up to this position is durable on its side. Further members are ignored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(example = Acknowledgement { lsn: String::from("0/170FCB0") })]
pub struct Acknowledgement {
    /// A `nextlsn` that came over this stream.
    #[schemars(regex(pattern = LSN))]
    pub lsn: String,
}

/// The body of `POST /v1/lr/ack`: the same, for a client that has no websocket to say it over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(example = AcknowledgeRequest { slot_name: String::from("delta_face56"), lsn: String::from("0/170FCB0") })]
pub struct AcknowledgeRequest {
    /// The stream: its slot.
    #[schemars(regex(pattern = SLOT_NAME))]
    pub slot_name: String,
    /// A `nextlsn` that came over this stream.
    #[schemars(regex(pattern = LSN))]
    pub lsn: String,
}
