//! Where figures go: to the terminal as they come, and for a whole section to `docs/` as JSON, a plot, and tables for people.

use std::path::PathBuf;
use std::process::Command;

use serde::Serialize;
use serde_json::{Value, json};

/// What is to be measured.
pub(crate) struct Report {
    /// Parts of names; none is everything.
    chosen: Vec<String>,
}

/// The median, the lowest and the highest.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) lowest: f64,
    pub(crate) highest: f64,
}

impl Spread {
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        Self { median: values[values.len() / 2], lowest: values[0], highest: values[values.len() - 1] }
    }

    /// `0.98 (0.95–1.02)`
    pub(crate) fn text(self) -> String {
        format!("{:.2} ({:.2}–{:.2})", self.median, self.lowest, self.highest)
    }
}

impl Report {
    pub(crate) fn from_arguments() -> Self {
        Self { chosen: std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect() }
    }

    /// Whether a measurement of that name is asked for.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.chosen.is_empty() || self.chosen.iter().any(|part| name.contains(part))
    }

    /// Whether all of a section is asked for.
    fn is_whole(&self, section: &str) -> bool {
        self.chosen.is_empty() || self.chosen.iter().any(|part| part == section)
    }

    /// Keeps a section: its figures as JSON, its plot as SVG, and its table in the page between two marks.
    pub(crate) fn keep<F: Serialize>(&self, section: &str, figures: &[F], plot: &str, table: &str) {
        if !self.is_whole(section) {
            return;
        }
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs");
        std::fs::create_dir_all(folder.join("performance")).unwrap();
        let all = json!({ "machine": machine(), "figures": figures });
        std::fs::write(folder.join(format!("performance/{section}.json")), format!("{all:#}\n")).unwrap();
        std::fs::write(folder.join(format!("performance/{section}.svg")), plot).unwrap();
        let page = folder.join("performance.md");
        let text = std::fs::read_to_string(&page).unwrap();
        let (begin, end) = (format!("<!-- {section} -->\n"), format!("<!-- end of {section} -->"));
        let (before, rest) = text.split_once(&begin).expect("the page has a place for each section");
        let (_, after) = rest.split_once(&end).expect("which ends");
        std::fs::write(&page, format!("{before}{begin}![{section}](performance/{section}.svg)\n\n{table}\n{end}{after}")).unwrap();
    }
}

/// Prints one line of a table, as it comes.
pub(crate) fn row(cells: &[String]) -> String {
    let line = format!("| {} |", cells.join(" | "));
    println!("{line}");
    line
}

/// The lines above those of the figures.
pub(crate) fn head(cells: &[&str]) -> String {
    let names = row(&cells.iter().map(|cell| String::from(*cell)).collect::<Vec<_>>());
    format!("{names}\n|{}", " --- |".repeat(cells.len()))
}

/// What it was measured on.
fn machine() -> Value {
    let file = |path: &str, name: &str| {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_default();
        line.split_once(':').map_or(String::new(), |(_, value)| value.trim().to_owned())
    };
    json!({
        "processor": file("/proc/cpuinfo", "model name"),
        "cores": std::thread::available_parallelism().map_or(0, usize::from),
        "memory": file("/proc/meminfo", "MemTotal"),
        "kernel": output("uname", "-r"),
        "postgres": output("pg_recvlogical", "--version"),
        "rust": output("rustc", "--version"),
    })
}

/// What a program says.
pub(crate) fn output(program: &str, argument: &str) -> String {
    let output = Command::new(program).arg(argument).output().unwrap();
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}
