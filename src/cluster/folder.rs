//! A folder that outlives nobody. A small shell, the guard, waits for the end of its input, whose other end this process holds: when we end, by whatever
//! death, it ends what runs in the folder and removes it.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::ClusterError;
use super::account::Account;

/// The guard. Each line of its input is the process group to end, or nothing; removing is tried again while a dying program still writes.
const GUARD: &str = r#"
group=
while read -r line; do group=$line; done
tries=100
if [ "$group" ] && kill -s QUIT -- "-$group"; then
    while kill -s 0 -- "-$group" && [ "$((tries -= 1))" -gt 0 ]; do sleep 0.1; done
    kill -s KILL -- "-$group"
fi
until rm -rf "$1" || [ "$((tries -= 1))" -le 0 ]; do sleep 0.1; done
"#;

/// The longest path of a Unix socket that all systems take, less `/.s.PGSQL.65535`.
const MAX_PATH_BYTES: usize = 103 - 15;

/// A new folder, removed when this is dropped or this process ends.
#[derive(Debug)]
pub(super) struct GuardedFolder {
    folder: TempDir,
    guard: Child,
    account: Option<Account>,
}

impl GuardedFolder {
    /// Makes the folder. Root gives it to the account that its programs will run as.
    pub(super) fn create(for_root: impl FnOnce() -> Result<Account, ClusterError>) -> Result<Self, ClusterError> {
        let folder = tempfile::Builder::new().prefix("pgdeltastream-").tempdir_in(parent()).map_err(ClusterError::Folder)?;
        let owner = fs::metadata(folder.path()).map_err(ClusterError::Folder)?.uid();
        let account = if owner == 0 { Some(for_root()?) } else { None };
        if let Some(Account { user, group }) = account {
            chown(folder.path(), Some(user), Some(group)).map_err(ClusterError::Folder)?;
        }
        let mut command = Command::new("sh");
        command.args(["-c", GUARD, "guard"]).arg(folder.path()).current_dir("/");
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let guard = spawn(&mut command, account).map_err(|source| ClusterError::Run { program: "sh".to_owned(), source })?;
        Ok(Self { folder, guard, account })
    }

    pub(super) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Starts a program that the guard ends if we cannot: one at a time.
    pub(super) fn spawn(&mut self, command: &mut Command) -> io::Result<Child> {
        let child = spawn(command.stdin(Stdio::null()).current_dir(self.path()), self.account)?;
        self.tell_guard(&child.id().to_string());
        Ok(child)
    }

    /// Tells the guard that the program has ended.
    pub(super) fn unwatch(&mut self) {
        self.tell_guard("");
    }

    /// A guard that somebody killed cannot be told anything, and this is no reason to fail.
    fn tell_guard(&mut self, group: &str) {
        if let Some(input) = &mut self.guard.stdin {
            writeln!(input, "{group}").ok();
        }
    }
}

impl Drop for GuardedFolder {
    /// Lets the guard do its work, and does it once more in case somebody killed the guard: that is what dropping `folder` is.
    fn drop(&mut self) {
        self.guard.stdin = None;
        self.guard.wait().ok();
    }
}

/// Starts a program in a process group of its own: Ctrl-C in a terminal is for us, who stop it in good order.
fn spawn(command: &mut Command, account: Option<Account>) -> io::Result<Child> {
    if let Some(account) = account {
        account.apply(command);
    }
    command.process_group(0).spawn()
}

/// Where folders are made: where temporary files go, unless the path is too long for a socket or leads through a folder of root's own, where `postgres` may not look.
fn parent() -> PathBuf {
    let usual = tempfile::env::temp_dir();
    let room = MAX_PATH_BYTES.saturating_sub("/pgdeltastream-123456".len());
    let is_roots_own = |folder: &Path| fs::metadata(folder).is_ok_and(|folder| folder.uid() == 0 && folder.mode() & 0o001 == 0);
    if usual.as_os_str().len() > room || usual.ancestors().any(is_roots_own) { PathBuf::from("/tmp") } else { usual }
}
