//! `pgdeltastream demo`, driven from outside: it starts, and however it ends it leaves nothing behind.

use std::error::Error;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Stdio;
use std::str::FromStr;
use std::time::{Duration, Instant};

use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, PgConnection};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

/// How long anything here may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A demo that has printed its commands.
struct Demo {
    process: Child,
    guide: String,
    database: String,
    port: u16,
    folder: PathBuf,
}

impl Demo {
    async fn start() -> Result<Self, Box<dyn Error>> {
        let mut process = demo(0).stdout(Stdio::piped()).spawn()?;
        let mut output = BufReader::new(process.stdout.take().ok_or("no output")?);
        let mut guide = String::new();
        while !guide.contains("Ctrl-C") {
            let read = timeout(PATIENCE, output.read_line(&mut guide)).await??;
            assert_ne!(read, 0, "the demo ended after:\n{guide}");
        }
        let database = guide.split('\'').find(|word| word.starts_with("postgres://")).ok_or("no database")?.to_owned();
        let mut connection = PgConnection::connect(&database).await?;
        let folder: String = sqlx::query_scalar("select current_setting('data_directory')").fetch_one(&mut connection).await?;
        let port = PgConnectOptions::from_str(&database)?.get_port();
        Ok(Self { process, guide, database, port, folder: folder.into() })
    }

    async fn rows(&self) -> Result<Vec<String>, sqlx::Error> {
        let mut connection = PgConnection::connect(&self.database).await?;
        sqlx::query_scalar("select orders::text from orders order by id").fetch_all(&mut connection).await
    }

    async fn send(&self, signal: &str) -> Result<(), Box<dyn Error>> {
        let process = self.process.id().ok_or("no process")?.to_string();
        let status = Command::new("sh").args(["-c", r#"kill -s "$1" "$2""#, "kill", signal, &process]).status().await?;
        status.success().then_some(()).ok_or_else(|| "the signal did not arrive".into())
    }

    async fn has_left_nothing_behind(&self) -> bool {
        let start = Instant::now();
        while self.folder.exists() || TcpStream::connect(("127.0.0.1", self.port)).await.is_ok() {
            if start.elapsed() > PATIENCE {
                return false;
            }
            sleep(Duration::from_millis(20)).await;
        }
        println!("nothing left after {} ms", start.elapsed().as_millis());
        true
    }
}

fn demo(port: u16) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pgdeltastream"));
    command.args(["demo", "--serverHost", "127.0.0.1", "--serverPort", &port.to_string()]).kill_on_drop(true);
    command
}

#[tokio::test]
async fn two_demos_run_side_by_side_until_they_are_asked_to_end() {
    let (mut one, mut other) = (Demo::start().await.unwrap(), Demo::start().await.unwrap());
    assert_ne!(one.guide, other.guide);
    for command in [
        "curl -s http://127.0.0.1:",
        "pgdeltastream tail delta_",
        " --ack --serverHost 127.0.0.1 --serverPort ",
        "websocat 'ws://127.0.0.1:",
    ] {
        assert!(one.guide.contains(command), "{}", one.guide);
    }
    for (demo, signal) in [(&mut one, "INT"), (&mut other, "TERM")] {
        let rows = demo.rows().await.unwrap();
        assert!(rows.len() >= 30, "{rows:?}");
        while demo.rows().await.unwrap() == rows {
            sleep(Duration::from_millis(100)).await;
        }
        demo.send(signal).await.unwrap();
        assert!(timeout(PATIENCE, demo.process.wait()).await.unwrap().unwrap().success());
        assert!(demo.has_left_nothing_behind().await);
    }
}

#[tokio::test]
async fn a_killed_demo_leaves_nothing_behind() {
    let mut demo = Demo::start().await.unwrap();
    demo.process.kill().await.unwrap();
    assert!(demo.has_left_nothing_behind().await);
}

#[tokio::test]
async fn a_taken_port_is_said_at_once() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut demo = demo(port).stderr(Stdio::piped()).spawn().unwrap();
    let mut errors = String::new();
    demo.stderr.take().unwrap().read_to_string(&mut errors).await.unwrap();
    assert_eq!(demo.wait().await.unwrap().code(), Some(1));
    assert!(errors.starts_with(&format!("pgdeltastream: port {port} of 127.0.0.1 is taken")), "{errors}");
}
