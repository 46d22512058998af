//! Every setting and every limit, read once from the command line and the environment into typed values.

mod limits;
mod patience;
mod wal;

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::builder::RangedU64ValueParser;
use clap::{Args, Parser, Subcommand, ValueEnum};
use schemars::{JsonSchema, Schema};
use serde_json::{Value, json};

use crate::name::SlotName;

pub use limits::*;
pub use patience::Patience;
pub use wal::{WalLimitAction, WalSettings};

/// The command line.
#[derive(Debug, Parser)]
#[command(name = "pgdeltastream", version, about, max_term_width = 120)]
pub struct Cli {
    /// What to do; without a command: serve.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// The settings of the service.
    #[command(flatten)]
    pub config: Config,
}

/// What the program can do besides serving.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Start a throwaway Postgres that keeps changing, serve it, and print the commands to try
    Demo,
    /// Make or update the tables of the service, in the schema pgdeltastream, and leave
    Migrate,
    /// Print a stream's messages, one a line
    Tail(Tail),
}

/// The settings of `pgdeltastream tail`.
#[derive(Debug, Args)]
pub struct Tail {
    /// The stream's slot
    pub slot_name: SlotName,
    /// What a message is like: wal2json-v1, wal2json-v2, events [default: wal2json-v1]
    #[arg(long)]
    pub format: Option<String>,
    /// The only tables to tell of: table, schema.table, schema.*, with commas between
    #[arg(long, value_name = "TABLES")]
    pub tables: Option<String>,
    /// Tables not to tell of
    #[arg(long = "excludeTables", value_name = "TABLES")]
    pub exclude_tables: Option<String>,
    /// The only actions to tell of: insert, update, delete, truncate, with commas between
    #[arg(long, value_name = "ACTIONS")]
    pub actions: Option<String>,
    /// Leave the stream to whoever has it
    #[arg(long = "noTakeover")]
    pub no_takeover: bool,
    /// Acknowledge each transaction once it is printed
    #[arg(long)]
    pub ack: bool,
    /// First print the rows of the snapshot, each as {"schema":…,"table":…,"row":…}
    #[arg(long)]
    pub snapshot: bool,
    /// Print a change or a row a line, for people, instead of JSON; takes the format events
    #[arg(long, conflicts_with = "format")]
    pub pretty: bool,
    /// Leave after this many messages of the stream; with 0, do not ask for it
    #[arg(long, value_name = "MESSAGES")]
    pub limit: Option<u64>,
}

impl Tail {
    /// What the service is asked for, which knows best what it understands.
    pub fn query(&self) -> Vec<(&'static str, &str)> {
        let asked = [
            ("format", if self.pretty { Some("events") } else { self.format.as_deref() }),
            ("tables", self.tables.as_deref()),
            ("excludeTables", self.exclude_tables.as_deref()),
            ("actions", self.actions.as_deref()),
            ("takeover", self.no_takeover.then_some("false")),
        ];
        let asked = asked.into_iter().filter_map(|(name, value)| Some((name, value?)));
        std::iter::once(("slotName", self.slot_name.as_str())).chain(asked).collect()
    }
}

