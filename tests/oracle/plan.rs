//! What a seed stands for: tables, streams and faults.

use std::fmt;

use fastrand::Rng;

use crate::tables::{Kind, Table};

/// All that is done with one seed, but for the moments at which the machine does it.
pub struct Plan {
    pub seed: u64,
    pub tables: Vec<Table>,
    pub streams: Vec<Stream>,
    /// Format 1 cannot say it.
    pub has_truncate: bool,
    pub faults: Vec<Fault>,
}

/// A stream and its client.
#[derive(Debug, Clone)]
pub struct Stream {
    pub name: String,
    pub format: Format,
    /// Places of its tables in the plan.
    pub tables: Vec<usize>,
    /// Acknowledges each so many transactions.
    pub acknowledges_each: u32,
    /// By calls of their own.
    pub acknowledges_by_call: bool,
    pub max_unacked: Option<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Transactions,
    Records,
    Events,
    ServerSentEvents,
}

/// What goes wrong. Numbers are milliseconds, or places of streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    KillService,
    StopService,
    KillClient(usize),
    RestartPostgres,
    CrashPostgres,
    CutPostgres,
    StallPostgres(u64),
    SlowPostgres(u64),
    RefusePostgres(u64),
    CutClients,
    StallClients(u64),
    SlowClients(u64),
    PauseService(u64),
    PauseStreamer(u64),
    EndConnection(usize),
    DropSlot(usize),
}

impl Fault {
    fn by(chance: &mut Rng, streams: usize) -> Self {
        let (stream, time) = (chance.usize(0..streams), chance.u64(100..2_500));
        match chance.u32(0..19) {
            0..2 => Self::KillService,
            2 => Self::StopService,
            3..5 => Self::KillClient(stream),
            5 => Self::RestartPostgres,
            6..8 => Self::CrashPostgres,
            8..10 => Self::CutPostgres,
            10 => Self::StallPostgres(time),
            11 => Self::SlowPostgres(time),
            12 => Self::RefusePostgres(time),
            13 => Self::CutClients,
            14 => Self::StallClients(time),
            15 => Self::SlowClients(time),
            16 => Self::PauseService(time),
            17 => match chance.bool() {
                true => Self::PauseStreamer(time),
                false => Self::EndConnection(chance.usize(0..8)),
            },
            _ => Self::DropSlot(stream),
        }
    }

    /// Its kind alone.
    pub fn name(self) -> String {
        let name = format!("{self:?}");
        name.split('(').next().unwrap().to_owned()
    }
}

impl Plan {
    pub fn new(seed: u64) -> Self {
        let mut chance = Rng::with_seed(seed);
        let formats = [Format::Transactions, Format::Records, Format::Events, Format::Events, Format::ServerSentEvents];
        let chosen: Vec<Format> = (0..3).map(|_| *chance.choice(&formats).unwrap()).collect();
        let is_plain = chosen.iter().any(|format| matches!(format, Format::Transactions | Format::Records));
        let mut kinds = [Kind::Integer, Kind::Text, Kind::Composite, Kind::Uuid, Kind::Whole, Kind::Partitioned];
        chance.shuffle(&mut kinds);
        let count = chance.usize(2..=5);
        let tables: Vec<Table> =
            (0..).zip(kinds).take(count).map(|(place, kind)| Table::new(format!("t{place}"), kind, is_plain, &mut chance)).collect();
        let streams: Vec<Stream> = (0..)
            .zip(&chosen)
            .map(|(place, format)| {
                let mut meant: Vec<usize> = (0..count).filter(|_| chance.u32(0..3) > 0).collect();
                if meant.is_empty() || place == 0 {
                    meant = (0..count).collect();
                }
                Stream {
                    name: format!("s{place}"),
                    format: *format,
                    tables: meant,
                    acknowledges_each: *chance.choice(&[1, 1, 3, 10]).unwrap(),
                    acknowledges_by_call: *format == Format::ServerSentEvents || chance.u32(0..4) == 0,
                    max_unacked: (chance.u32(0..4) == 0).then(|| chance.u32(10..50)),
                }
            })
            .collect();
        let faults = (0..chance.usize(4..12)).map(|_| Fault::by(&mut chance, streams.len())).collect();
        Self { seed, tables, has_truncate: !chosen.contains(&Format::Transactions), streams, faults }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tables: Vec<String> = self.tables.iter().map(|table| format!("{} {:?}", table.name, table.kind)).collect();
        let streams: Vec<String> = self.streams.iter().map(|stream| format!("{} {:?}", stream.name, stream.format)).collect();
        write!(formatter, "tables {}; streams {}; faults {:?}", tables.join(", "), streams.join(", "), self.faults)
    }
}
