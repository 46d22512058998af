//! Transactions as wal2json 2.5 writes them in either format, with any of its options, and with what it breaks. For tests.

use proptest::prelude::*;

use crate::wal2json::change::Kind;
use crate::wal2json::json::is_json;

/// wal2json's options that change the shape of what it writes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Options {
    pub(super) xids: bool,
    pub(super) timestamp: bool,
    pub(super) origin: bool,
    pub(super) lsn: bool,
    pub(super) schemas: bool,
    pub(super) types: bool,
    pub(super) type_oids: bool,
    pub(super) positions: bool,
    pub(super) not_null: bool,
    pub(super) defaults: bool,
    pub(super) pk: bool,
}

#[derive(Debug, Clone)]
pub(super) struct Transaction {
    pub(super) xid: u32,
    pub(super) timestamp: String,
    pub(super) origin: u16,
    pub(super) commit_lsn: u64,
    pub(super) commit_end: u64,
    pub(super) items: Vec<Item>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Item {
    Change(Change),
    Message(Message),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) kind: Kind,
    pub(super) table: Table,
    pub(super) columns: Vec<Column>,
    pub(super) identity: Option<Vec<Column>>,
    pub(super) primary_key: Option<Vec<Column>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Table {
    pub(super) schema: Option<String>,
    pub(super) name: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) type_name: Option<String>,
    pub(super) type_oid: Option<u32>,
    /// A JSON token; a key's column has none.
    pub(super) value: Option<String>,
    pub(super) position: Option<i16>,
    pub(super) is_optional: Option<bool>,
    /// The SQL; or null.
    pub(super) default: Option<Option<String>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) transactional: bool,
    pub(super) prefix: String,
    pub(super) content: String,
}