/// The settings of the service, as variables of its environment. Each is a flag too, which wins.
#[derive(Debug, Clone, Args, JsonSchema)]
#[schemars(title = "Configuration", transform = all_optional, example = Config::example())]
pub struct Config {
    /// Where Postgres is and how to log in.
    #[command(flatten)]
    #[schemars(flatten)]
    pub postgres: PostgresConfig,
    /// Address to listen on
    #[arg(long = "serverHost", env = "SERVERHOST", default_value = DEFAULT_SERVER_HOST, global = true, value_name = "HOST")]
    #[schemars(rename = "SERVERHOST", extend("default" = DEFAULT_SERVER_HOST))]
    pub server_host: String,
    /// Port to listen on; 0 takes a free one
    #[arg(long = "serverPort", env = "SERVERPORT", default_value_t = DEFAULT_SERVER_PORT, global = true, value_name = "PORT")]
    #[schemars(rename = "SERVERPORT", extend("default" = DEFAULT_SERVER_PORT))]
    pub server_port: u16,
    /// Origins (scheme, host, perhaps port) of pages that browsers may let ask this service, with commas between; * is all [default: none]
    #[arg(
        long = "corsOrigins",
        env = "CORS_ORIGINS",
        default_value = "",
        hide_default_value = true,
        global = true,
        value_name = "ORIGINS"
    )]
    #[schemars(rename = "CORS_ORIGINS", with = "String", regex(pattern = ORIGINS), extend("default" = ""))]
    pub origins: Origins,
    /// How long things may be.
    #[command(flatten)]
    #[schemars(flatten)]
    pub limits: Limits,
    /// How long snapshots are kept.
    #[command(flatten)]
    #[schemars(flatten)]
    pub snapshots: SnapshotSettings,
    /// How long to wait for those at the other ends.
    #[command(flatten)]
    #[schemars(flatten)]
    pub patience: Patience,
    /// What to do about WAL that the server keeps for streams.
    #[command(flatten)]
    #[schemars(flatten)]
    pub wal: WalSettings,
    /// What to log: error, warn, info, debug, trace, or by module [default: info; with a command: warn]
    #[arg(long = "log", env = "RUST_LOG", global = true, value_name = "FILTER")]
    #[schemars(rename = "RUST_LOG", with = "String")]
    pub log: Option<String>,
}

/// The pattern of an origin.
macro_rules! origin {
    () => {
        r"([A-Za-z][A-Za-z0-9+.\-]*://[A-Za-z0-9\-._~:\[\]]+|\*)"
    };
}

/// Origins of pages that browsers may let ask the service. A page of the service's own host needs no leave.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origins(Vec<String>);

/// Not a list of origins.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an origin: expected a scheme, a host and perhaps a port, as in https://example.com:8080, or * for all")]
pub struct InvalidOrigin(String);

impl Origins {
    /// Whether a page of this origin may ask.
    pub fn contain(&self, origin: &str) -> bool {
        self.is_any() || self.0.iter().any(|allowed| allowed.eq_ignore_ascii_case(origin))
    }

    /// Whether all pages may ask.
    pub fn is_any(&self) -> bool {
        self.0.iter().any(|origin| origin == "*")
    }

    /// Whether none may.
    pub fn is_none(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromStr for Origins {
    type Err = InvalidOrigin;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let items = text.split(',').map(|item| item.trim_matches(' '));
        let origins: Vec<String> = items.filter(|_| !text.trim_matches(' ').is_empty()).map(str::to_owned).collect();
        match origins.iter().find(|origin| !is_origin(origin)) {
            Some(origin) => Err(InvalidOrigin(origin.clone())),
            None => Ok(Self(origins)),
        }
    }
}

fn is_origin(text: &str) -> bool {
    let Some((scheme, authority)) = text.split_once("://") else { return text == "*" };
    let in_scheme = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
    let in_authority = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:[]".contains(&byte);
    let starts_well = scheme.starts_with(|first: char| first.is_ascii_alphabetic());
    starts_well && scheme.bytes().all(in_scheme) && !authority.is_empty() && authority.bytes().all(in_authority)
}

/// The pattern of a list of origins.
const ORIGINS: &str = concat!("^ *(", origin!(), "( *, *", origin!(), ")*)? *$");

/// How long things may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Args, JsonSchema)]
pub struct Limits {
    /// Longest message of a transaction, in bytes; a longer one comes in several, cut between changes
    #[arg(long = "maxMessageBytes", env = "MAX_MESSAGE_BYTES", default_value_t = 16 * MEBIBYTE, global = true, value_name = "BYTES",
          value_parser = up_to(MESSAGE_BYTES))]
    #[schemars(rename = "MAX_MESSAGE_BYTES", range(min = 1, max = MESSAGE_BYTES), extend("default" = 16 * MEBIBYTE))]
    pub max_message_bytes: usize,
    /// Longest change of one row, in bytes; at a longer one the stream closes with 1011
    #[arg(long = "maxRowBytes", env = "MAX_ROW_BYTES", default_value_t = 256 * MEBIBYTE, global = true, value_name = "BYTES",
          value_parser = up_to(ROW_BYTES))]
    #[schemars(rename = "MAX_ROW_BYTES", range(min = 1, max = ROW_BYTES), extend("default" = 256 * MEBIBYTE))]
    pub max_row_bytes: usize,
}

