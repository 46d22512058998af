//! What comes over the websocket is, byte for byte, what `pg_recvlogical` prints from a twin slot with the same options.
//!
//! Each test writes a history into a database of its own, on one server that all share, and reads it again and again: once for each line of
//! the table in `runs.rs`, each time from two new copies of a slot that was made before the history began.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test that cannot go on fails")]
#![expect(unreachable_pub, reason = "the harness is public to the tests")]

#[expect(dead_code, unused_imports, reason = "the harness also serves the stories of tests/integration")]
#[path = "../harness/mod.rs"]
mod harness;

mod comparison;
mod damage;
mod golden;
mod history;
mod interleaved;
mod normal;
mod parts;
mod records;
mod recvlogical;
mod runs;
mod script;

/// One test for each script of the folder `sql`, and the list of them.
macro_rules! scripts {
    ($($name:ident)*) => {
        mod the_websocket_says_what_wal2json_says_of {
            $(
                #[tokio::test]
                async fn $name() {
                    crate::comparison::compare_script(stringify!($name)).await;
                }
            )*
        }

        const SCRIPTS: &[&str] = &[$(stringify!($name)),*];
    };
}

scripts! {
    arrays
    bytes
    catalogue_of_types
    columns
    copy
    ddl
    defaults
    documents
    extensions
    large_transaction
    message_bytes
    messages
    names
    numbers
    origins
    other_types
    own_types
    partitions
    pinned_settings
    prepared
    quiet
    random
    ranges
    replica_identities
    savepoints
    statements
    temporary
    text
    times
    toast
    truncate
    type_names
    wide
}

#[test]
fn every_script_is_listed() {
    let mut files: Vec<String> = std::fs::read_dir(script::folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap().trim_end_matches(".sql").to_owned())
        .collect();
    files.sort();
    assert_eq!(SCRIPTS, files, "the list in tests/differential/main.rs, in order, is that of the files in tests/differential/sql");
}
