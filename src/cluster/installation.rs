//! Finds the programs of a Postgres server on this machine, and whether wal2json is among its libraries.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::ClusterError;

/// Where packages put their versions: a folder, what a version's name begins with in it, and where its programs are from there.
const PLACES: &[(&str, &str, &str)] = &[
    ("/usr/lib/postgresql", "", "bin"),
    ("/usr", "pgsql-", "bin"),
    ("/opt/homebrew/opt", "postgresql@", "bin"),
    ("/usr/local/opt", "postgresql@", "bin"),
    ("/Applications/Postgres.app/Contents/Versions", "", "bin"),
];

/// The server programs of one version of Postgres.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Installation {
    binaries: PathBuf,
}

impl Installation {
    /// The first of these that has wal2json: the one on the PATH, then the packaged ones, newest first.
    pub(super) fn find() -> Result<Self, ClusterError> {
        let packaged = PLACES.iter().flat_map(|(folder, prefix, binaries)| versions(Path::new(folder), prefix, binaries));
        Self::choose(on_path().into_iter().chain(packaged))
    }

    /// The program that makes a cluster's data.
    pub(super) fn initdb(&self) -> PathBuf {
        self.binaries.join("initdb")
    }

    /// The server.
    pub(super) fn postgres(&self) -> PathBuf {
        self.binaries.join("postgres")
    }

    /// Settings without which this server refuses the plugin: releases since August 2026 have a list of those that they take.
    pub(super) fn plugin_settings(&self) -> &'static str {
        let settings = self.ask("postgres", "--describe-config").unwrap_or_default();
        if settings.contains("output_plugin_libraries") { "output_plugin_libraries = 'pgoutput, test_decoding, wal2json'\n" } else { "" }
    }

    fn choose(folders: impl Iterator<Item = PathBuf>) -> Result<Self, ClusterError> {
        let installations = folders.map(|binaries| Self { binaries }).filter(Self::is_complete);
        let mut first_without_plugin = None;
        for installation in installations {
            if installation.has_plugin() {
                return Ok(installation);
            }
            first_without_plugin.get_or_insert(installation);
        }
        Err(first_without_plugin.map_or(ClusterError::NoPostgres, Self::lacks_plugin))
    }

    fn is_complete(&self) -> bool {
        self.initdb().is_file() && self.postgres().is_file()
    }

    fn has_plugin(&self) -> bool {
        let libraries = self.ask("pg_config", "--pkglibdir").map(PathBuf::from).unwrap_or_else(|| self.binaries.join("../lib"));
        ["wal2json.so", "wal2json.dylib"].iter().any(|file| libraries.join(file).is_file())
    }

    fn lacks_plugin(self) -> ClusterError {
        let version = self.ask("postgres", "--version").unwrap_or_default();
        let major = major(&version).unwrap_or("<version>");
        ClusterError::NoPlugin { package: format!("postgresql-{major}-wal2json"), binaries: self.binaries }
    }

    /// What one of its programs says about itself.
    fn ask(&self, program: &str, question: &str) -> Option<String> {
        output_of(Command::new(self.binaries.join(program)).arg(question))
    }
}

/// The folder that `postgres` on the PATH really is in.
fn on_path() -> Option<PathBuf> {
    let program = output_of(Command::new("sh").args(["-c", "command -v postgres"]))?;
    Some(fs::canonicalize(program).ok()?.parent()?.to_owned())
}

/// The versions' program folders, newest first.
fn versions(folder: &Path, prefix: &str, binaries: &str) -> Vec<PathBuf> {
    let mut versions: Vec<(u32, PathBuf)> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let number = entry.file_name().to_str()?.strip_prefix(prefix)?.parse().ok()?;
            Some((number, entry.path().join(binaries)))
        })
        .collect();
    versions.sort_unstable_by(|one, other| other.cmp(one));
    versions.into_iter().map(|(_, binaries)| binaries).collect()
}

/// The major version in `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)`; a beta is `19beta1`.
fn major(version: &str) -> Option<&str> {
    let number = version.split_once(") ")?.1;
    let end = number.find(|character: char| !character.is_ascii_digit()).unwrap_or(number.len());
    number.get(..end).filter(|digits| !digits.is_empty())
}

fn output_of(command: &mut Command) -> Option<String> {
    let output = command.output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8(output.stdout).ok()?.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    /// An installation as packages lay it out, with programs that only know their version.
    fn install(place: &Path, version: &str, with_plugin: bool) -> PathBuf {
        let (binaries, libraries) = (place.join(version).join("bin"), place.join(version).join("lib"));
        fs::create_dir_all(&binaries).unwrap();
        fs::create_dir_all(&libraries).unwrap();
        for program in ["initdb", "postgres"] {
            fs::write(binaries.join(program), format!("#!/bin/sh\necho 'postgres (PostgreSQL) {version}.1 (Debian)'\n")).unwrap();
            fs::set_permissions(binaries.join(program), fs::Permissions::from_mode(0o755)).unwrap();
        }
        if with_plugin {
            fs::write(libraries.join("wal2json.so"), "").unwrap();
        }
        binaries
    }

    #[test]
    fn the_newest_with_the_plugin_is_chosen() {
        let place = tempfile::tempdir().unwrap();
        install(place.path(), "9", true);
        let chosen = install(place.path(), "15", true);
        install(place.path(), "17", false);
        fs::create_dir(place.path().join("18")).unwrap();
        let found = Installation::choose(versions(place.path(), "", "bin").into_iter());
        assert_eq!(found.unwrap().binaries, chosen);
    }

    #[test]
    fn without_the_plugin_its_package_is_named() {
        let place = tempfile::tempdir().unwrap();
        install(place.path(), "16", false);
        let error = Installation::choose(versions(place.path(), "", "bin").into_iter()).unwrap_err();
        assert!(error.to_string().contains("apt-get install postgresql-16-wal2json"), "{error}");
    }

    #[test]
    fn without_a_server_its_package_is_named() {
        let error = Installation::choose(std::iter::empty()).unwrap_err();
        assert!(error.to_string().contains("apt-get install postgresql"), "{error}");
    }

    #[test]
    fn a_version_tells_its_major_number() {
        assert_eq!(major("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)"), Some("15"));
        assert_eq!(major("postgres (PostgreSQL) 19beta1"), Some("19"));
        assert_eq!(major("postgres (PostgreSQL) devel"), None);
    }
}
