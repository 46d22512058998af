//! A replication connection, up to the point where it streams: dial, TLS, log in, one command and its rows.
//!
//! Follows "Message Flow" and "SASL Authentication" of the Postgres manual's chapter on the protocol, on the public lower half of
//! pgwire-replication, whose own client speaks pgoutput only. Never retries; never runs anything but replication commands.

use std::sync::Arc;
use std::time::Duration;

use md5::{Digest, Md5};
use pgwire_replication::PgWireError;
use pgwire_replication::auth::ScramClient;
use pgwire_replication::protocol::framing::{self, MessageReader};
use pgwire_replication::protocol::messages::auth as method;
use pgwire_replication::protocol::{BackendMessage, ErrorFields, parse_auth_request};
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncWriteExt, BufReader};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;
use tokio_util::either::Either;

use super::SESSION_SETTINGS;
use super::paced::{Pace, Paced};
use super::server_error::{Condition, ServerError};
use super::tls::{self, MaybeTls, TlsError};
use crate::config::{CONNECT_TIMEOUT, PostgresConfig, STATEMENT_TIMEOUT};

/// One system call fetches as many small messages as fit in here.
const READ_BUFFER_BYTES: usize = 128 * 1024;

/// Version 3.0 of the protocol.
const PROTOCOL_VERSION: i32 = 196_608;

/// wal2json names types as SQL would have to: those of `public` by their bare names, as with Postgres' own default. What it leaves out it
/// tells in a warning, and nowhere else.
const WIRE_SETTINGS: [(&str, &str); 2] = [("search_path", "public"), ("client_min_messages", "warning")];

/// How long a connection may be dead before it is found to be.
const DEAD_AFTER: Duration = Duration::from_secs(30);

type Socket = Either<MaybeTls, Paced<UnixStream>>;

/// A logged-in replication connection that waits for a command.
pub struct Wire {
    pub(super) socket: BufReader<Socket>,
    reader: MessageReader,
    max_message_bytes: usize,
    pace: Arc<Pace>,
    pid: i32,
}

/// A row of text columns.
pub type Row = Vec<Option<String>>;

