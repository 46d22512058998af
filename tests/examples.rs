//! The clients in `examples/`, as somebody would start them: their types are those of the schemas, and what they keep is what Postgres has,
//! whoever is killed in the meantime.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test that cannot go on fails")]
#![expect(unreachable_pub, reason = "the harness is public to the stories")]

#[expect(dead_code, unused_imports, reason = "the harness has more than these stories use")]
#[path = "harness/mod.rs"]
mod harness;
#[path = "harness/installed.rs"]
mod installed;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex};

use pgdeltastream::lsn::Lsn;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use harness::{Postgres, Service, eventually, in_time};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// What the clients keep, with the key of each.
const TABLES: [&str; 3] = ["orders", "journal", "marker"];

#[tokio::test]
async fn typescript() {
    let folder = Path::new(ROOT).join("examples/typescript");
    let packages = installed::node_modules(&folder.join("package-lock.json"));
    // Beside its packages, and with the schemas where it looks for them.
    let build = TempDir::new_in(packages.parent().unwrap()).unwrap();
    let copy = build.path().join("examples/typescript");
    fs::create_dir_all(copy.join("src")).unwrap();
    for file in ["package.json", "tsconfig.json", "generate.js"] {
        fs::copy(folder.join(file), copy.join(file)).unwrap();
    }
    for file in fs::read_dir(folder.join("src")).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), copy.join("src").join(file.file_name())).unwrap();
    }
    std::os::unix::fs::symlink(Path::new(ROOT).join("schemas"), build.path().join("schemas")).unwrap();

    let generated = output(Command::new("node").arg("generate.js").current_dir(&copy)).await;
    expectorate::assert_contents(folder.join("src/generated.ts"), &generated);
    output(Command::new("node").arg(packages.join("typescript/bin/tsc")).current_dir(&copy)).await;
    keeps_what_postgres_has(&Program { program: PathBuf::from("node"), script: copy.join("dist/main.js") }, 20_000).await;
}

#[tokio::test]
async fn python() {
    let folder = Path::new(ROOT).join("examples/python");
    let python = installed::python(&folder.join("requirements.txt"));

    let generated = output(Command::new(&python).args(["-B", "generate.py"]).current_dir(&folder)).await;
    expectorate::assert_contents(folder.join("generated.py"), &generated);
    let check = ["-m", "mypy", "--strict", "--cache-dir=/dev/null", "main.py", "service.py", "store.py", "generated.py", "generate.py"];
    output(Command::new(&python).args(check).current_dir(&folder)).await;
    keeps_what_postgres_has(&Program { program: python, script: folder.join("main.py") }, 25_000).await;
}

/// The service and the client are stopped and killed while rows change; in the end the client has what Postgres has.
async fn keeps_what_postgres_has(program: &Program, ports: u16) {
    let postgres = Postgres::start().await;
    let writer = Writer { postgres: &postgres, round: Mutex::new(0) };
    writer.start().await;
    let port = free_port(ports).to_string();
    let start = async || Service::start_with(&postgres, &["--serverPort", &port, "--maxMessageBytes", "2000"]).await;
    let mut service = start().await;
    let state = TempDir::new().unwrap();
    let mut client = Client::new(program, &port, state.path());
    client.start();
    let told = client.told.clone();
    writer.until_followed(&client).await;

    service = tokio::join!(writer.rounds(30), async {
        told.more(20).await;
        service.stop().await;
        start().await
    })
    .1;
    service = tokio::join!(writer.rounds(30), async {
        told.more(20).await;
        service.kill().await;
        start().await
    })
    .1;
    tokio::join!(writer.rounds(30), async {
        told.more(20).await;
        client.kill().await;
        client.start();
    });
    let writing = async {
        writer.large_transaction().await;
        writer.rounds(30).await;
    };
    tokio::join!(writing, async {
        told.more(2000).await;
        assert!(client.terminate().await.success());
        client.start();
    });
    writer.caught_up(&client).await;
    writer.truncate().await;
    writer.rounds(10).await;
    writer.caught_up(&client).await;
    told.nothing_twice();

    // Somebody calls `/v1/init`: the slot is gone, and with it the changes since; the client starts over.
    service.init().await;
    writer.until_followed(&client).await;
    writer.caught_up(&client).await;
    told.nothing_twice();

    // Somebody else takes the stream: the client leaves it to them.
    let other = service.stream(&postgres.slots().await[0]).await;
    assert_eq!(client.ended().await.code(), Some(1));
    assert!(client.errors().contains("4409"), "{}", client.errors());
    drop(other);
    told.nothing_twice();
    service.stop().await;
}

