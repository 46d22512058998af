//! Tables by chance, and what is done to them.

use fastrand::Rng;

/// Rows that statements are about: so few that they meet.
const ROWS: u32 = 200;

/// How a table tells its rows apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Integer,
    Text,
    Composite,
    Uuid,
    /// By all their columns.
    Whole,
    Partitioned,
}

/// A table.
#[derive(Debug, Clone)]
pub struct Table {
    pub name: String,
    pub kind: Kind,
    /// Columns beside the key, `n` and `filling`: each its type, and a value for the number `g`.
    more: Vec<(&'static str, &'static str)>,
}

/// Types that look the same wherever they are met.
const PLAIN: [(&str, &str); 2] = [("boolean", "g % 3 = 0"), ("text", "E'ä\"\\\\\\n' || g")];

const OTHERS: [(&str, &str); 5] = [
    ("jsonb", "jsonb_build_object('g', g, 'x', E'ä\"\\n', 'nothing', NULL)"),
    ("numeric", "g / 7.0"),
    ("integer[]", "ARRAY[g, NULL, -g]::integer[]"),
    ("timestamptz", "timestamptz '2026-01-02 03:04:05Z' + g * interval '1 hour 1 millisecond'"),
    ("bytea", "decode(md5(g::text), 'hex')"),
];

impl Table {
    pub fn new(name: String, kind: Kind, is_plain: bool, chance: &mut Rng) -> Self {
        let types: Vec<_> = if is_plain { PLAIN.to_vec() } else { PLAIN.into_iter().chain(OTHERS).collect() };
        let more = types.into_iter().filter(|_| chance.bool()).collect();
        Self { name, kind, more }
    }

    /// What tells rows apart; nothing where the whole row does.
    pub fn key(&self) -> &'static [&'static str] {
        match self.kind {
            Kind::Integer | Kind::Text | Kind::Uuid | Kind::Partitioned => &["id"],
            Kind::Composite => &["b", "a"],
            Kind::Whole => &[],
        }
    }

    /// The tables that have the rows.
    pub fn leaves(&self) -> Vec<String> {
        match self.kind {
            Kind::Partitioned => (0..2).map(|part| format!("{}_{part}", self.name)).collect(),
            _ => vec![self.name.clone()],
        }
    }

    pub fn create(&self) -> String {
        let name = &self.name;
        let key = match self.kind {
            Kind::Integer | Kind::Partitioned => "id bigint PRIMARY KEY",
            Kind::Text => "id text PRIMARY KEY",
            Kind::Composite => "a text, b integer, PRIMARY KEY (b, a)",
            Kind::Uuid => "id uuid PRIMARY KEY",
            Kind::Whole => "x integer",
        };
        let more: String = self.more.iter().enumerate().map(|(index, (kind, _))| format!(", c{index} {kind}")).collect();
        let columns = format!("CREATE TABLE {name} ({key}, n integer, filling text{more})");
        let rest = match self.kind {
            Kind::Whole => format!("; ALTER TABLE {name} REPLICA IDENTITY FULL"),
            Kind::Partitioned => {
                let part = |part| format!("; CREATE TABLE {name}_{part} PARTITION OF {name} FOR VALUES WITH (MODULUS 2, REMAINDER {part})");
                format!(" PARTITION BY HASH (id){}{}", part(0), part(1))
            }
            _ => String::new(),
        };
        format!("{columns}{rest}; {}", self.insert(1, ROWS / 2, 10))
    }

    /// Rows of these numbers, if they are not there.
    fn insert(&self, first: u32, last: u32, filling: usize) -> String {
        let (columns, values, otherwise) = match self.kind {
            Kind::Integer | Kind::Partitioned => ("id", "g", " ON CONFLICT DO NOTHING"),
            Kind::Text => ("id", "'k' || g", " ON CONFLICT DO NOTHING"),
            Kind::Composite => ("a, b", "'a' || g % 7, g", " ON CONFLICT DO NOTHING"),
            Kind::Uuid => ("id", "md5('k' || g)::uuid", " ON CONFLICT DO NOTHING"),
            Kind::Whole => ("x", "g % 40", ""),
        };
        let names: String = (0..self.more.len()).map(|index| format!(", c{index}")).collect();
        let more: String = self.more.iter().map(|(_, value)| format!(", {value}")).collect();
        format!(
            "INSERT INTO {} ({columns}, n, filling{names}) SELECT {values}, g, repeat('x', {filling}){more} FROM generate_series({first}, {last}) g{otherwise}",
            self.name
        )
    }

    fn is(&self, row: u32) -> String {
        match self.kind {
            Kind::Integer | Kind::Partitioned => format!("id = {row}"),
            Kind::Text => format!("id = 'k{row}'"),
            Kind::Composite => format!("a = 'a{}' AND b = {row}", row % 7),
            Kind::Uuid => format!("id = md5('k{row}')::uuid"),
            Kind::Whole => format!("x = {}", row % 40),
        }
    }

    /// Something that is done to some rows.
    pub fn statement(&self, has_truncate: bool, chance: &mut Rng) -> String {
        let (name, row) = (&self.name, chance.u32(1..=ROWS));
        match chance.u32(0..100) {
            0..35 => self.insert(row, row + chance.u32(0..5), chance.usize(0..300)),
            35..60 => format!("UPDATE {name} SET n = n + 1 WHERE {}", self.is(row)),
            // So long that it is kept elsewhere, and not sent where it has not changed.
            60..68 => {
                let text = format!("(SELECT string_agg(md5(g::text), '') FROM generate_series(1, {}) g)", 200 + row);
                format!("UPDATE {name} SET filling = {text} WHERE {}", self.is(row))
            }
            68..78 if matches!(self.kind, Kind::Integer | Kind::Partitioned) => {
                let other = chance.u32(1..=ROWS * 2);
                format!("UPDATE {name} SET id = {other} WHERE id = {row} AND NOT EXISTS (SELECT FROM {name} WHERE id = {other})")
            }
            68..78 => format!("UPDATE {name} SET filling = NULL, n = {row} WHERE {}", self.is(row)),
            78..95 => format!("DELETE FROM {name} WHERE {}", self.is(row)),
            95..97 if has_truncate => format!("TRUNCATE {name}"),
            // So many that they come in parts.
            95..98 => {
                format!("{}; DELETE FROM {name} WHERE n BETWEEN 1000 AND 5000", self.insert(1_000, 1_000 + chance.u32(100..3_000), 100))
            }
            _ => format!("SELECT pg_logical_emit_message(true, 'oracle', '{row}')"),
        }
    }
}

/// A transaction on some of them, which may be taken back, in part or as a whole.
pub fn transaction(tables: &[Table], has_truncate: bool, chance: &mut Rng) -> String {
    let mut statements = vec![String::from("BEGIN")];
    for _ in 0..chance.usize(1..6) {
        let statement = chance.choice(tables).unwrap().statement(has_truncate, chance);
        match chance.u32(0..10) {
            0 => statements.extend([String::from("SAVEPOINT s"), statement, String::from("ROLLBACK TO s")]),
            1 => statements.extend([String::from("SAVEPOINT s"), statement, String::from("RELEASE s")]),
            _ => statements.push(statement),
        }
    }
    statements.push(String::from(if chance.u32(0..8) == 0 { "ROLLBACK" } else { "COMMIT" }));
    statements.join("; ")
}
