//! A throwaway Postgres for the demo and the tests: its own data, its own port, gone when it is dropped or when this process ends in whatever way.
//!
//! Everything here blocks and knows no runtime; asynchronous callers wrap it in `spawn_blocking`.

mod account;
mod folder;
mod installation;

use std::fs::{self, File};
use std::io::{self, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Mutex;
use std::thread::sleep;
use std::time::{Duration, Instant};

use account::Account;
use folder::GuardedFolder;
use installation::Installation;

/// The superuser of every cluster. It needs no password.
const SUPERUSER: &str = "postgres";

/// How long the server may take until it accepts connections.
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// How long the server may take to stop. A fast stop waits for replication clients to take what there is; Postgres' own patience with them is a minute.
const STOP_TIMEOUT: Duration = Duration::from_secs(90);

/// How often the server is looked at while it starts or stops.
const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// Another process may take the free port before Postgres does; then another one is tried, so often.
const MAX_PORTS_TRIED: usize = 3;

/// What the server's log says then.
const PORT_TAKEN: &str = "Address already in use";

/// How much of the server's log an error shows.
const LOG_TAIL_LINES: usize = 15;

/// What every cluster is set to, before the caller's own settings.
const SETTINGS: &[(&str, &str)] = &[
    ("wal_level", "logical"),
    ("max_wal_senders", "20"),
    ("max_replication_slots", "20"),
    ("shared_buffers", "16MB"),
    ("fsync", "off"),
    ("listen_addresses", "127.0.0.1"),
    ("log_line_prefix", "%m [%p] %a "),
];

/// Data of a cluster that never ran. A copy takes a tenth of the time of another initdb; its guard removes it when the process ends.
static TEMPLATE: Mutex<Option<Template>> = Mutex::new(None);

/// A Postgres server with data of its own. Dropping it stops the server and removes the data.
#[derive(Debug)]
pub struct Cluster {
    /// Before the folder, so that the server is gone when the folder goes.
    server: Server,
    folder: GuardedFolder,
    program: PathBuf,
    settings: Vec<(String, String)>,
    port: u16,
}

/// How a server is stopped, in `pg_ctl`'s words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopMode {
    /// Ends the sessions, writes a checkpoint.
    Fast,
    /// Ends at once, as in a crash; the next start recovers from the WAL.
    Immediate,
}