/// How long snapshots are kept. They hold back vacuum for as long as they are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Args, JsonSchema)]
pub struct SnapshotSettings {
    /// How long a snapshot that nobody reads is kept, in seconds since it was read last
    #[arg(long = "snapshotTtl", env = "SNAPSHOT_TTL", default_value_t = 3_600, global = true, value_name = "SECONDS",
          value_parser = RangedU64ValueParser::<u64>::new().range(1..=MAX_SECONDS))]
    #[schemars(rename = "SNAPSHOT_TTL", range(min = 1, max = MAX_SECONDS), extend("default" = 3_600))]
    pub ttl_seconds: u64,
    /// How long a snapshot is kept at most, read or not, in seconds; 0: as long as it is read
    #[arg(long = "snapshotMaxAge", env = "SNAPSHOT_MAX_AGE", default_value_t = 0, global = true, value_name = "SECONDS",
          value_parser = RangedU64ValueParser::<u64>::new().range(0..=MAX_SECONDS))]
    #[schemars(rename = "SNAPSHOT_MAX_AGE", range(min = 0, max = MAX_SECONDS), extend("default" = 0))]
    pub max_age_seconds: u64,
}

impl SnapshotSettings {
    /// How long a snapshot that nobody reads is kept.
    pub fn ttl(&self) -> Duration {
        Duration::from_secs(self.ttl_seconds)
    }

    /// How long a snapshot is kept at most, if there is a limit.
    pub fn max_age(&self) -> Option<Duration> {
        (self.max_age_seconds > 0).then(|| Duration::from_secs(self.max_age_seconds))
    }
}

/// A year, the longest that a setting in seconds may say.
const MAX_SECONDS: u64 = 366 * 24 * 60 * 60;

impl Config {
    fn example() -> Value {
        json!({"DBNAME": "shop", "PGUSER": "replicator", "PGPASS": "secret", "PGHOST": "db", "SERVERHOST": "0.0.0.0"})
    }
}

/// Each setting has a default, or need not be there.
fn all_optional(schema: &mut Schema) {
    schema.remove("required");
}

impl Limits {
    /// The longest text that is taken from wal2json: a whole transaction, or a single change.
    pub fn max_bytes(&self, is_whole: bool) -> usize {
        if is_whole { self.max_message_bytes } else { self.max_row_bytes }
    }
}

const MEBIBYTE: usize = 1024 * 1024;

/// What `MAX_MESSAGE_BYTES` may be at most.
const MESSAGE_BYTES: usize = 512 * MEBIBYTE;

/// What `MAX_ROW_BYTES` may be at most.
const ROW_BYTES: usize = 1_000 * MEBIBYTE;

fn up_to(limit: usize) -> impl clap::builder::TypedValueParser<Value = usize> {
    RangedU64ValueParser::new().range(1..=limit as u64)
}

impl Cli {
    /// What to log. The commands are for people, who came to see something else. To warp, whatever a stranger sends to the port is an error of ours.
    pub fn log(&self) -> &str {
        self.config.log.as_deref().unwrap_or(if self.command.is_none() { "info,sqlx_core=warn,sqlx=warn,warp=off" } else { "warn" })
    }
}

/// How this program was called, for a text that says how to call it again.
pub fn program() -> String {
    std::env::args().next().unwrap_or_else(|| "pgdeltastream".to_owned())
}