/// As Postgres' own `escape_json`.
pub(super) fn escape_json(text: &str) -> String {
    let escaped = text.chars().map(|next| match next {
        '\u{8}' => String::from(r"\b"),
        '\u{c}' => String::from(r"\f"),
        '\n' => String::from(r"\n"),
        '\r' => String::from(r"\r"),
        '\t' => String::from(r"\t"),
        '"' => String::from(r#"\""#),
        '\\' => String::from(r"\\"),
        control if control < ' ' => format!("\\u{:04x}", u32::from(control)),
        other => String::from(other),
    });
    format!("\"{}\"", escaped.collect::<String>())
}

/// A text of format 1.
pub(super) fn format_1(transaction: &Transaction, options: Options) -> String {
    let items: Vec<_> = transaction.items.iter().map(|item| item_of_format_1(item, options)).collect();
    object([
        options.xids.then(|| format!(r#""xid":{}"#, transaction.xid)),
        options.lsn.then(|| format!(r#""nextlsn":"{}""#, lsn(transaction.commit_end))),
        options.timestamp.then(|| format!(r#""timestamp":{}"#, escape_json(&transaction.timestamp))),
        options.origin.then(|| format!(r#""origin":{}"#, transaction.origin)),
        Some(format!(r#""change":[{}]"#, items.join(","))),
    ])
}

/// A message outside of a transaction, with the comma that another one's change leaves.
pub(super) fn message_of_format_1(message: &Message, comma: bool) -> String {
    let comma = if comma { "," } else { "" };
    format!(r#"{{"change":[{comma}{}]}}"#, object(message_members(r#""kind":"message""#, message)))
}

pub(super) fn item_of_format_1(item: &Item, options: Options) -> String {
    match item {
        Item::Change(change) => change_of_format_1(change, options),
        Item::Message(message) => object(message_members(r#""kind":"message""#, message)),
    }
}

fn change_of_format_1(change: &Change, options: Options) -> String {
    let kind = match change.kind {
        Kind::Insert => "insert",
        Kind::Update => "update",
        Kind::Delete => "delete",
    };
    let mut members = vec![Some(format!(r#""kind":"{kind}""#))];
    members.extend(table_members(&change.table, options));
    if change.kind != Kind::Delete {
        members.extend(column_lists(&change.columns, options));
    }
    members.push(change.primary_key.as_deref().filter(|key| options.pk && !key.is_empty()).map(|key| key_lists(key, options)));
    members.push(change.identity.as_deref().map(|identity| identity_lists(identity, options)));
    object(members)
}

fn column_lists(columns: &[Column], options: Options) -> [Option<String>; 7] {
    let optionals = if options.types { columns } else { &[] };
    [
        Some(list("columnnames", columns, name)),
        options.types.then(|| list("columntypes", columns, type_name)),
        options.type_oids.then(|| list("columntypeoids", columns, type_oid)),
        options.positions.then(|| list("columnpositions", columns, position)),
        options.not_null.then(|| list("columnoptionals", optionals, is_optional)),
        options.defaults.then(|| list("columndefaults", columns, default)),
        Some(list("columnvalues", columns, value)),
    ]
}

/// Without what is null.
fn identity_lists(columns: &[Column], options: Options) -> String {
    let known: Vec<Column> = columns.iter().filter(|column| value(column) != "null").cloned().collect();
    let lists = [
        Some(list("keynames", &known, name)),
        options.types.then(|| list("keytypes", &known, type_name)),
        options.type_oids.then(|| list("keytypeoids", &known, type_oid)),
        Some(list("keyvalues", &known, value)),
    ];
    format!(r#""oldkeys":{}"#, object(lists))
}

fn key_lists(columns: &[Column], options: Options) -> String {
    let types = if options.types { columns } else { &[] };
    format!(r#""pk":{}"#, object([Some(list("pknames", columns, name)), Some(list("pktypes", types, key_type_name))]))
}

fn list(key: &str, columns: &[Column], element: fn(&Column) -> String) -> String {
    let elements: Vec<_> = columns.iter().map(element).collect();
    format!(r#""{key}":[{}]"#, elements.join(","))
}

/// The texts of format 2.
pub(super) fn format_2(transaction: &Transaction, options: Options) -> Vec<String> {
    let boundary = |action: &str| {
        let end = options.lsn.then(|| format!(r#""nextlsn":"{}""#, lsn(transaction.commit_end)));
        object(head_members(action, transaction, transaction.commit_lsn, options).into_iter().chain([end]))
    };
    let record = |item: &Item| {
        let (action, members) = match item {
            Item::Change(change) => change_of_format_2(change, options),
            Item::Message(message) => ("M", message_members("", message)),
        };
        object(head_members(action, transaction, transaction.commit_lsn - 1, options).into_iter().chain(members))
    };
    [boundary("B")].into_iter().chain(transaction.items.iter().map(record)).chain([boundary("C")]).collect()
}

/// A message outside of a transaction.
pub(super) fn message_of_format_2(message: &Message, position: u64, options: Options) -> String {
    let head = [
        Some(String::from(r#""action":"M""#)),
        options.xids.then(|| String::from(r#""xid":null"#)),
        options.timestamp.then(|| String::from(r#""timestamp":null"#)),
        options.origin.then(|| String::from(r#""origin":null"#)),
        options.lsn.then(|| format!(r#""lsn":"{}""#, lsn(position))),
    ];
    object(head.into_iter().chain(message_members("", message)))
}

pub(super) fn truncate_of_format_2(table: &Table, options: Options) -> String {
    object([Some(String::from(r#""action":"T""#))].into_iter().chain(table_members(table, options)))
}

fn head_members(action: &str, transaction: &Transaction, position: u64, options: Options) -> Vec<Option<String>> {
    vec![
        Some(format!(r#""action":"{action}""#)),
        options.xids.then(|| format!(r#""xid":{}"#, transaction.xid)),
        options.timestamp.then(|| format!(r#""timestamp":{}"#, escape_json(&transaction.timestamp))),
        options.origin.then(|| format!(r#""origin":{}"#, transaction.origin)),
        options.lsn.then(|| format!(r#""lsn":"{}""#, lsn(position))),
    ]
}

fn change_of_format_2(change: &Change, options: Options) -> (&'static str, Vec<Option<String>>) {
    let action = match change.kind {
        Kind::Insert => "I",
        Kind::Update => "U",
        Kind::Delete => "D",
    };
    let objects = |key: &str, columns: &[Column], column: fn(&Column, Options) -> String| {
        let columns: Vec<_> = columns.iter().map(|each| column(each, options)).collect();
        format!(r#""{key}":[{}]"#, columns.join(","))
    };
    let mut members = table_members(&change.table, options).to_vec();
    members.push((change.kind != Kind::Delete).then(|| objects("columns", &change.columns, column_object)));
    members.push(change.identity.as_deref().map(|identity| objects("identity", identity, identity_object)));
    members.push(change.primary_key.as_deref().filter(|_| options.pk).map(|key| objects("pk", key, key_object)));
    (action, members)
}

fn column_object(column: &Column, options: Options) -> String {
    let more = [
        options.not_null.then(|| format!(r#""optional":{}"#, is_optional(column))),
        options.positions.then(|| format!(r#""position":{}"#, position(column))),
        options.defaults.then(|| format!(r#""default":{}"#, default(column))),
    ];
    let value = Some(format!(r#""value":{}"#, value(column)));
    object(type_members(column, options).into_iter().chain([value]).chain(more))
}

fn identity_object(column: &Column, options: Options) -> String {
    object(type_members(column, options).into_iter().chain([Some(format!(r#""value":{}"#, value(column)))]))
}

fn key_object(column: &Column, options: Options) -> String {
    object(type_members(column, options))
}

fn type_members(column: &Column, options: Options) -> [Option<String>; 3] {
    [
        Some(format!(r#""name":{}"#, name(column))),
        options.types.then(|| format!(r#""type":{}"#, type_name(column))),
        options.type_oids.then(|| format!(r#""typeoid":{}"#, type_oid(column))),
    ]
}

fn table_members(table: &Table, options: Options) -> [Option<String>; 2] {
    let schema = table.schema.as_deref().filter(|_| options.schemas).map(|schema| format!(r#""schema":{}"#, escape_json(schema)));
    [schema, Some(format!(r#""table":{}"#, escape_json(&table.name)))]
}

fn message_members(kind: &str, message: &Message) -> Vec<Option<String>> {
    vec![
        (!kind.is_empty()).then(|| kind.to_owned()),
        Some(format!(r#""transactional":{}"#, message.transactional)),
        Some(format!(r#""prefix":{}"#, escape_json(&message.prefix))),
        Some(format!(r#""content":{}"#, escape_json(&message.content))),
    ]
}

fn object(members: impl IntoIterator<Item = Option<String>>) -> String {
    format!("{{{}}}", members.into_iter().flatten().collect::<Vec<_>>().join(","))
}

fn lsn(position: u64) -> String {
    crate::lsn::Lsn::from(position).to_string()
}

fn name(column: &Column) -> String {
    escape_json(&column.name)
}

/// Raw if it starts with a quote and does not end with a bracket.
fn type_name(column: &Column) -> String {
    let name = column.type_name.clone().unwrap_or_default();
    if name.starts_with('"') && !name.ends_with(']') { name } else { escape_json(&name) }
}

/// Raw if it starts with a quote.
fn key_type_name(column: &Column) -> String {
    let name = column.type_name.clone().unwrap_or_default();
    if name.starts_with('"') { name } else { escape_json(&name) }
}

/// With a sign.
fn type_oid(column: &Column) -> String {
    column.type_oid.unwrap_or_default().cast_signed().to_string()
}

fn value(column: &Column) -> String {
    column.value.clone().unwrap_or_default()
}

fn position(column: &Column) -> String {
    column.position.unwrap_or_default().to_string()
}

fn is_optional(column: &Column) -> String {
    column.is_optional.unwrap_or_default().to_string()
}

/// Not escaped.
fn default(column: &Column) -> String {
    column.default.clone().flatten().map_or(String::from("null"), |sql| format!("\"{sql}\""))
}

pub(super) fn any_options() -> impl Strategy<Value = Options> {
    any::<[bool; 11]>().prop_map(|[xids, timestamp, origin, lsn, schemas, types, type_oids, positions, not_null, defaults, pk]| Options {
        xids,
        timestamp,
        origin,
        lsn,
        schemas,
        types,
        type_oids,
        positions,
        not_null,
        defaults,
        pk,
    })
}

pub(super) fn any_transaction() -> impl Strategy<Value = Transaction> {
    let item = prop_oneof![4 => any_change().prop_map(Item::Change), 1 => any_message(true).prop_map(Item::Message)];
    let numbers = (any::<u32>(), any::<u16>(), 1..=u64::MAX, any::<u64>());
    (numbers, "[-0-9:.+ ]{0,30}", prop::collection::vec(item, 0..4)).prop_map(
        |((xid, origin, commit_lsn, commit_end), timestamp, items)| Transaction { xid, timestamp, origin, commit_lsn, commit_end, items },
    )
}

pub(super) fn any_change() -> impl Strategy<Value = Change> {
    let kind = prop_oneof![Just(Kind::Insert), Just(Kind::Update), Just(Kind::Delete)];
    let columns = || prop::collection::vec(any_column(), 0..4);
    (kind, any_table(), columns(), columns(), columns()).prop_map(|(kind, table, columns, identity, key)| Change {
        kind,
        table,
        columns: if kind == Kind::Delete { vec![] } else { columns },
        identity: (kind != Kind::Insert).then_some(identity),
        primary_key: Some(key),
    })
}

pub(super) fn any_table() -> impl Strategy<Value = Table> {
    (any_text(), any_text()).prop_map(|(schema, name)| Table { schema: Some(schema), name })
}

pub(super) fn any_message(transactional: bool) -> impl Strategy<Value = Message> {
    (any_text(), any_text()).prop_map(move |(prefix, content)| Message { transactional, prefix, content })
}

fn any_column() -> impl Strategy<Value = Column> {
    let facts = (any::<u32>(), any::<i16>(), any::<bool>());
    (any_text(), any_type_name(), any_value(), any_default(), facts).prop_map(
        |(name, type_name, value, default, (type_oid, position, is_optional))| Column {
            name,
            type_name: Some(type_name),
            type_oid: Some(type_oid),
            value: Some(value),
            position: Some(position),
            is_optional: Some(is_optional),
            default: Some(default),
        },
    )
}

/// Anything at all, and what comes close to the marks of either format.
fn any_text() -> impl Strategy<Value = String> {
    let marks = r#"(",|"\}|\]|\},\{"name":"|\],"columnvalues":\[|"type":|"columntypes":\["|,"value":|\\|null|\{"change":\[,){0,3}"#;
    prop_oneof![".{0,8}", "[a-z_]{1,10}", marks, "[\\x00-\\x1f\\x7f\u{2028}\"\\\\]{0,4}"]
}

/// A name that is nothing but quoted, `"Mood"`, is a JSON string by chance, and comes without its quotes: it is left out.
fn any_type_name() -> impl Strategy<Value = String> {
    let quoted = || any_text().prop_map(|name| crate::name::quoted(&format!("{name}X")));
    let bare = || "[a-z_][a-z_0-9]{0,6}";
    let modifier = r"(\([0-9]{1,2}(,[0-9])?\))?(\[\])?";
    prop_oneof![
        (bare(), modifier).prop_map(|(name, modifier)| name + &modifier),
        (quoted(), bare(), modifier).prop_map(|(schema, name, modifier)| format!("{schema}.{name}{modifier}")),
        (quoted(), quoted(), modifier).prop_map(|(schema, name, modifier)| format!("{schema}.{name}{modifier}")),
        (bare(), quoted(), modifier).prop_map(|(schema, name, modifier)| format!("{schema}.{name}{modifier}")),
    ]
}

fn any_value() -> impl Strategy<Value = String> {
    let number = r"-?(0|[1-9][0-9]{0,60})(\.[0-9]{1,30})?(e[-+]?[0-9]{1,3})?";
    prop_oneof![any_text().prop_map(|text| escape_json(&text)), number, "(true|false|null|1e400|0\\.1000)"]
}

/// Literals, and names without a comma, which may leave a doubt in format 1. A backslash stands where no JSON escape does: one that is an escape by chance, in a
/// text that is valid by chance, would be read as one.
/// Like `'","'`, of which a list has two texts, or `'","a":"'`, of which an object has two members.
fn is_json_by_chance(sql: &str) -> bool {
    sql.contains('"') && (is_json(&format!("[\"{sql}\"]")) || is_json(&format!("{{\"default\":\"{sql}\"}}")))
}

fn any_default() -> impl Strategy<Value = Option<String>> {
    let text = || any_text().prop_map(|text| text.replace('\\', r"\ "));
    let literal = text().prop_map(|text| format!("'{}'::text", text.replace('\'', "''")));
    let name = text().prop_map(|name| crate::name::quoted(&name.replace(',', ";")));
    let word = "[a-z0-9()+:]{1,5}";
    let sql = prop::collection::vec(prop_oneof![literal, name, word], 1..4).prop_map(|words| words.concat());
    prop::option::of(sql.prop_filter("JSON by chance, which is not mended", |sql| !is_json_by_chance(sql)))
}
