//! Reads the configuration, starts the runtime, waits for the work or a signal, and turns the outcome into an exit code.

use std::error::Error;
use std::io::{self, IsTerminal, Write};
use std::pin::pin;
use std::process::{self, ExitCode};

use clap::Parser;
use pgdeltastream::config::{Cli, Command, Config};
use pgdeltastream::demo::{self, DemoError};
use pgdeltastream::listen::{ListenError, listen};
use pgdeltastream::server;
use pgdeltastream::tail::{self, TailError};
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;

/// What a shell says of a program that Ctrl-C ended.
const INTERRUPTED: i32 = 130;

/// Why the program ends with an exit code other than 0.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("not a log filter (--log, RUST_LOG); expected error, warn, info, debug, trace, or module=level")]
    Log(#[from] ParseError),
    #[error("cannot start the runtime")]
    Runtime(#[source] io::Error),
    #[error("cannot wait for signals")]
    Signals(#[source] io::Error),
    #[error(transparent)]
    Listen(#[from] ListenError),
    #[error(transparent)]
    Serve(#[from] server::Error),
    #[error(transparent)]
    Demo(#[from] DemoError),
    #[error(transparent)]
    Tail(#[from] TailError),
}

fn main() -> ExitCode {
    match start(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            report(&failure);
            ExitCode::FAILURE
        }
    }
}

fn start(cli: Cli) -> Result<(), Failure> {
    let filter = EnvFilter::try_new(format!("{},{}", server::QUIET, cli.log()))?;
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).with_ansi(io::stderr().is_terminal()).init();
    Runtime::new().map_err(Failure::Runtime)?.block_on(run(cli))
}

/// Does the work; the first signal asks it to come to its end, the second ends it.
async fn run(cli: Cli) -> Result<(), Failure> {
    let mut signals = Signals::listen().map_err(Failure::Signals)?;
    let shutdown = CancellationToken::new();
    let mut work = pin!(work(cli, shutdown.clone()));
    loop {
        tokio::select! {
            outcome = &mut work => return outcome,
            () = signals.next() => {
                if shutdown.is_cancelled() {
                    process::exit(INTERRUPTED);
                }
                shutdown.cancel();
            }
        }
    }
}

async fn work(cli: Cli, shutdown: CancellationToken) -> Result<(), Failure> {
    match cli.command {
        None => serve(cli.config, shutdown).await,
        Some(Command::Migrate) => Ok(server::migrate(&cli.config).await?),
        Some(Command::Demo) => Ok(demo::run(cli.config, shutdown).await?),
        Some(Command::Tail(settings)) => Ok(tail::run(&cli.config, &settings, shutdown).await?),
    }
}

async fn serve(config: Config, shutdown: CancellationToken) -> Result<(), Failure> {
    let listener = listen(&config.server_host, config.server_port, config.patience.ping_timeout()).await?;
    Ok(server::run(config, listener, shutdown).await?)
}

/// The signals that ask a program to end.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn listen() -> io::Result<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// Tells a person what went wrong and why. Where nobody can read it, nothing is to be done about that.
fn report(failure: &Failure) {
    let mut errors = io::stderr().lock();
    writeln!(errors, "pgdeltastream: {failure}").ok();
    let mut error: &dyn Error = failure;
    while let Some(source) = error.source() {
        writeln!(errors, "  because: {source}").ok();
        error = source;
    }
}