/// A replication connection failed.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// The server refused.
    #[error("Postgres: {0}")]
    Server(#[source] ServerError),
    /// The server wants a log-in that we do not know.
    #[error("Postgres asks for the log-in method {0}, expected trust, password, md5 or scram-sha-256: change pg_hba.conf")]
    UnknownMethod(String),
    /// The server wants a password and there is none.
    #[error("Postgres asks for a password: set PGPASS")]
    NoPassword,
    /// The server sent a message over the limit. It is still on the wire, which is of no use any more.
    #[error("Postgres sent {bytes} bytes in one message")]
    TooLong {
        /// How many there would have been.
        bytes: usize,
    },
    /// The connection was cut, or what came over it was not the protocol.
    #[error(transparent)]
    Broken(PgWireError),
    /// The socket could not be opened.
    #[error("cannot connect: {0}")]
    Dial(#[from] std::io::Error),
    /// The connection could not be encrypted as it must be.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The server took too long.
    #[error("no answer from Postgres within {} s", .0.as_secs())]
    Timeout(Duration),
    /// The server ended the stream in good order, as it does when it shuts down.
    #[error("Postgres ended the stream")]
    Ended,
    /// Nothing comes any more, and nobody is at work at the other end.
    #[error("nothing was heard of Postgres for {} s", .0.as_secs())]
    Silent(Duration),
}

impl From<PgWireError> for WireError {
    fn from(error: PgWireError) -> Self {
        match error {
            PgWireError::MessageTooLarge { payload_bytes, .. } => Self::TooLong { bytes: payload_bytes },
            error => Self::Broken(error),
        }
    }
}

impl WireError {
    /// Whether a message was too long, for us or for wal2json.
    pub fn is_too_long(&self) -> bool {
        match self {
            Self::TooLong { .. } => true,
            Self::Server(error) => error.condition() == Condition::TooLong,
            _ => false,
        }
    }
}

impl Wire {
    /// Dials and logs in. `settings` are set for the session, beside those that every session of ours has.
    pub async fn connect(config: &PostgresConfig, application_name: &str, settings: &[(&str, &str)]) -> Result<Self, WireError> {
        let connecting = async {
            let pace = Arc::<Pace>::default();
            let socket = BufReader::with_capacity(READ_BUFFER_BYTES, dial(config, pace.clone()).await?);
            let mut wire = Self { socket, reader: MessageReader::new(), max_message_bytes: usize::MAX, pace, pid: 0 };
            wire.log_in(config, application_name, settings).await?;
            Ok(wire)
        };
        timeout(CONNECT_TIMEOUT, connecting).await.map_err(|_| WireError::Timeout(CONNECT_TIMEOUT))?
    }

    /// The process at the other end.
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// How many bytes have come.
    pub(super) fn heard(&self) -> u64 {
        self.pace.heard()
    }

    /// Whether what comes is in no hurry.
    pub(super) fn set_backlog(&self, has_backlog: bool) {
        self.pace.set_backlog(has_backlog);
    }

    /// From here on, a longer message than this is refused before any of it is kept.
    pub(super) fn limit_messages(&mut self, bytes: usize) {
        self.max_message_bytes = bytes;
        self.renew_reader();
    }

    /// Runs one replication command, to its end, and returns its rows.
    pub async fn command(&mut self, command: &str) -> Result<Vec<Row>, WireError> {
        self.command_within(command, STATEMENT_TIMEOUT).await
    }

    /// Runs one replication command, to its end or until `limit` is over; the connection is of no use after that.
    pub async fn command_within(&mut self, command: &str, limit: Duration) -> Result<Vec<Row>, WireError> {
        timeout(limit, self.run(command)).await.map_err(|_| WireError::Timeout(limit))?
    }

    async fn run(&mut self, command: &str) -> Result<Vec<Row>, WireError> {
        framing::write_query(&mut self.socket, command).await?;
        let mut rows = vec![];
        let mut refusal = None;
        loop {
            let message = self.read().await?;
            match message.tag {
                b'D' => rows.push(row(&message.payload).ok_or_else(|| PgWireError::Protocol(String::from("malformed DataRow")))?),
                b'E' => refusal = Some(server_error(&message)),
                b'Z' => return refusal.map_or(Ok(rows), |refusal| Err(WireError::Server(refusal))),
                _ => {}
            }
        }
    }

    pub(super) async fn read(&mut self) -> Result<BackendMessage, WireError> {
        let message = self.reader.read(&mut self.socket).await?;
        if message.payload.len() > READ_BUFFER_BYTES {
            // The reader would keep the memory, and whoever wants the text for good would have to copy it.
            self.renew_reader();
        }
        Ok(message)
    }

    fn renew_reader(&mut self) {
        self.reader = MessageReader::new().with_max_message_size(self.max_message_bytes);
    }

    /// Takes leave. What the server makes of it is of no concern.
    pub async fn close(mut self) {
        const TERMINATE: [u8; 5] = [b'X', 0, 0, 0, 4];
        let _ = timeout(STATEMENT_TIMEOUT, self.socket.write_all(&TERMINATE)).await;
        let _ = timeout(STATEMENT_TIMEOUT, self.socket.shutdown()).await;
    }

    async fn log_in(&mut self, config: &PostgresConfig, application_name: &str, settings: &[(&str, &str)]) -> Result<(), WireError> {
        let options: Vec<String> =
            SESSION_SETTINGS.iter().chain(&WIRE_SETTINGS).chain(settings).map(|(name, value)| format!("-c {name}={value}")).collect();
        let parameters = [
            ("user", config.user.as_str()),
            ("database", config.database.as_str()),
            ("replication", "database"),
            ("application_name", application_name),
            ("client_encoding", "UTF8"),
            ("options", &options.join(" ")),
        ];
        framing::write_startup_message(&mut self.socket, PROTOCOL_VERSION, &parameters).await?;
        loop {
            let message = self.read().await?;
            match message.tag {
                b'R' => self.authenticate(config, &message).await?,
                b'K' => self.pid = message.payload.first_chunk().map_or(0, |pid| i32::from_be_bytes(*pid)),
                b'E' => return Err(WireError::Server(server_error(&message))),
                b'Z' => return Ok(()),
                _ => {}
            }
        }
    }

    async fn authenticate(&mut self, config: &PostgresConfig, request: &BackendMessage) -> Result<(), WireError> {
        let (kind, data) = parse_auth_request(&request.payload)?;
        match kind {
            method::OK => Ok(()),
            method::CLEARTEXT_PASSWORD => self.send_password(password(config)?).await,
            method::MD5_PASSWORD => self.send_password(&md5_response(&config.user, password(config)?, data)).await,
            method::SASL => self.scram(config, data).await,
            other => Err(WireError::UnknownMethod(format!("number {other}"))),
        }
    }

    async fn send_password(&mut self, password: &str) -> Result<(), WireError> {
        Ok(framing::write_password_message(&mut self.socket, &[password.as_bytes(), b"\0"].concat()).await?)
    }

    async fn scram(&mut self, config: &PostgresConfig, mechanisms: &[u8]) -> Result<(), WireError> {
        const MECHANISM: &[u8] = b"SCRAM-SHA-256";
        if !mechanisms.split(|byte| *byte == 0).any(|mechanism| mechanism == MECHANISM) {
            return Err(WireError::UnknownMethod(String::from_utf8_lossy(mechanisms).replace('\0', " ")));
        }
        // Postgres normalises a password before it stores it, and takes one that cannot be normalised as it is.
        let plain = password(config)?;
        let normalised = stringprep::saslprep(plain).unwrap_or(plain.into());
        // The name is in the startup message already; in here the server ignores it.
        let client = ScramClient::new("");
        let length = u32::try_from(client.client_first.len()).unwrap_or_default().to_be_bytes();
        let first = [MECHANISM, b"\0", &length, client.client_first.as_bytes()].concat();
        framing::write_password_message(&mut self.socket, &first).await?;
        let server_first = self.scram_answer(method::SASL_CONTINUE).await?;
        let (client_final, auth_message, salted) = client.client_final(&normalised, &server_first)?;
        framing::write_password_message(&mut self.socket, client_final.as_bytes()).await?;
        let server_final = self.scram_answer(method::SASL_FINAL).await?;
        Ok(ScramClient::verify_server_final(&server_final, &salted, &auth_message)?)
    }

    async fn scram_answer(&mut self, expected: i32) -> Result<String, WireError> {
        let message = self.read().await?;
        if message.is_error() {
            return Err(WireError::Server(server_error(&message)));
        }
        match parse_auth_request(&message.payload)? {
            (kind, data) if message.is_auth_request() && kind == expected => Ok(String::from_utf8_lossy(data).into_owned()),
            (kind, _) => Err(WireError::UnknownMethod(format!("number {kind} in the middle of SCRAM"))),
        }
    }
}

async fn dial(config: &PostgresConfig, pace: Arc<Pace>) -> Result<Socket, WireError> {
    if let Some(folder) = config.socket_folder() {
        let unix = UnixStream::connect(format!("{folder}/.s.PGSQL.{}", config.port)).await?;
        return Ok(Either::Right(Paced::new(unix, pace)));
    }
    let tcp = TcpStream::connect((config.host.as_str(), config.port)).await?;
    // An acknowledgement is a few bytes that must not wait for more.
    tcp.set_nodelay(true)?;
    // A server that is gone without a word is noticed: by what we send, and while there is nothing to send.
    let keepalive = TcpKeepalive::new().with_time(DEAD_AFTER / 2).with_interval(DEAD_AFTER / 6).with_retries(3);
    SockRef::from(&tcp).set_tcp_keepalive(&keepalive)?;
    #[cfg(any(target_os = "linux", target_os = "android"))]
    SockRef::from(&tcp).set_tcp_user_timeout(Some(DEAD_AFTER))?;
    Ok(Either::Left(tls::secure(Paced::new(tcp, pace), config).await?))
}

fn password(config: &PostgresConfig) -> Result<&str, WireError> {
    config.password().ok_or(WireError::NoPassword)
}

/// `md5` and the digest of the salted digest of password and user.
fn md5_response(user: &str, password: &str, salt: &[u8]) -> String {
    let hex = |parts: [&[u8]; 2]| format!("{:x}", Md5::new().chain_update(parts[0]).chain_update(parts[1]).finalize());
    let inner = hex([password.as_bytes(), user.as_bytes()]);
    format!("md5{}", hex([inner.as_bytes(), salt]))
}

pub(super) fn server_error(message: &BackendMessage) -> ServerError {
    let fields = ErrorFields::parse(&message.payload);
    // In whatever language the context is, it names the plugin.
    let by_plugin = fields.where_.is_some_and(|context| context.contains("\"wal2json\""));
    ServerError { by_plugin, ..ServerError::new(fields.code.unwrap_or_default(), fields.message.unwrap_or_default()) }
}

/// A count of columns, then for each its length, or -1 for NULL, and its bytes.
fn row(payload: &[u8]) -> Option<Row> {
    let (count, mut rest) = payload.split_first_chunk::<2>()?;
    let mut columns = vec![];
    for _ in 0..u16::from_be_bytes(*count) {
        let (length, after) = rest.split_first_chunk::<4>()?;
        let Ok(length) = usize::try_from(i32::from_be_bytes(*length)) else {
            columns.push(None);
            rest = after;
            continue;
        };
        let (value, after) = after.split_at_checked(length)?;
        columns.push(Some(String::from_utf8_lossy(value).into_owned()));
        rest = after;
    }
    Some(columns)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_row_is_read() {
        assert_eq!(row(b"\0\x02\0\0\0\x01a\xff\xff\xff\xff"), Some(vec![Some(String::from("a")), None]));
        assert_eq!(row(b"\0\x01\0\0\0\x05a"), None);
    }

    #[test]
    fn the_response_to_md5_is_that_of_the_manual() {
        assert_eq!(md5_response("u", "p", b"salt"), "md5c827f95590aef08f2d04ac5e8d94d9c3");
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes: Vec<u8>) {
            let _ = row(&bytes);
        }
    }
}
