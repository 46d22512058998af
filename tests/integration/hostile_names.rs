//! Tables and schemas whose names mean something to SQL, to wal2json's lists or to a query string: a filter means exactly the one it names.

use serde_json::Value;

use crate::harness::{Postgres, Service, start};

/// Names of tables, and of schemas.
const NAMES: [&str; 38] = [
    ",",
    "a,b",
    " ",
    "a b",
    " leading",
    "trailing ",
    ".",
    "a.b",
    "..",
    "*",
    "a*",
    "*.*",
    "\"",
    "a\"b",
    "'",
    "a'b",
    "''",
    "\\",
    "a\\",
    "\\a",
    "a\\\\,b",
    "\\*",
    "\t",
    "a\tb",
    "\n",
    "a\nb",
    "\r\n",
    "\u{b}\u{c}",
    "😀",
    "größe\u{a0}\u{85}",
    "Name",
    "name",
    "NAME",
    "a;b--",
    "(%&=+#?/)",
    "{\"$1\":[]}",
    "PG_x",
    "0123456789abcdef0123456789abcdef0123456789abcdef0123456789äabc",
];

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn pattern((schema, table): (&str, &str)) -> String {
    format!("{}.{}", quoted(schema), quoted(table))
}

/// Every name as a table in public, and as a schema with a table of the same name and one more.
fn tables() -> Vec<(&'static str, &'static str)> {
    NAMES.into_iter().flat_map(|name| [("public", name), (name, name), (name, "t")]).collect()
}

/// One transaction that changes them all, which is never acknowledged: it comes again on each connection.
async fn change_all() -> (Postgres, Service, String) {
    let (postgres, service) = start().await;
    let schemas: Vec<String> = NAMES.iter().map(|name| format!("CREATE SCHEMA {};", quoted(name))).collect();
    let created: Vec<String> = tables().into_iter().map(|table| format!("CREATE TABLE {} (id integer);", pattern(table))).collect();
    postgres.execute(&(schemas.concat() + &created.concat())).await;
    let slot = service.init().await;
    let inserted: Vec<String> = tables().into_iter().map(|table| format!("INSERT INTO {} VALUES (1);", pattern(table))).collect();
    postgres.execute(&inserted.concat()).await;
    (postgres, service, slot)
}

/// The tables that a connection hears of.
async fn heard(service: &Service, slot: &str, parameter: &str, list: &str) -> Vec<(String, String)> {
    let client = service.stream_with(slot, &[(parameter, list)]).await;
    let mut client = client.unwrap_or_else(|answer| panic!("{parameter}={list}: {answer:?}"));
    let (changes, _) = client.transaction().await;
    client.leave().await;
    let name = |change: &Value, part: &str| change[part].as_str().unwrap().to_owned();
    changes.iter().map(|change| (name(change, "schema"), name(change, "table"))).collect()
}

fn owned<'a>(tables: impl IntoIterator<Item = &'a (&'a str, &'a str)>) -> Vec<(String, String)> {
    tables.into_iter().map(|(schema, table)| ((*schema).to_owned(), (*table).to_owned())).collect()
}

#[tokio::test]
async fn exactly_the_named_table_is_meant() {
    let (_postgres, service, slot) = change_all().await;
    let all = tables();
    assert_eq!(heard(&service, &slot, "excludeTables", "nothing").await, owned(&all));
    for table in all.iter().filter(|(_, table)| *table != "t") {
        let list = pattern(*table);
        assert_eq!(heard(&service, &slot, "tables", &list).await, owned([table]), "{list}");
        let others = all.iter().filter(|other| *other != table);
        assert_eq!(heard(&service, &slot, "excludeTables", &list).await, owned(others), "all but {list}");
    }
    service.stop().await;
}

#[tokio::test]
async fn exactly_the_named_schema_is_meant() {
    let (_postgres, service, slot) = change_all().await;
    let all = tables();
    for schema in NAMES {
        let list = format!("{}.*", quoted(schema));
        assert_eq!(heard(&service, &slot, "tables", &list).await, owned(&[(schema, schema), (schema, "t")]), "{list}");
        let others = all.iter().filter(|(other, _)| *other != schema);
        assert_eq!(heard(&service, &slot, "excludeTables", &list).await, owned(others), "all but {list}");
    }
    service.stop().await;
}

#[tokio::test]
async fn all_of_them_in_one_list() {
    let (_postgres, service, slot) = change_all().await;
    let named: Vec<_> = tables().into_iter().filter(|(_, table)| *table != "t").collect();
    let list = named.iter().map(|table| pattern(*table)).collect::<Vec<_>>().join(" , ");
    assert_eq!(heard(&service, &slot, "tables", &list).await, owned(&named));
    service.stop().await;
}
