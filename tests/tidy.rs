//! The house is in order: a module imports only from floors below its own, and each outside crate has its door.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Which floor a module is on. A module in a folder is on its folder's floor, and may import its siblings.
const FLOORS: [(usize, &[&str]); 9] = [
    (0, &["lsn", "name", "row"]),
    (1, &["config", "filter", "message"]),
    (2, &["progress", "room", "seat", "wal2json"]),
    (3, &["contract", "format", "query"]),
    (4, &["postgres"]),
    (5, &["registry"]),
    (6, &["slot", "snapshot", "stream"]),
    (7, &["sidecar"]),
    (8, &["cluster", "demo", "http", "listen", "server", "tail"]),
];

/// What floor 8 is made of, in order; main is above all.
const TOP: [&str; 6] = ["cluster", "listen", "http", "server", "tail", "demo"];

/// Crates that only these modules may name.
const DOORS: [(&str, &[&str]); 18] = [
    ("console", &["tail"]),
    ("headers", &["http", "tail"]),
    ("headers_accept", &["http"]),
    ("hyper", &["http"]),
    ("hyper_util", &["http"]),
    ("indicatif", &["tail"]),
    ("jsonschema", &["contract"]),
    ("maud", &["http"]),
    ("names", &["name"]),
    ("pgwire_replication", &["postgres"]),
    ("pulldown_cmark", &["http"]),
    ("reqwest", &["tail"]),
    ("rustls", &["postgres"]),
    ("schemars", &["config", "contract", "message"]),
    ("sqlx", &["postgres", "demo"]),
    ("tokio_websockets", &["http", "tail"]),
    ("warp", &["http", "server"]),
    ("clap", &["config", "main"]),
];

/// Floors 0 to 3 decide and do not wait: no runtime. Queues and seats are made of the runtime's channels, and do no I/O.
const MAY_WAIT_BELOW_4: [&str; 2] = ["room", "seat"];

fn floor(module: &str) -> usize {
    let found = FLOORS.iter().find(|(_, modules)| modules.contains(&module));
    found.unwrap_or_else(|| panic!("{module} is on no floor: give it one in tests/tidy.rs")).0
}

/// Each source file with its module at the top level.
fn sources() -> Vec<(String, PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut folders = vec![root.clone()];
    let mut sources = vec![];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let module =
                path.strip_prefix(&root).unwrap().components().next().unwrap().as_os_str().to_str().unwrap().trim_end_matches(".rs");
            let text = std::fs::read_to_string(&path).unwrap();
            sources.push((module.to_owned(), path, text));
        }
    }
    sources
}

/// Without the tests, which may use whatever they like.
fn code(text: &str) -> &str {
    text.split("#[cfg(test)]").next().unwrap_or_default()
}

fn words_after<'a>(text: &'a str, prefix: &'a str) -> impl Iterator<Item = &'a str> {
    text.split(prefix).skip(1).map(|rest| rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default())
}

#[test]
fn a_module_imports_only_from_floors_below() {
    for (module, path, text) in sources() {
        if module == "main" || module == "lib" {
            continue;
        }
        for imported in words_after(code(&text), "crate::") {
            if imported == module {
                continue;
            }
            let place = |name: &str| (floor(name), TOP.iter().position(|top| *top == name));
            assert!(place(imported) < place(&module), "{}: {module} imports {imported}, which is not below it", path.display());
        }
    }
}

#[test]
fn each_crate_has_its_door() {
    for (module, path, text) in sources() {
        for (krate, doors) in DOORS {
            let named = code(&text).match_indices(krate).any(|(at, _)| {
                let before = text[..at].chars().next_back().unwrap_or(' ');
                let after = &text[at + krate.len()..];
                after.starts_with("::") && !before.is_alphanumeric() && before != '_' && before != ':'
            });
            assert!(!named || doors.contains(&module.as_str()), "{}: {krate} is named outside of {doors:?}", path.display());
        }
        let environment = code(&text).contains("env::var") || code(&text).contains("env::args");
        assert!(!environment || module == "config", "{}: the environment is read in config.rs", path.display());
    }
}

#[test]
fn what_decides_does_not_wait() {
    for (module, path, text) in sources() {
        let low = FLOORS.iter().any(|(floor, modules)| *floor <= 3 && modules.contains(&module.as_str()));
        let waits = code(&text).contains("tokio") || code(&text).contains(".await");
        assert!(!low || !waits || MAY_WAIT_BELOW_4.contains(&module.as_str()), "{}: a module on floors 0 to 3 waits", path.display());
    }
}

#[test]
fn every_module_says_what_it_is_for() {
    for (_, path, text) in sources() {
        assert!(text.starts_with("//! "), "{} does not open with its purpose", path.display());
    }
}

#[test]
fn each_guarantee_names_tests_that_are_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(root.join("docs/guarantees.md")).unwrap();
    let mut count = 0;
    for line in text.lines() {
        // `file` in brackets, then the names of functions in it, each in backquotes.
        for part in line.split("[`tests/").skip(1) {
            let (file, rest) = part.split_once('`').unwrap();
            let code = std::fs::read_to_string(root.join("tests").join(file)).unwrap_or_else(|error| panic!("tests/{file}: {error}"));
            for name in rest.split('`').skip(1).step_by(2) {
                assert!(code.contains(&format!("fn {name}()")), "docs/guarantees.md: there is no {name} in tests/{file}");
                count += 1;
            }
        }
    }
    assert!(count > 0, "docs/guarantees.md names no tests: how does it name them now?");
}

#[test]
fn no_file_is_long() {
    let lengths: BTreeMap<PathBuf, usize> = sources().into_iter().map(|(_, path, text)| (path, code(&text).lines().count())).collect();
    for (path, length) in lengths {
        assert!(length <= 450, "{} has {length} lines", path.display());
    }
}
