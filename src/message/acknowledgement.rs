//! What a client says over the websocket.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::LSN;

/// What a client sends over the websocket: everything up to this position is durable on its side. Further members are ignored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(example = Acknowledgement { lsn: String::from("0/170FCB0") })]
pub struct Acknowledgement {
    /// A `nextlsn` that came over this stream.
    #[schemars(regex(pattern = LSN))]
    pub lsn: String,
}
