//! What a stream is to be like.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::SLOT_NAME;

/// The parameters that are options of wal2json.
const WAL2JSON_OPTIONS: [&str; 16] = [
    "includeXids",
    "includeTimestamp",
    "includeSchemas",
    "includeTypes",
    "includeTypeOids",
    "includeTypmod",
    "includeDomainDataType",
    "includeColumnPositions",
    "includeOrigin",
    "includeNotNull",
    "includeDefault",
    "includePk",
    "filterOrigins",
    "filterMsgPrefixes",
    "addMsgPrefixes",
    "numericDataTypesAsString",
];

/// The query of `/v1/lr/stream`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(example = StreamQuery::example(), extend("dependentSchemas" = StreamQuery::rules()))]
pub struct StreamQuery {
    /// The stream to follow: its slot.
    #[schemars(regex(pattern = SLOT_NAME))]
    pub slot_name: String,
    /// What a message is like.
    #[serde(default)]
    pub format: StreamFormat,
    /// The only tables to tell of: `table` (in `public`), `schema.table`, `schema.*`, as in SQL, with commas between; with all partitions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", regex(pattern = table_list!()))]
    pub tables: Option<String>,
    /// Tables not to tell of, in the same way, whatever `tables` says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", regex(pattern = table_list!()))]
    pub exclude_tables: Option<String>,
    /// The only actions to send, with commas between them; without it: all. Format 1 has no `truncate`: alone, it is refused there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", regex(pattern = list!("(insert|update|delete|truncate)")))]
    pub actions: Option<String>,
    /// Whether to send messages of `pg_logical_emit_message`; without it: yes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "bool")]
    pub messages: Option<bool>,
    /// Whether to take the stream from whoever has it; without it: yes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "bool")]
    pub takeover: Option<bool>,
    /// How many transactions may be on their way before one of them is acknowledged; without it: as many as there is room for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "u16", range(min = 1))]
    pub max_unacked: Option<u16>,
    /// Whether to send transactions without a change for the client, as `"change":[]`. Each is then to be acknowledged like any other.
    #[serde(default)]
    pub empty_transactions: bool,
    /// How to write numbers; without it: as JSON numbers, with every digit. Only with `format=events`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "NumberForm")]
    pub numbers: Option<NumberForm>,
    /// wal2json: whether to say the transaction's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "bool")]
    pub include_xids: Option<bool>,
    /// wal2json: whether to say when the transaction was committed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "bool")]
    pub include_timestamp: Option<bool>,
    /// wal2json: whether to say a table's schema; without it: yes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "bool")]
    pub include_schemas: Option<bool>,
    /// wal2json: whether to say the columns' types; without it: yes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "bool")]
    pub include_types: Option<bool>,
    /// wal2json: whether to say the OIDs of the columns' types.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "bool")]
    pub include_type_oids: Option<bool>,
    /// wal2json: whether types have their modifiers, as in `numeric(5,2)`; without it: yes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "bool")]
    pub include_typmod: Option<bool>,
    /// wal2json: whether to say the type that a domain is over, instead of the domain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "bool")]
    pub include_domain_data_type: Option<bool>,
    /// wal2json: whether to say the columns' numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "bool")]
    pub include_column_positions: Option<bool>,
    /// wal2json: whether to say the replication origin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "bool")]
    pub include_origin: Option<bool>,
    /// wal2json: whether to say which columns are `NOT NULL`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "bool")]
    pub include_not_null: Option<bool>,
    /// wal2json: whether to say the columns' defaults.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "bool")]
    pub include_default: Option<bool>,
    /// wal2json: whether to say the primary key's columns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "bool")]
    pub include_pk: Option<bool>,
    /// wal2json: numbers of replication origins whose transactions not to send, with commas between them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", regex(pattern = list!("([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])")))]
    pub filter_origins: Option<String>,
    /// wal2json: prefixes of messages not to send, with commas between them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", regex(pattern = list!(r"[^\u0000\u0009-\u000d ,\\]+")))]
    pub filter_msg_prefixes: Option<String>,
    /// wal2json: the only prefixes of messages to send, with commas between them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", regex(pattern = list!(r"[^\u0000\u0009-\u000d ,\\]+")))]
    pub add_msg_prefixes: Option<String>,
    /// wal2json, since 2.6: whether to write numbers as strings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "bool")]
    pub numeric_data_types_as_string: Option<bool>,
}

impl StreamQuery {
    /// What one parameter must not be because of another. A `not` says in its description what is wrong.
    #[expect(clippy::indexing_slicing, reason = "what is written to is an object")]
    fn rules() -> Value {
        const OF_EVENTS: &str = "an option of the wal2json formats: with format=events the service sets it itself";
        // Strict validators want to see a member described where it is required.
        let given = |parameter: &str| json!({"properties": {parameter: {}}, "required": [parameter]});
        let with_events = json!({"properties": {"format": {"const": "events"}}, "required": ["format"]});
        let mut rules = json!({
            "numbers": {"if": with_events, "else": {"properties": {
                "numbers": {"not": {}, "description": "only with format=events; wal2json 2.6 has numericDataTypesAsString"},
            }}},
            "actions": {
                "if": {"properties": {"format": {"enum": ["wal2json-v2", "events"]}}, "required": ["format"]},
                "else": {"properties": {"actions": {
                    "not": {"type": "string", "pattern": list!("truncate")},
                    "description": "format 1 of wal2json does not tell TRUNCATE: no change of a table could ever come",
                }}},
            },
        });
        for option in WAL2JSON_OPTIONS {
            rules[option] = json!({"if": with_events, "then": {"properties": {option: {"not": {}, "description": OF_EVENTS}}}});
        }
        rules["includeSchemas"]["else"] = json!({
            "if": {"anyOf": [given("tables"), given("excludeTables")]},
            "then": {"properties": {"includeSchemas": {
                "not": {"const": false},
                "description": "tables and excludeTables tell tables by schema and name: without schemas they cannot",
            }}},
        });
        rules["addMsgPrefixes"]["else"] = json!({
            "if": {"properties": {"messages": {"const": false}}, "required": ["messages"]},
            "then": {"properties": {"addMsgPrefixes": {
                "not": {}, "description": "messages=false leaves out all messages: say one or the other",
            }}},
        });
        rules
    }

    fn example() -> Self {
        Self {
            slot_name: String::from("delta_face56"),
            tables: Some(String::from(r#"orders, shop.*, shop."Line Items""#)),
            actions: Some(String::from("insert,update")),
            ..Self::default()
        }
    }
}

/// What a message of a stream is like.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub enum StreamFormat {
    /// One transaction, as wal2json's format 1 has it.
    #[default]
    #[serde(rename = "wal2json-v1")]
    Wal2jsonV1,
    /// One record, as wal2json's format 2 has it.
    #[serde(rename = "wal2json-v2")]
    Wal2jsonV2,
    /// One transaction, or a part of a large one, with rows as objects.
    #[serde(rename = "events")]
    Events,
}

/// How numbers are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub enum NumberForm {
    /// As strings.
    String,
}