/// How a client is started.
struct Program {
    program: PathBuf,
    script: PathBuf,
}

/// A client over its starts and ends, with one state.
struct Client<'a> {
    program: &'a Program,
    arguments: Vec<String>,
    state: PathBuf,
    errors: PathBuf,
    child: Option<Child>,
    told: Told,
}

impl<'a> Client<'a> {
    fn new(program: &'a Program, port: &str, folder: &Path) -> Self {
        let mut arguments = vec![String::from("--url"), format!("http://127.0.0.1:{port}")];
        arguments.extend(TABLES.iter().flat_map(|table| [String::from("--table"), format!("public.{table}:id")]));
        Self { program, arguments, state: folder.join("state"), errors: folder.join("errors"), child: None, told: Told::default() }
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program.program);
        command
            .envs([("PYTHONDONTWRITEBYTECODE", "1"), ("NO_PROXY", "127.0.0.1")])
            .arg(&self.program.script)
            .arg("--state")
            .arg(&self.state);
        command
    }

    fn start(&mut self) {
        let errors = File::options().create(true).append(true).open(&self.errors).unwrap();
        let mut command = self.command();
        command.args(&self.arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(errors).kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        let (mut lines, told) = (BufReader::new(child.stdout.take().unwrap()).lines(), self.told.clone());
        #[expect(clippy::disallowed_methods, reason = "it ends with the client")]
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                told.0.lock().unwrap().push(serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}")));
            }
        });
        self.child = Some(child);
    }

    async fn kill(&mut self) {
        self.child.take().unwrap().kill().await.unwrap();
    }

    async fn terminate(&mut self) -> ExitStatus {
        let pid = self.child.as_ref().unwrap().id().expect("the client runs").to_string();
        assert!(Command::new("kill").arg(pid).status().await.unwrap().success());
        self.ended().await
    }

    async fn ended(&mut self) -> ExitStatus {
        in_time("the client to end", self.child.take().unwrap().wait()).await.unwrap()
    }

    fn errors(&self) -> String {
        fs::read_to_string(&self.errors).unwrap()
    }

    /// What it keeps is what Postgres has.
    async fn has(&self, postgres: &Postgres) {
        let mut kept: BTreeMap<String, Vec<Value>> = BTreeMap::new();
        for line in output(self.command().arg("--show")).await.lines() {
            let mut line: Value = serde_json::from_str(line).unwrap();
            kept.entry(line["table"].as_str().unwrap().to_owned()).or_default().push(line["row"].take());
        }
        for table in TABLES {
            let rows = postgres.text(&format!("SELECT jsonb_agg(to_jsonb(t)) FROM {table} AS t")).await.unwrap();
            let by_id = |rows: Vec<Value>| rows.into_iter().map(|row| (row["id"].as_i64().unwrap(), row)).collect::<Vec<_>>();
            let mut rows = by_id(serde_json::from_str(&rows).unwrap());
            let mut kept = by_id(kept.remove(&format!("public.{table}")).unwrap_or_default());
            rows.sort_by_key(|(id, _)| *id);
            kept.sort_by_key(|(id, _)| *id);
            let ids = |rows: &[(i64, Value)]| rows.iter().map(|(id, _)| *id).collect::<Vec<_>>();
            assert_eq!(ids(&kept), ids(&rows), "{table}");
            for (kept, row) in kept.iter().zip(&rows) {
                assert_eq!(kept, row, "{table}");
            }
        }
    }
}

impl Drop for Client<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("{}", fs::read_to_string(&self.errors).unwrap_or_default());
        }
    }
}

/// What a client printed, over all its starts.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<Value>>>);

impl Told {
    fn len(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    /// Waits for so many more events.
    async fn more(&self, events: usize) {
        let before = self.len();
        eventually("the client to go on", async || (self.len() >= before + events).then_some(())).await;
    }

    /// Whether a row of a table was told that was committed behind a position.
    fn has(&self, table: &str, position: Lsn) -> bool {
        self.0.lock().unwrap().iter().any(|event| event["table"] == json!(table) && commit(event["id"].as_str().unwrap()) >= position)
    }

    fn nothing_twice(&self) {
        let mut ids = BTreeSet::new();
        for event in self.0.lock().unwrap().iter() {
            assert!(ids.insert(event["id"].as_str().unwrap().to_owned()), "{event} came twice");
        }
    }
}

/// Changes rows.
struct Writer<'a> {
    postgres: &'a Postgres,
    round: Mutex<u32>,
}

