//! Any bytes as what a client sends over the websocket.
#![no_main]

#[path = "../checks.rs"]
mod checks;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| checks::acknowledgement(bytes));
