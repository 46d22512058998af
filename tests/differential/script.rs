//! A history as a file of SQL, in paragraphs.
//!
//! Each paragraph is sent in one go, so that several statements in it are one transaction unless they say otherwise. A paragraph that begins
//! with `COPY … FROM STDIN` has its rows in the lines below. Comments in front of a paragraph may say what is special:
//!
//! - `-- fails`: Postgres refuses it.
//! - `-- damage: RAW => JSON`: wal2json writes RAW, which is no JSON; it is mended to JSON. `␤` in RAW is a line feed. See `damage.rs`.
//! - `-- damage: bytes`: it writes bytes that are no UTF-8.

use std::path::{Path, PathBuf};

use sqlx::{AssertSqlSafe, PgConnection};

use crate::damage::Damage;

pub struct Script {
    pub damage: Damage,
    paragraphs: Vec<Paragraph>,
}

struct Paragraph {
    /// Statements, or `COPY … FROM STDIN`.
    sql: String,
    /// The rows of a COPY.
    rows: Option<String>,
    fails: bool,
}

/// Where the scripts are.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/differential/sql")
}

impl Script {
    pub fn read(path: &Path) -> Self {
        let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Self {
            damage: Damage::new(text.lines().filter_map(|line| line.strip_prefix("-- damage: "))),
            paragraphs: text.split("\n\n").filter_map(Paragraph::parse).collect(),
        }
    }

    pub async fn run(&self, connection: &mut PgConnection) {
        for paragraph in &self.paragraphs {
            let outcome = paragraph.run(connection).await;
            assert_eq!(outcome.is_err(), paragraph.fails, "{outcome:?}: {}", paragraph.sql);
        }
    }
}

impl Paragraph {
    /// None if there are only comments.
    fn parse(text: &str) -> Option<Self> {
        let is_comment = |line: &&str| line.starts_with("--");
        let fails = text.lines().take_while(is_comment).any(|line| line == "-- fails");
        let sql: Vec<&str> = text.lines().skip_while(is_comment).collect();
        let first = sql.iter().find(|line| !line.is_empty())?;
        if first.starts_with("COPY ") && first.contains(" FROM STDIN") {
            let rows = sql[1..].iter().map(|row| format!("{row}\n")).collect();
            return Some(Self { sql: (*first).to_owned(), rows: Some(rows), fails });
        }
        Some(Self { sql: sql.join("\n"), rows: None, fails })
    }

    async fn run(&self, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        let Some(rows) = &self.rows else {
            return sqlx::raw_sql(AssertSqlSafe(self.sql.as_str())).execute(connection).await.map(drop);
        };
        let mut copy = connection.copy_in_raw(&self.sql).await?;
        copy.send(rows.as_bytes()).await?;
        copy.finish().await.map(drop)
    }
}
