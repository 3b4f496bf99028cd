//! Who there is: accounts, the operating system's users behind them, and what names them.

use anyhow::Result;

use super::caller::Caller;
use super::control::{Control, Hand};
use super::record::Record;
use super::site::{Site, cgroup_root};
use super::user;

/// The people of a stage.
pub(crate) struct People {
    /// An engineer, who sees personal data masked. In group dba too, which must not help her
    /// with requests of her own.
    pub alice: Person,
    /// An engineer who may read personal data.
    pub bo: Person,
    /// Who approves: dba and support lead. No process of hers runs here.
    pub dana: Hand,
    /// The Postgres secret of the service `reports`, for which alice answers.
    pub reports_secret: String,
}

/// One of them.
pub(crate) struct Person {
    /// `weir` in this person's hand.
    pub hand: Hand,
    /// Commands in the guarded cgroup.
    pub guarded: Caller,
    /// The same commands outside of it.
    pub unguarded: Caller,
}

impl People {
    /// Makes them.
    pub(crate) fn make(record: &Record, site: Site, control: &Control) -> Result<Self> {
        let admin = control.admin();
        let alice = person(
            record,
            site,
            control,
            "alice",
            &["engineering", "dba"],
            &["engineering"],
        )?;
        let readers = ["engineering", "pii-readers"];
        let bo = person(record, site, control, "bo", &readers, &readers)?;
        admin.run(&[
            "account",
            "add",
            "dana",
            "--group",
            "dba",
            "--group",
            "support-leads",
        ])?;
        let dana = control.hand(&admin.token("dana", "api")?);
        admin.run(&[
            "account",
            "add",
            "reports",
            "--service",
            "--owner",
            "alice",
            "--group",
            "engineering",
        ])?;
        let made = admin.json(&["account", "secret", "reports"])?;
        let reports_secret = made["secret"].as_str().unwrap_or_default().to_owned();
        Ok(Self {
            alice,
            bo,
            dana,
            reports_secret,
        })
    }
}

/// An account with these groups, and a user of this host whose processes have those.
fn person(
    record: &Record,
    site: Site,
    control: &Control,
    name: &str,
    account_groups: &[&str],
    process_groups: &[&str],
) -> Result<Person> {
    let admin = control.admin();
    let user = user::make(record, &site.user(name))?;
    admin.run(&with_groups(&["account", "add", name], account_groups))?;
    let uid = user.uid.to_string();
    admin.run(&with_groups(
        &[
            "workload", "add", &user.name, "--uid", &uid, "--owner", name,
        ],
        process_groups,
    ))?;
    let cgroup = cgroup_root()?.join(site.name);
    Ok(Person {
        hand: control.hand(&admin.token(name, "api")?),
        guarded: Caller::inside(user.clone(), cgroup),
        unguarded: Caller::outside(user),
    })
}

fn with_groups<'a>(words: &[&'a str], groups: &[&'a str]) -> Vec<&'a str> {
    words
        .iter()
        .copied()
        .chain(groups.iter().flat_map(|group| ["--group", group]))
        .collect()
}
