//! Texts as wal2json writes them, for benches: one transaction of updates, in either format.
#![allow(dead_code, reason = "each bench uses its own")]

/// A column of a row.
pub(crate) struct Column {
    pub(crate) name: &'static str,
    pub(crate) type_name: &'static str,
    pub(crate) type_oid: u32,
    /// A JSON token.
    pub(crate) value: String,
}

/// A row by its number.
pub(crate) type Row = fn(usize) -> Vec<Column>;

/// As pgbench updates them.
pub(crate) fn narrow(row: usize) -> Vec<Column> {
    vec![
        column("aid", "integer", 23, (row * 7919 % 100_000).to_string()),
        column("bid", "integer", 23, String::from("1")),
        column("abalance", "integer", 23, format!("-{}", row * 31)),
        column("filler", "character(84)", 1042, format!("\"{}\"", " ".repeat(84))),
    ]
}

/// Ten columns, as a shop has them.
pub(crate) fn wide(row: usize) -> Vec<Column> {
    let document = r#"{\"cart\": [{\"sku\": \"A-1029\", \"count\": 2, \"price\": 19.90}, {\"sku\": \"B-77\", \"count\": 1, \"price\": 4.50}], \"note\": \"leave at the \\\"back\\\" door\", \"locale\": \"de-CH\"}"#;
    vec![
        column("id", "bigint", 20, (9_007_199_254_740_993 + row).to_string()),
        column("customer", "uuid", 2950, String::from(r#""7b0d3f1e-52c4-4f1c-9f3a-2f1a3b4c5d6e""#)),
        column("state", "text", 25, String::from(r#""shipped""#)),
        column("total", "numeric(12,2)", 1700, String::from("44.30")),
        column("weight", "double precision", 701, String::from("1.25")),
        column("gift", "boolean", 16, String::from("false")),
        column("placed", "timestamp with time zone", 1184, String::from(r#""2024-01-02 03:04:05.678901+00""#)),
        column("paid", "timestamp with time zone", 1184, String::from("null")),
        column("tags", "text[]", 1009, String::from(r#""{new,\"two words\"}""#)),
        column("document", "jsonb", 3802, format!("\"{document}\"")),
    ]
}

fn column(name: &'static str, type_name: &'static str, type_oid: u32, value: String) -> Column {
    Column { name, type_name, type_oid, value }
}

/// The transaction as one text.
pub(crate) fn format_1(rows: usize, columns: Row) -> String {
    format_1_in_chunks(rows, columns).concat()
}

/// The same, cut as wal2json cuts it.
pub(crate) fn format_1_in_chunks(rows: usize, columns: Row) -> Vec<String> {
    let comma = |row| if row == 0 { "" } else { "," };
    let changes = (0..rows).map(|row| format!("{}{}", comma(row), change_of_format_1(&columns(row))));
    [String::from(r#"{"nextlsn":"0/170FCB0","change":["#)].into_iter().chain(changes).chain([String::from("]}")]).collect()
}

fn change_of_format_1(columns: &[Column]) -> String {
    let list = |element: fn(&Column) -> String| columns.iter().map(element).collect::<Vec<_>>().join(",");
    let names = list(|column| quoted(column.name));
    let types = list(|column| quoted(column.type_name));
    let values = list(|column| column.value.clone());
    let [Column { name, type_name, value, .. }, ..] = columns else { return String::new() };
    let old = format!(r#""oldkeys":{{"keynames":["{name}"],"keytypes":["{type_name}"],"keyvalues":[{value}]}}"#);
    format!(
        r#"{{"kind":"update","schema":"public","table":"orders","columnnames":[{names}],"columntypes":[{types}],"columnvalues":[{values}],{old}}}"#
    )
}

/// The transaction as a text a record, with wal2json's own options.
pub(crate) fn format_2(rows: usize, columns: Row) -> Vec<String> {
    let typed = |column: &Column| format!(r#"{{"name":"{}","type":"{}","value":{}}}"#, column.name, column.type_name, column.value);
    let record = |row| {
        let objects: Vec<_> = columns(row).iter().map(typed).collect();
        let identity = objects.first().cloned().unwrap_or_default();
        let objects = objects.join(",");
        format!(r#"{{"action":"U","lsn":"0/170FC80","schema":"public","table":"orders","columns":[{objects}],"identity":[{identity}]}}"#)
    };
    transaction_of_format_2("", (0..rows).map(record))
}

/// The same, with the options that events are made with. Under `REPLICA IDENTITY FULL` with the whole row before.
pub(crate) fn format_2_for_events(rows: usize, columns: Row, is_full: bool) -> Vec<String> {
    let context = r#""xid":741,"timestamp":"2024-01-02 03:04:05.678901+00","#;
    let told = |(index, column): (usize, &Column)| {
        let Column { name, type_oid, value, .. } = column;
        format!(r#"{{"name":"{name}","typeoid":{type_oid},"value":{value},"position":{}}}"#, index + 1)
    };
    let old = |column: &Column| format!(r#"{{"name":"{}","typeoid":{},"value":{}}}"#, column.name, column.type_oid, column.value);
    let record = |row| {
        let columns = columns(row);
        let told: Vec<_> = columns.iter().enumerate().map(told).collect();
        let identity: Vec<_> = columns.iter().take(if is_full { columns.len() } else { 1 }).map(old).collect();
        let key = columns.first().map(|key| format!(r#"{{"name":"{}","typeoid":{}}}"#, key.name, key.type_oid)).unwrap_or_default();
        let (told, identity) = (told.join(","), identity.join(","));
        format!(
            r#"{{"action":"U",{context}"lsn":"0/170FC80","schema":"public","table":"orders","columns":[{told}],"identity":[{identity}],"pk":[{key}]}}"#
        )
    };
    transaction_of_format_2(context, (0..rows).map(record))
}

fn transaction_of_format_2(context: &str, records: impl Iterator<Item = String>) -> Vec<String> {
    let boundary = |action| format!(r#"{{"action":"{action}",{context}"lsn":"0/170FC80","nextlsn":"0/170FCB0"}}"#);
    [boundary("B")].into_iter().chain(records).chain([boundary("C")]).collect()
}

fn quoted(text: &str) -> String {
    format!("\"{text}\"")
}