/// Why there is no cluster, or not in the state that was asked for.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// There is no server on this machine.
    #[error(
        "found no Postgres server: neither `postgres` and `initdb` on the PATH nor an installation in its usual places \
         (on Debian and Ubuntu: apt-get install postgresql)"
    )]
    NoPostgres,
    /// There is a server, but wal2json is not among its libraries.
    #[error("the Postgres in {} has no wal2json plugin (on Debian and Ubuntu: apt-get install {package})", binaries.display())]
    NoPlugin {
        /// The folder of the server's programs.
        binaries: PathBuf,
        /// The package that has the plugin.
        package: String,
    },
    /// Postgres refuses to run as root, and there is nobody else to run it as.
    #[error("Postgres does not run as root, and /etc/passwd has neither `postgres` nor `nobody` to run it as")]
    NoAccount,
    /// The folder of the cluster could not be made or read.
    #[error("the cluster's folder")]
    Folder(#[source] io::Error),
    /// No port is free on 127.0.0.1.
    #[error("no free port on 127.0.0.1")]
    Port(#[source] io::Error),
    /// A program could not be run at all.
    #[error("cannot run {program}")]
    Run {
        /// What was to be run.
        program: String,
        /// Why it was not.
        source: io::Error,
    },
    /// A program ran, and failed.
    #[error("{program} failed:\n{output}")]
    Failed {
        /// What ran.
        program: String,
        /// What it wrote.
        output: String,
    },
    /// The server ended instead of starting.
    #[error("Postgres did not start; the end of its log:\n{log}")]
    NotStarted {
        /// The last lines of the server's log.
        log: String,
    },
    /// The server did not do what it was asked to in time.
    #[error("Postgres did not {what} within {} seconds; the end of its log:\n{log}", limit.as_secs())]
    TimedOut {
        /// `start` or `stop`.
        what: &'static str,
        /// How long it was waited for.
        limit: Duration,
        /// The last lines of the server's log.
        log: String,
    },
}

impl Cluster {
    /// Makes a cluster and waits until it accepts connections. Later settings overrule earlier ones, and all of ours except the port and the folders.
    ///
    /// Clusters of one process are copies of one template, so they share their system identifier.
    pub fn start(settings: &[(&str, &str)]) -> Result<Self, ClusterError> {
        let (program, folder) = copy_of_template()?;
        let settings = SETTINGS.iter().chain(settings).map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
        let mut cluster = Self { server: Server(None), folder, program, settings, port: 0 };
        let mut ports_tried = 0;
        loop {
            ports_tried += 1;
            cluster.port = free_port().map_err(ClusterError::Port)?;
            match cluster.start_again() {
                Err(ClusterError::NotStarted { log }) if ports_tried < MAX_PORTS_TRIED && log.contains(PORT_TAKEN) => {}
                outcome => return outcome.map(|()| cluster),
            }
        }
    }

    /// Makes a standby of this cluster and waits until it accepts connections. It follows what answers on `port`, which leads to this cluster.
    pub fn standby(&self, port: u16) -> Result<Self, ClusterError> {
        let mut folder = new_folder()?;
        let mut backup = Command::new(self.program("pg_basebackup"));
        backup.args(["-h", self.host(), "-p", &self.port.to_string(), "-U", SUPERUSER, "-X", "stream", "-c", "fast", "--no-sync", "-R"]);
        backup.arg("-D").arg(folder.path().join("data"));
        run(&mut folder, &mut backup)?;
        let primary = format!("host={} port={port} user={SUPERUSER}", self.host());
        let mut settings = self.settings.clone();
        settings.push(("primary_conninfo".to_owned(), primary));
        let port = free_port().map_err(ClusterError::Port)?;
        let mut standby = Self { server: Server(None), folder, program: self.program.clone(), settings, port };
        standby.start_again().map(|()| standby)
    }

    /// Starts the server on its old port and data and waits until it accepts connections. A server that runs is left alone.
    pub fn start_again(&mut self) -> Result<(), ClusterError> {
        if self.is_running() {
            return Ok(());
        }
        let server = self.spawn_server()?;
        let process = server.id();
        self.server = Server(Some(server));
        let deadline = Instant::now() + START_TIMEOUT;
        while !self.accepts_connections(process) {
            if !self.is_running() {
                return Err(ClusterError::NotStarted { log: self.log_tail() });
            }
            if Instant::now() > deadline {
                return Err(ClusterError::TimedOut { what: "start", limit: START_TIMEOUT, log: self.log_tail() });
            }
            sleep(POLL_INTERVAL);
        }
        Ok(())
    }

    /// Stops the server and waits until it is gone; data and port stay. A server that is stopped is left alone.
    pub fn stop(&mut self, mode: StopMode) -> Result<(), ClusterError> {
        let stopped = self.server.stop(mode).map_err(|source| ClusterError::Run { program: "kill".to_owned(), source })?;
        if !stopped {
            return Err(ClusterError::TimedOut { what: "stop", limit: STOP_TIMEOUT, log: self.log_tail() });
        }
        self.folder.unwatch();
        Ok(())
    }

    /// Stops the server and starts it again.
    pub fn restart(&mut self, mode: StopMode) -> Result<(), ClusterError> {
        self.stop(mode)?;
        self.start_again()
    }

    /// The server's address.
    pub fn host(&self) -> &'static str {
        "127.0.0.1"
    }

    /// The server's port, which also names its Unix socket.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The superuser, who needs no password.
    pub fn user(&self) -> &'static str {
        SUPERUSER
    }

    /// The folder of the Unix socket, for use as a host.
    pub fn socket_folder(&self) -> &Path {
        self.folder.path()
    }

    /// The folder of the data.
    pub fn data_folder(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// The URL of a database, whose name is letters, digits and underscores.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://{SUPERUSER}@{}:{}/{database}", self.host(), self.port)
    }

    /// Another program of the same installation.
    pub fn program(&self, name: &str) -> PathBuf {
        self.program.with_file_name(name)
    }

    /// All that the server has logged so far.
    pub fn log(&self) -> Result<String, ClusterError> {
        fs::read(self.log_file()).map(|log| String::from_utf8_lossy(&log).into_owned()).map_err(ClusterError::Folder)
    }

    fn spawn_server(&mut self) -> Result<Child, ClusterError> {
        let log = File::options().create(true).append(true).open(self.log_file()).map_err(ClusterError::Folder)?;
        let errors = log.try_clone().map_err(ClusterError::Folder)?;
        let mut command = Command::new(&self.program);
        command.arg("-D").arg(self.data_folder()).stdout(log).stderr(errors);
        for (name, value) in &self.settings {
            command.arg("-c").arg(format!("{name}={value}"));
        }
        command.arg("-c").arg(format!("unix_socket_directories={}", self.socket_folder().display()));
        command.arg("-c").arg(format!("port={}", self.port));
        self.folder.spawn(&mut command).map_err(|source| ClusterError::Run { program: self.program.display().to_string(), source })
    }

    /// Whether there is a server process. One that ended by itself is taken leave of.
    fn is_running(&mut self) -> bool {
        let running = self.server.is_running();
        if !running {
            self.folder.unwatch();
        }
        running
    }

    /// Whether the server says in its lock file that it is ready: the process is in the first line, the state in the eighth.
    fn accepts_connections(&self, process: u32) -> bool {
        let lock = fs::read_to_string(self.data_folder().join("postmaster.pid")).unwrap_or_default();
        let is_ready = |state: &str| ["ready", "standby"].contains(&state.trim_end());
        lock.lines().next() == Some(process.to_string().as_str()) && lock.lines().nth(7).is_some_and(is_ready)
    }

    fn log_file(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    fn log_tail(&self) -> String {
        let log = self.log().unwrap_or_default();
        let skipped = log.lines().count().saturating_sub(LOG_TAIL_LINES);
        log.lines().skip(skipped).collect::<Vec<_>>().join("\n")
    }
}

