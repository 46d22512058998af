//! A client: it makes its stream, takes the snapshot, follows, applies whole transactions and acknowledges them. What it has is kept whatever
//! happens to it; what it has not applied is not.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use pgdeltastream::lsn::Lsn;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::sleep;

use crate::connection::{Connection, Incoming, Refused, ask};
use crate::copy::{Change, Copy};
use crate::plan::{Format, Plan, Stream};
use crate::world::Calm;

/// The last message of a run.
pub const END: &str = "end";

/// How soon to try again what failed.
const RETRY: Duration = Duration::from_millis(50);

pub struct Follower<'a> {
    plan: &'a Plan,
    stream: &'a Stream,
    /// `http://127.0.0.1:80`
    service: String,
    /// Rises each time that the client dies.
    deaths: watch::Receiver<u64>,
    calm: Arc<Calm>,
    pub connections: AtomicU64,
}

/// What outlives the client: written as one.
struct Durable {
    copy: Copy,
    /// Everything up to here is in it.
    applied: Lsn,
    /// What was acknowledged, and when, the latest last.
    acknowledged: Vec<(Lsn, Instant)>,
}

/// How following ended.
enum Ended {
    /// The last message came.
    Well,
    /// Connect again.
    Broken,
    /// There is no such stream any more.
    Gone,
}

impl<'a> Follower<'a> {
    pub fn new(plan: &'a Plan, stream: &'a Stream, service: String, deaths: watch::Receiver<u64>, calm: Arc<Calm>) -> Self {
        Self { plan, stream, service, deaths, calm, connections: AtomicU64::new(0) }
    }

    /// To the last message: what the client has then.
    pub async fn run(&self) -> Copy {
        'anew: loop {
            let Some(copy) = self.start_over().await else {
                sleep(RETRY).await;
                continue;
            };
            let mut durable = Durable { copy, applied: Lsn::ZERO, acknowledged: vec![] };
            loop {
                match self.follow(&mut durable).await {
                    Ended::Well => return durable.copy,
                    Ended::Broken => sleep(RETRY).await,
                    Ended::Gone => continue 'anew,
                }
            }
        }
    }

    /// Makes the stream, after what is left of it is gone, and takes its snapshot. None: something failed.
    async fn start_over(&self) -> Option<Copy> {
        let Stream { name, tables, format, .. } = self.stream;
        let (status, _) = ask(Method::DELETE, &format!("{}/v1/streams/{name}", self.service), &Value::Null, "*/*").await?;
        if ![204, 404, 410].contains(&status) {
            return None;
        }
        let tables: Vec<_> = tables.iter().map(|place| &self.plan.tables[*place]).collect();
        let names: Vec<&str> = tables.iter().map(|table| table.name.as_str()).collect();
        let (status, _) =
            ask(Method::POST, &format!("{}/v1/streams", self.service), &json!({"name": name, "tables": names}), "*/*").await?;
        if status != 201 {
            return None;
        }
        let keys = |table: &&crate::tables::Table| table.leaves().into_iter().map(|leaf| (leaf, table.key())).collect::<Vec<_>>();
        let mut copy = Copy::new(tables.iter().flat_map(keys));
        for table in tables.iter().flat_map(|table| table.leaves()) {
            let mut request = json!({"slotName": name, "table": table});
            if matches!(format, Format::Events | Format::ServerSentEvents) {
                request["numbers"] = json!("string");
            }
            let url = format!("{}/v1/snapshot/data", self.service);
            let (status, rows) = ask(Method::POST, &url, &request, "application/x-ndjson").await?;
            if status != 200 {
                return None;
            }
            for row in rows.lines() {
                self.must(copy.insert(&table, serde_json::from_str(row).unwrap()));
            }
        }
        Some(copy)
    }

    fn must<T>(&self, result: Result<T, String>) -> T {
        result.unwrap_or_else(|fault| self.fail(&fault))
    }

    fn fail(&self, fault: &str) -> ! {
        panic!("ORACLE_SEED={}: stream {}: {fault}; {}", self.plan.seed, self.stream.name, self.plan)
    }

    async fn connect(&self, applied: Lsn) -> Result<Connection, Refused> {
        let Stream { name, format, max_unacked, .. } = self.stream;
        let (format, numbers) = match format {
            Format::Transactions => ("wal2json-v1", ""),
            Format::Records => ("wal2json-v2", ""),
            Format::Events | Format::ServerSentEvents => ("events", "&numbers=string"),
        };
        let window = max_unacked.map_or(String::new(), |window| format!("&maxUnacked={window}"));
        let url = format!("{}/v1/lr/stream?slotName={name}&format={format}{numbers}{window}", self.service);
        if self.stream.format == Format::ServerSentEvents {
            let id = (applied > Lsn::ZERO).then(|| applied.to_string());
            Connection::events(&url, id.as_deref()).await
        } else {
            Connection::socket(&url.replacen("http", "ws", 1)).await
        }
    }

    /// One connection, to its end or the client's.
    async fn follow(&self, durable: &mut Durable) -> Ended {
        let mut deaths = self.deaths.clone();
        deaths.mark_unchanged();
        let mut connection = match self.connect(durable.applied).await {
            Ok(connection) => connection,
            Err(Refused::Status(204 | 404 | 410)) => return Ended::Gone,
            // What was acknowledged may be ahead of a server that has lost its slot and has another one: never here.
            Err(Refused::Status(400)) => self.fail("a stream was refused that is in order"),
            Err(Refused::Status(_) | Refused::Unreachable) => return Ended::Broken,
        };
        let connected_at = Instant::now();
        self.connections.fetch_add(1, Ordering::Relaxed);
        let mut transaction = Transaction::default();
        let (mut last, mut unacknowledged) = (Lsn::ZERO, 0);
        loop {
            let text = tokio::select! {
                incoming = connection.next() => match incoming {
                    Incoming::Text(text) => text,
                    Incoming::Closed(4410) => return Ended::Gone,
                    Incoming::Closed(1011) => self.fail("a fault of the service"),
                    Incoming::Closed(_) | Incoming::Broken => return Ended::Broken,
                },
                _ = deaths.changed() => return Ended::Broken,
            };
            let message: Value = serde_json::from_str(&text).unwrap();
            if message.get("error").is_some() {
                // The service could not look whether a position is one of the server's.
                return Ended::Broken;
            }
            if message.get("notice").is_some() {
                continue;
            }
            let Some(position) = self.must(transaction.read(self.stream.format, &message)) else { continue };
            if position <= last {
                self.fail(&format!("{position} came after {last} on the same connection"));
            }
            last = position;
            let changes = transaction.take();
            if position <= durable.applied {
                self.may_repeat(position, durable, connected_at);
            } else {
                let is_end = changes.iter().any(|change| matches!(change, Change::Message { content } if content == END));
                for change in changes {
                    self.must(durable.copy.apply(change));
                }
                durable.applied = position;
                if is_end {
                    return Ended::Well;
                }
            }
            unacknowledged += 1;
            if unacknowledged >= self.stream.acknowledges_each {
                unacknowledged = 0;
                if !self.acknowledge(&mut connection, durable).await {
                    return Ended::Broken;
                }
            }
        }
    }

    /// Acknowledges all that was applied.
    async fn acknowledge(&self, connection: &mut Connection, durable: &mut Durable) -> bool {
        let Stream { name, acknowledges_by_call, .. } = self.stream;
        let position = durable.applied;
        if *acknowledges_by_call {
            let body = json!({"slotName": name, "lsn": position.to_string()});
            match ask(Method::POST, &format!("{}/v1/lr/ack", self.service), &body, "*/*").await {
                Some((204, _)) => {}
                // Who does not say it again may wait for ever for what comes after.
                _ => return false,
            }
        } else if connection.acknowledge(&position.to_string()).await.is_err() {
            return false;
        }
        durable.acknowledged.push((position, Instant::now()));
        true
    }

    /// What was acknowledged long before anything broke must not come again over another connection. Over the same one it may have been on its way.
    fn may_repeat(&self, position: Lsn, durable: &Durable, connected_at: Instant) {
        let was_settled = |at: Instant| at < connected_at && self.calm.was_calm_after(at);
        let settled = durable.acknowledged.iter().find(|(acknowledged, at)| *acknowledged >= position && was_settled(*at));
        if let Some((acknowledged, at)) = settled {
            let ago = at.elapsed().as_millis();
            self.fail(&format!("{position} came again, though {acknowledged} was acknowledged {ago} ms ago, long before anything broke"));
        }
    }
}

