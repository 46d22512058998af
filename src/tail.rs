//! `pgdeltastream tail`: prints a stream's messages, one a line, before them the snapshot if it is asked to, and acknowledges what is printed if
//! it is asked to. It is also the smallest complete client.

mod following;
mod pretty;
mod snapshot;

use std::error::Error;
use std::io::{self, Write};
use std::time::Duration;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::{Client, StatusCode};
use serde::Deserialize;
use tokio_util::sync::CancellationToken;

use crate::config::{Config, Tail};
use crate::filter::FilterError;
use crate::listen::authority;

/// How long the service may take to answer: before it does, it may have to wait until Postgres lets go of the slot.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// After so much silence the other end is asked whether it is still there.
const KEEPALIVE: Duration = Duration::from_secs(15);

/// What does not stand for itself in a URL.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

type Source = Box<dyn Error + Send + Sync>;

/// Why the lines ended, if not because they were to.
#[derive(Debug, thiserror::Error)]
pub enum TailError {
    /// Nobody answered at the service's address.
    #[error("no answer from {url}: does the service run there (--serverHost, --serverPort)?")]
    Unreachable {
        /// Where the service was looked for.
        url: String,
        /// What went wrong; none if it took too long.
        source: Option<Source>,
    },
    /// The service refused.
    #[error("the service answers {status}{}{error}", separator(error))]
    Refused {
        /// The status of the answer.
        status: StatusCode,
        /// What the answer says.
        error: String,
    },
    /// The service ended the stream.
    #[error("the service closed the stream with {code}{}{reason}", separator(reason))]
    Closed {
        /// The close frame's code.
        code: u16,
        /// The close frame's reason.
        reason: String,
    },
    /// The connection ended without a word.
    #[error("the connection was lost")]
    Lost {
        /// What went wrong, if that is known.
        source: Option<Source>,
    },
    /// What answers is no service of ours, or one of another time.
    #[error("the answer of the service makes no sense to this version")]
    Strange(#[from] serde_json::Error),
    /// The tables that were asked for cannot be.
    #[error("{0} (--tables, --excludeTables)")]
    Tables(#[from] FilterError),
    /// It was to end before all rows were there.
    #[error("stopped in the middle of the snapshot: not all of its rows are printed")]
    Interrupted,
    /// The lines could not be printed.
    #[error("cannot print")]
    Print(#[source] io::Error),
}

impl TailError {
    fn lost(source: impl Into<Source>) -> Self {
        Self::Lost { source: Some(source.into()) }
    }
}

/// Prints lines until the limit, the end of the stream, the end of whoever reads them, or a shutdown.
pub async fn run(config: &Config, tail: &Tail, shutdown: CancellationToken) -> Result<(), TailError> {
    let service = authority(&config.server_host, config.server_port);
    if tail.snapshot {
        let read = shutdown.run_until_cancelled(snapshot::print_rows(&service, tail)).await;
        if read.unwrap_or(Err(TailError::Interrupted))? == Reader::Gone {
            return Ok(());
        }
    }
    if tail.limit == Some(0) {
        return Ok(());
    }
    following::follow(&service, tail, &shutdown).await
}

fn client() -> reqwest::Result<Client> {
    Client::builder().no_proxy().connect_timeout(ANSWER_TIMEOUT).tcp_keepalive(KEEPALIVE).build()
}

/// Whether anybody reads what is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reader {
    There,
    /// As after `| head -3`.
    Gone,
}

/// Prints lines and sees them off.
fn print(lines: &[u8]) -> Result<Reader, TailError> {
    let mut output = io::stdout().lock();
    match output.write_all(lines).and_then(|()| output.flush()) {
        Ok(()) => Ok(Reader::There),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Reader::Gone),
        Err(error) => Err(TailError::Print(error)),
    }
}

/// A query string.
fn query(parameters: &[(&str, &str)]) -> String {
    let parameter = |(name, value): &(&str, &str)| format!("{name}={}", utf8_percent_encode(value, RESERVED));
    parameters.iter().map(parameter).collect::<Vec<_>>().join("&")
}

/// Reads the `error` of an answer, which every refusal of the service has; something else may listen there, and is shown as it is.
fn refusal(status: StatusCode, body: &[u8]) -> TailError {
    #[derive(Deserialize)]
    struct Refusal {
        error: String,
    }
    let error = match serde_json::from_slice(body) {
        Ok(Refusal { error }) => error,
        Err(_) => String::from_utf8_lossy(body).into_owned(),
    };
    TailError::Refused { status, error }
}

/// What stands before a text that may be missing.
fn separator(text: &str) -> &'static str {
    if text.is_empty() { "" } else { ": " }
}
