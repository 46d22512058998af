//! What the fuzzer starts from, and what it ever found, keeps holding; without a nightly compiler.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

#[path = "../fuzz/checks.rs"]
mod checks;

use std::path::Path;

fn check(target: &str, check: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    assert!(!files.is_empty());
    for file in files {
        println!("{}", file.display());
        check(&std::fs::read(file).unwrap());
    }
}

#[test]
fn format_1() {
    check("format_1", checks::format_1);
}

#[test]
fn format_2() {
    check("format_2", checks::format_2);
}

#[test]
fn acknowledgements() {
    check("acknowledgement", checks::acknowledgement);
}