/// The server's process, if there is one. Dropping it stops the server.
#[derive(Debug)]
struct Server(Option<Child>);

impl Server {
    fn is_running(&mut self) -> bool {
        // An error means that there is nothing to wait for.
        if let Some(process) = &mut self.0
            && !matches!(process.try_wait(), Ok(None))
        {
            self.0 = None;
        }
        self.0.is_some()
    }

    /// Asks the server to stop and waits for it; false if that took too long.
    fn stop(&mut self, mode: StopMode) -> io::Result<bool> {
        let deadline = Instant::now() + STOP_TIMEOUT;
        if self.is_running()
            && let Some(process) = &self.0
        {
            send(mode.signal(), process.id())?;
        }
        while self.is_running() {
            if Instant::now() > deadline {
                return Ok(false);
            }
            sleep(POLL_INTERVAL);
        }
        Ok(true)
    }
}

impl Drop for Server {
    /// What goes wrong here is left to the folder's guard.
    fn drop(&mut self) {
        self.stop(StopMode::Immediate).ok();
    }
}

impl StopMode {
    fn signal(self) -> &'static str {
        match self {
            Self::Fast => "INT",
            Self::Immediate => "QUIT",
        }
    }
}

/// Data of a cluster that never ran.
struct Template {
    installation: Installation,
    folder: GuardedFolder,
}

impl Template {
    fn make() -> Result<Self, ClusterError> {
        let installation = Installation::find()?;
        let mut folder = new_folder()?;
        let mut initdb = Command::new(installation.initdb());
        initdb.args(["--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync", "--no-instructions", "--username", SUPERUSER]);
        initdb.arg("-D").arg(folder.path().join("data"));
        run(&mut folder, &mut initdb)?;
        let mut settings = File::options().append(true).open(folder.path().join("data/postgresql.conf")).map_err(ClusterError::Folder)?;
        settings.write_all(installation.plugin_settings().as_bytes()).map_err(ClusterError::Folder)?;
        Ok(Self { installation, folder })
    }
}

/// The server's program, and a new folder with data that it can be started on.
fn copy_of_template() -> Result<(PathBuf, GuardedFolder), ClusterError> {
    // A poisoned lock only means that another test failed while it held a template that is either whole or absent.
    let mut template = TEMPLATE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let template = match &mut *template {
        Some(template) => template,
        absent => absent.insert(Template::make()?),
    };
    let mut folder = new_folder()?;
    let mut copy = Command::new("cp");
    copy.arg("-R").arg(template.folder.path().join("data")).arg(folder.path());
    run(&mut folder, &mut copy)?;
    Ok((template.installation.postgres(), folder))
}

fn new_folder() -> Result<GuardedFolder, ClusterError> {
    GuardedFolder::create(Account::for_root)
}

/// Runs a program to its end, which must be a good one, under the eyes of the folder's guard.
fn run(folder: &mut GuardedFolder, command: &mut Command) -> Result<(), ClusterError> {
    let program = command.get_program().display().to_string();
    let child = folder.spawn(command.stdout(Stdio::piped()).stderr(Stdio::piped()));
    let output = child.and_then(Child::wait_with_output);
    folder.unwatch();
    match output {
        Ok(Output { status, .. }) if status.success() => Ok(()),
        Ok(Output { stdout, stderr, .. }) => {
            let output = [String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr)].concat();
            Err(ClusterError::Failed { program, output: output.trim().to_owned() })
        }
        Err(source) => Err(ClusterError::Run { program, source }),
    }
}

/// Sends a signal. The shell has `kill` built in; the program of that name is missing from small images.
fn send(signal: &str, process: u32) -> io::Result<()> {
    let status =
        Command::new("sh").args(["-c", r#"kill -s "$1" "$2""#, "kill", signal, &process.to_string()]).stderr(Stdio::null()).status()?;
    if status.success() { Ok(()) } else { Err(io::Error::other(format!("process {process} took no signal"))) }
}

fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}
