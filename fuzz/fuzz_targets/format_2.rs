//! Any bytes as a text of wal2json's format 2.
#![no_main]

#[path = "../checks.rs"]
mod checks;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| checks::format_2(bytes));
