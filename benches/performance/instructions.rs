//! How many instructions a change takes the service, from the wire to the socket: a guard that does not depend on how fast or how busy the machine is.
//!
//! The service is counted by callgrind while it drains a short backlog and a long one; what lies between is what the changes take. Whoever makes it
//! faster lowers the figures here; whoever makes it slower has to say so.

use std::process::Command;

use crate::report::{Report, head, output, row};
use crate::service::Service;
use crate::workload::{Columns, Shape, Workload};

const SHORT: u32 = 100;
const LONG: u32 = 5_100;
const ROWS: u32 = 4;

/// How much more is not yet a difference. From run to run there is one of less than 1 %; other processors and compilers have others.
const TOLERANCE: f64 = 1.10;

/// In transactions of four narrow rows: a format, instructions a change in all, and of these what it takes to read it and to make messages of it.
const LIMITS: [(&str, f64, f64); 3] = [("wal2json-v1", 3_910.0, 3_130.0), ("wal2json-v2", 9_020.0, 4_440.0), ("events", 12_250.0, 9_070.0)];

/// What the limits are for.
const COMPILER: &str = "rustc 1.95.";

/// What reads and writes, as callgrind names it.
const FORMAT: &str = "pgdeltastream::format::Format::read";

#[derive(Clone, Copy)]
struct Counted {
    all: f64,
    format: f64,
}

pub(crate) async fn measure(report: &Report) {
    if !report.has("instructions") {
        return;
    }
    let mut workload = Workload::start().await;
    head(&["format", "instructions a change", "at most", "of these to read and write it", "at most"]);
    let mut excess = vec![];
    for (format, all, in_format) in LIMITS {
        let short = count(&mut workload, format, SHORT).await;
        let long = count(&mut workload, format, LONG).await;
        let changes = f64::from((LONG - SHORT) * ROWS);
        let counted = Counted { all: (long.all - short.all) / changes, format: (long.format - short.format) / changes };
        let [counted_all, most, counted_format, most_in_format] =
            [counted.all, all * TOLERANCE, counted.format, in_format * TOLERANCE].map(|count| format!("{count:.0}"));
        row(&[String::from(format), counted_all, most, counted_format, most_in_format]);
        // What others make of it is not known.
        let is_known = cfg!(target_arch = "x86_64") && output("rustc", "--version").starts_with(COMPILER);
        if is_known && (counted.all > all * TOLERANCE || counted.format > in_format * TOLERANCE) {
            excess.push(format);
        }
    }
    assert!(excess.is_empty(), "a change takes more instructions than it did: {excess:?}; if that is what it is worth, raise the limits");
}

/// All that the service did to drain so many transactions, from its start to its end.
async fn count(workload: &mut Workload, format: &str, transactions: u32) -> Counted {
    workload.fill(Shape { transactions, rows: ROWS, columns: Columns::Text(20) }, 1).await;
    let twin = workload.twins(1).await.remove(0);
    let folder = tempfile::tempdir().unwrap();
    let (counts, log) = (folder.path().join("counts"), folder.path().join("log"));
    let valgrind = [
        String::from("valgrind"),
        String::from("--tool=callgrind"),
        format!("--callgrind-out-file={}", counts.display()),
        format!("--log-file={}", log.display()),
    ];
    let service = Service::start_under(&valgrind, &workload.cluster);
    service.drain(&twin, format, transactions).await;
    service.stop();
    let output = Command::new("callgrind_annotate").args(["--inclusive=yes", "--threshold=100"]).arg(&counts).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let of = |name: &str| {
        let line = text.lines().find(|line| line.contains(name)).expect("callgrind knows the function");
        line.split_whitespace().next().unwrap().replace(',', "").parse::<f64>().unwrap()
    };
    Counted { all: of("PROGRAM TOTALS"), format: of(FORMAT) }
}