/// A transaction that has not come to its end.
#[derive(Default)]
struct Transaction {
    changes: Vec<Change>,
    /// Parts that came.
    parts: u64,
    ids: HashSet<String>,
    is_begun: bool,
}

impl Transaction {
    /// Reads a message: the position of the transaction that it ends, if it does.
    fn read(&mut self, format: Format, message: &Value) -> Result<Option<Lsn>, String> {
        match format {
            Format::Transactions => {
                self.changes.extend(message["change"].as_array().unwrap().iter().filter_map(|it| Change::read(format, it)));
            }
            Format::Records => {
                let action = message["action"].as_str().unwrap();
                if (action == "B") == self.is_begun {
                    return Err(format!("{action} where it cannot be: {message}"));
                }
                self.is_begun = action != "C";
                self.changes.extend(Change::read(format, message));
                if action != "C" {
                    return Ok(None);
                }
            }
            Format::Events | Format::ServerSentEvents => self.part(format, message)?,
        }
        Ok(message["nextlsn"].as_str().map(|position| position.parse().unwrap()))
    }

    /// Parts follow each other without a gap, also where Postgres was away in between.
    fn part(&mut self, format: Format, message: &Value) -> Result<(), String> {
        if message["part"] != json!(self.parts) {
            return Err(format!("part {} came where {} was to come", message["part"], self.parts));
        }
        self.parts += 1;
        for event in message["events"].as_array().unwrap() {
            if !self.ids.insert(event["id"].as_str().unwrap().to_owned()) {
                return Err(format!("twice: {event}"));
            }
            self.changes.extend(Change::read(format, event));
        }
        Ok(())
    }

    fn take(&mut self) -> Vec<Change> {
        std::mem::take(self).changes
    }
}