/// Where Postgres is and how to log in, for both kinds of connection.
#[derive(Clone, Args, JsonSchema)]
pub struct PostgresConfig {
    /// Database
    #[arg(long = "db", env = "DBNAME", default_value = "postgres", global = true, value_name = "NAME")]
    #[schemars(rename = "DBNAME", extend("default" = "postgres"))]
    pub database: String,
    /// Role, with LOGIN and REPLICATION
    #[arg(long, env = "PGUSER", default_value = "postgres", global = true, value_name = "ROLE")]
    #[schemars(rename = "PGUSER", extend("default" = "postgres"))]
    pub user: String,
    /// Password; '' means none
    #[arg(long, env = "PGPASS", hide_env_values = true, default_value = "", hide_default_value = true, global = true)]
    #[schemars(rename = "PGPASS", extend("default" = ""))]
    pub password: String,
    /// Host name, address, or the folder of a Unix socket
    #[arg(long = "pgHost", env = "PGHOST", default_value = "localhost", global = true, value_name = "HOST")]
    #[schemars(rename = "PGHOST", extend("default" = "localhost"))]
    pub host: String,
    /// Port
    #[arg(long = "pgPort", env = "PGPORT", default_value_t = 5432, global = true, value_name = "PORT")]
    #[schemars(rename = "PGPORT", extend("default" = 5432))]
    pub port: u16,
    /// Whether to use TLS and what to verify, as in libpq
    #[arg(long = "pgSslMode", env = "PGSSLMODE", default_value = "prefer", global = true, value_name = "MODE")]
    #[schemars(rename = "PGSSLMODE", extend("default" = "prefer"))]
    pub ssl_mode: SslMode,
    /// File of trusted certificates (PEM), for verify-ca and verify-full; without it: the public authorities
    #[arg(long = "pgSslRootCert", env = "PGSSLROOTCERT", global = true, value_name = "FILE")]
    #[schemars(rename = "PGSSLROOTCERT", with = "String")]
    pub ssl_root_cert: Option<PathBuf>,
}

/// What TLS must prove, in libpq's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, JsonSchema)]
#[schemars(inline, rename_all = "kebab-case")]
pub enum SslMode {
    /// No TLS.
    Disable,
    /// TLS if the server offers it; nothing is verified.
    Prefer,
    /// TLS or nothing; nothing is verified, unless trusted certificates are given: then as verify-ca.
    Require,
    /// TLS, and the certificate comes from a trusted authority.
    VerifyCa,
    /// TLS, the certificate comes from a trusted authority and names the host.
    VerifyFull,
}

impl PostgresConfig {
    /// The password, if there is one. The original's docker line writes "none" as a literal `''`.
    pub fn password(&self) -> Option<&str> {
        match self.password.as_str() {
            "" | "''" => None,
            password => Some(password),
        }
    }

    /// The folder of the Unix socket, if the host is one.
    pub fn socket_folder(&self) -> Option<&str> {
        self.host.starts_with('/').then_some(self.host.as_str())
    }

    /// What TLS must prove for this host, by libpq's rules: nothing on a Unix socket, and `require` with trusted certificates verifies them.
    pub fn effective_ssl_mode(&self) -> SslMode {
        match self.ssl_mode {
            _ if self.socket_folder().is_some() => SslMode::Disable,
            SslMode::Require if self.ssl_root_cert.is_some() => SslMode::VerifyCa,
            mode => mode,
        }
    }
}

impl fmt::Debug for PostgresConfig {
    /// Leaves the password out, so that no log can have it.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}@{}:{}/{}", self.user, self.host, self.port, self.database)
    }
}

/// Where the service listens if nothing else is said.
pub const DEFAULT_SERVER_HOST: &str = "localhost";