impl Writer<'_> {
    /// The rows of the snapshot: more than a page.
    async fn start(&self) {
        self.postgres
            .execute(
                "CREATE TABLE orders (id integer PRIMARY KEY, name text, amount numeric, ratio double precision, document jsonb, at timestamptz, large text);
                 ALTER TABLE orders ALTER large SET STORAGE EXTERNAL;
                 CREATE TABLE journal (id serial PRIMARY KEY, note text);
                 CREATE TABLE marker (id serial PRIMARY KEY);
                 CREATE FUNCTION orders(first integer, last integer) RETURNS SETOF orders LANGUAGE sql AS $$
                     SELECT n, 'name ' || n, n + 0.25, n + 0.5, jsonb_build_object('n', n, 'list', jsonb_build_array(n, NULL, 'ö \"')),
                            '2026-11-23 12:00:00.25+00'::timestamptz + n * interval '1 minute', CASE WHEN n % 3 = 0 THEN repeat(n || ' ', 1000) END
                     FROM generate_series(first, last) AS n $$;
                 INSERT INTO orders SELECT * FROM orders(1, 2100);
                 INSERT INTO journal (note) SELECT 'note ' || n FROM generate_series(1, 100) AS n",
            )
            .await;
    }

    /// Each statement is a transaction, and so is the last line.
    async fn rounds(&self, rounds: u32) {
        for _ in 0..rounds {
            let n = {
                let mut round = self.round.lock().unwrap();
                *round += 1;
                *round
            };
            let (new, old) = (10_000 + 3 * n, 3 * n);
            for sql in [
                format!("INSERT INTO journal (note) VALUES ('round {n}')"),
                format!("INSERT INTO orders SELECT * FROM orders({new}, {new} + 2)"),
                // Its large value does not change.
                format!("UPDATE orders SET name = 'changed ' || {n}, document = NULL WHERE id IN ({old}, {new})"),
                format!("UPDATE orders SET id = -id WHERE id = {old}"),
                format!("DELETE FROM orders WHERE id = {new} + 1"),
                format!(
                    "BEGIN; UPDATE orders SET large = name WHERE id = {new}; INSERT INTO journal (note) VALUES (NULL); DELETE FROM orders WHERE id = {old} + 1; COMMIT"
                ),
            ] {
                self.postgres.execute(&sql).await;
            }
        }
    }

    /// Comes in several messages.
    async fn large_transaction(&self) {
        self.postgres.execute("INSERT INTO orders SELECT * FROM orders(20001, 24000)").await;
    }

    async fn truncate(&self) {
        self.postgres.execute("TRUNCATE orders; INSERT INTO orders SELECT * FROM orders(1, 2100)").await;
    }

    /// Writes until the client tells of it: what is written before it has its snapshot is told to nobody.
    async fn until_followed(&self, client: &Client<'_>) {
        let written = self.postgres.written().await;
        eventually("the client to follow its slot", async || {
            self.rounds(1).await;
            client.told.has("public.journal", written).then_some(())
        })
        .await;
    }

    /// Waits until the client has all that was written, and compares.
    async fn caught_up(&self, client: &Client<'_>) {
        let written = self.postgres.written().await;
        self.postgres.execute("INSERT INTO marker DEFAULT VALUES").await;
        eventually("the client to catch up", async || client.told.has("public.marker", written).then_some(())).await;
        client.has(self.postgres).await;
    }
}

/// The first position of an event's id.
fn commit(id: &str) -> Lsn {
    let end = id.match_indices('/').nth(1).unwrap().0;
    id[..end].parse().unwrap()
}

/// A port that stays free while the service is away: from below those that a system gives to whoever asks for any.
fn free_port(from: u16) -> u16 {
    let first = from + u16::try_from(std::process::id() % 4000).unwrap();
    (first..first + 1000).find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()).expect("a port is free")
}

/// What a program prints; it must succeed.
async fn output(command: &mut Command) -> String {
    let output = in_time("a program to end", command.kill_on_drop(true).output()).await.unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{command:?}: {}\n{}{}", output.status, text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}
