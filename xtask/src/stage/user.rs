//! Users of the operating system.

use std::process::Command;

use anyhow::{Context, Result};

use super::process;
use super::record::{Change, Record};
use crate::step;

/// A user by name and numbers.
#[derive(Clone, Debug)]
pub(crate) struct User {
    /// As in /etc/passwd.
    pub name: String,
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
}

/// Makes a system user without home or shell.
pub(crate) fn make(record: &Record, name: &str) -> Result<User> {
    if let Ok(user) = find(name) {
        return Ok(user);
    }
    record.change(&Change::User(name.to_owned()), || {
        let arguments = [
            "--system",
            "--no-create-home",
            "--user-group",
            "--shell",
            "/usr/sbin/nologin",
            name,
        ];
        step::output("useradd", Command::new("useradd").args(arguments))
    })?;
    find(name)
}

/// Looks a user up.
pub(crate) fn find(name: &str) -> Result<User> {
    let passwd = std::fs::read_to_string("/etc/passwd").context("read /etc/passwd")?;
    let fields = passwd
        .lines()
        .map(|line| line.split(':').collect::<Vec<_>>())
        .find(|fields| fields.first() == Some(&name));
    let fields = fields.with_context(|| format!("there is no user {name}"))?;
    let number = |at: usize| {
        fields
            .get(at)
            .and_then(|field| field.parse().ok())
            .with_context(|| format!("/etc/passwd: {name}"))
    };
    Ok(User {
        name: name.to_owned(),
        uid: number(2)?,
        gid: number(3)?,
    })
}

/// Removes a user that the stage made.
pub(crate) fn remove(name: &str) -> Result<()> {
    let Ok(user) = find(name) else { return Ok(()) };
    // Nobody else ever was this user.
    process::of_user(user.uid)
        .into_iter()
        .for_each(process::kill);
    step::output("userdel", Command::new("userdel").arg(name)).map(|_| ())
}
