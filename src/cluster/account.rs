//! Whose processes a cluster's are: Postgres refuses to run as root, which containers and CI machines like to be.

use std::fs;
use std::os::unix::process::CommandExt;
use std::process::Command;

use super::ClusterError;

/// A user and its group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Account {
    pub(super) user: u32,
    pub(super) group: u32,
}

impl Account {
    /// Whom root runs a cluster as.
    pub(super) fn for_root() -> Result<Self, ClusterError> {
        let accounts = fs::read_to_string("/etc/passwd").unwrap_or_default();
        ["postgres", "nobody"].into_iter().find_map(|name| Self::named(name, &accounts)).ok_or(ClusterError::NoAccount)
    }

    /// Lets a command run as this account; the groups of root do not come along.
    pub(super) fn apply(self, command: &mut Command) {
        command.uid(self.user).gid(self.group);
    }

    /// A line is `name:password:user:group:…`.
    fn named(name: &str, accounts: &str) -> Option<Self> {
        let mut fields = accounts.lines().map(|line| line.split(':')).find_map(|mut fields| (fields.next()? == name).then_some(fields))?;
        Some(Self { user: fields.nth(1)?.parse().ok()?, group: fields.next()?.parse().ok()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_found_by_its_whole_name() {
        let accounts = "root:x:0:0:root:/root:/bin/sh\n\npostgres2:x:7:8::/:/bin/sh\npostgres:x:101:104:Postgres,,,:/var/lib:/bin/sh\n";
        assert_eq!(Account::named("postgres", accounts), Some(Account { user: 101, group: 104 }));
        assert_eq!(Account::named("nobody", accounts), None);
    }

    #[test]
    fn a_broken_line_is_no_account() {
        assert_eq!(Account::named("nobody", "nobody:x:many:0"), None);
        assert_eq!(Account::named("nobody", "nobody"), None);
    }
}