/// The port it listens on if nothing else is said.
pub const DEFAULT_SERVER_PORT: u16 = 12312;

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;
    use proptest::prelude::*;

    fn parse(arguments: &[&str]) -> Config {
        Cli::parse_from([&["pgdeltastream"], arguments].concat()).config
    }

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_flags_of_the_original_work() {
        let config = parse(&[
            "--db",
            "shop",
            "--user",
            "me",
            "--password",
            "''",
            "--pgHost",
            "db",
            "--pgPort",
            "5433",
            "--serverHost",
            "0.0.0.0",
            "--serverPort",
            "80",
        ]);
        assert_eq!(format!("{:?}", config.postgres), "me@db:5433/shop");
        assert_eq!(config.postgres.password(), None);
        assert_eq!((config.server_host.as_str(), config.server_port), ("0.0.0.0", 80));
    }

    #[test]
    fn tls_follows_libpq() {
        assert_eq!(parse(&["--pgSslMode", "require"]).postgres.effective_ssl_mode(), SslMode::Require);
        assert_eq!(parse(&["--pgSslMode", "require", "--pgSslRootCert", "ca.pem"]).postgres.effective_ssl_mode(), SslMode::VerifyCa);
        assert_eq!(parse(&["--pgSslMode", "verify-full", "--pgHost", "/run"]).postgres.effective_ssl_mode(), SslMode::Disable);
    }

    #[test]
    fn a_bad_value_names_its_key_and_what_was_expected() {
        let error = Cli::try_parse_from(["pgdeltastream", "--pgSslMode", "yes"]).unwrap_err().to_string();
        for part in ["--pgSslMode", "yes", "disable, prefer, require, verify-ca, verify-full"] {
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn the_schema_says_what_the_command_line_says() {
        let schema = schemars::schema_for!(Config).to_value();
        let command = Cli::command();
        let settings: Vec<&clap::Arg> = command.get_arguments().filter(|argument| argument.get_env().is_some()).collect();
        assert_eq!(schema["properties"].as_object().unwrap().len(), settings.len());
        for setting in settings {
            let property = &schema["properties"][setting.get_env().unwrap().to_str().unwrap()];
            assert_eq!(property["description"].as_str(), setting.get_help().map(ToString::to_string).as_deref(), "{setting}");
            let default = setting.get_default_values().first().map(|default| default.to_str().unwrap().to_owned());
            let described = property.get("default").map(|default| default.as_str().map_or_else(|| default.to_string(), str::to_owned));
            assert_eq!(described, default, "{setting}");
            let choices: Vec<String> = setting.get_possible_values().iter().map(|value| value.get_name().to_owned()).collect();
            let described = property["oneOf"].as_array().into_iter().flatten();
            assert_eq!(described.map(|choice| choice["const"].as_str().unwrap()).collect::<Vec<_>>(), choices, "{setting}");
        }
    }

    #[test]
    fn bounds_are_those_of_the_schema() {
        let properties = schemars::schema_for!(Config).to_value()["properties"].clone();
        for (flag, variable) in [
            ("--maxMessageBytes", "MAX_MESSAGE_BYTES"),
            ("--maxRowBytes", "MAX_ROW_BYTES"),
            ("--serverPort", "SERVERPORT"),
            ("--pgPort", "PGPORT"),
        ] {
            let bound = |name: &str| properties[variable][name].as_i64().unwrap();
            let is_taken = |value: i64| Cli::try_parse_from(["pgdeltastream", &format!("{flag}={value}")]).is_ok();
            assert!(is_taken(bound("minimum")) && is_taken(bound("maximum")), "{flag}");
            assert!(!is_taken(bound("minimum") - 1) && !is_taken(bound("maximum") + 1), "{flag}");
        }
    }

    proptest! {
        #[test]
        fn the_schema_says_the_grammar_of_origins(text in "( |,|\\*|https?://[a-z]{0,2}|:80|/|\\[::1\\]|[ä@?]){0,5}") {
            let pattern = json!({"type": "string", "pattern": ORIGINS});
            prop_assert_eq!(jsonschema::is_valid(&pattern, &json!(text)), text.parse::<Origins>().is_ok(), "{:?}", text);
        }
    }

    #[test]
    fn the_password_is_never_shown() {
        assert!(!format!("{:?}", parse(&["--password", "geheim"])).contains("geheim"));
    }
}
