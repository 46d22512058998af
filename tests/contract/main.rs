//! What is published, as others read it: checked by linters of their own making, and held against a running service by programs that know
//! nothing of it but what it publishes. `make contract` runs this alone; `SEED=7 make contract` tries other requests and frames.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test that cannot go on fails")]
#![expect(unreachable_pub, reason = "the harness is public to the tests")]

#[expect(dead_code, unused_imports, reason = "the harness also serves the stories of tests/integration")]
#[path = "../harness/mod.rs"]
mod harness;
#[path = "../harness/installed.rs"]
mod installed;

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::process::Command;

use harness::{Postgres, Service};

/// Longer than any of these programs takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(600);

#[tokio::test]
async fn linters_have_nothing_to_say() {
    let modules = installed::node_modules(&ours("package-lock.json"));
    let mut redocly = Command::new(modules.join(".bin/redocly"));
    redocly.args(["lint", "../../schemas/openapi.json", "--config=redocly.yaml"]);
    // It would tell its makers of each run.
    redocly.env("REDOCLY_TELEMETRY", "off").env("REDOCLY_SUPPRESS_UPDATE_NOTICE", "true");
    succeed(&mut redocly).await;
    let (postgres, service) = start().await;
    let tables = postgres
        .text("SELECT string_agg(format('%I.%I', schemaname, tablename), E'\\n') FROM pg_tables WHERE schemaname IN ('public', 'shop')")
        .await;
    let mut node = Command::new("node");
    node.args(["lint.cjs", "../../schemas", &service.url("")]).args(tables.unwrap().lines()).env("NODE_PATH", modules);
    succeed(&mut node).await;
    service.stop().await;
}

#[tokio::test]
async fn every_call_is_as_the_openapi_document_says() {
    let (_postgres, service) = start().await;
    let mut schemathesis = python("schemathesis.cli");
    schemathesis.args(["--config-file=schemathesis.toml", "run", "--no-color", "--seed", &seed(), &service.url("/openapi.json")]);
    succeed(&mut schemathesis).await;
    service.stop().await;
}

#[tokio::test]
async fn every_frame_and_every_query_of_a_stream_is_as_the_documents_say() {
    let (postgres, service) = start().await;
    let mut pytest = python("pytest");
    pytest.args(["-p", "no:cacheprovider", "--color=no", "--hypothesis-seed", &seed(), "."]);
    let options = &postgres.options;
    pytest.env("SERVICE_URL", service.url("")).env("PGUSER", options.get_username()).env("PGDATABASE", options.get_database().unwrap());
    pytest.env("PGHOST", options.get_host()).env("PGPORT", options.get_port().to_string());
    succeed(&mut pytest).await;
    service.stop().await;
}

/// A service with tables of every kind.
async fn start() -> (Postgres, Service) {
    let (postgres, service) = harness::start().await;
    postgres.execute(include_str!("tables.sql")).await;
    (postgres, service)
}

fn ours(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/contract").join(file)
}

/// A program of our Python, which leaves nothing in the source tree.
fn python(module: &str) -> Command {
    let mut python = Command::new(installed::python(&ours("requirements.txt")));
    let storage = Path::new(env!("CARGO_TARGET_TMPDIR")).join("contract-hypothesis");
    python.args(["-m", module]).env("PYTHONDONTWRITEBYTECODE", "1").env("HYPOTHESIS_STORAGE_DIRECTORY", storage);
    python
}

/// What the requests and frames are made of: the same ones in each run, unless it is said.
fn seed() -> String {
    #[expect(clippy::disallowed_methods, reason = "the settings of the tests are not those of the service")]
    let seed = std::env::var("SEED").unwrap_or_default();
    if seed.is_empty() { String::from("1") } else { seed }
}

async fn succeed(command: &mut Command) {
    let running = command.current_dir(ours("")).kill_on_drop(true).output();
    let output = tokio::time::timeout(PATIENCE, running).await.unwrap_or_else(|_| panic!("{command:?} takes too long")).unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}: {}\n{text}", output.status);
    println!("{text}");
}
