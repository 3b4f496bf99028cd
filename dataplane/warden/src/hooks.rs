//! The redirect of this host: cgroups of Weir's own, hooks at the root, and what they are told.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use weir_handover::{CounterReport, HookReport};
use weir_redirect::{
    Cgroup, Glass, GuardAll, Listeners, Place, Redirect, Selector, SelectorKind, Standing,
    cgroup_root, mount_bpffs, netns_cookie,
};

use crate::Config;

/// Where Weir's processes live in the cgroup tree.
#[derive(Clone, Debug)]
pub(crate) struct Cgroups {
    pub(crate) root: PathBuf,
    pub(crate) warden: PathBuf,
    pub(crate) proxy: PathBuf,
    pub(crate) canary: PathBuf,
}

impl Cgroups {
    /// Makes them and enters the warden's.
    pub(crate) fn enter(config: &Config) -> Result<Self> {
        let root = cgroup_root()?;
        let own = root.join(&config.cgroup);
        let [warden, proxy, canary] = ["warden", "proxy", "canary"].map(|name| own.join(name));
        for path in [&warden, &proxy, &canary] {
            fs::create_dir_all(path)
                .with_context(|| format!("mkdir {}: run as root", path.display()))?;
        }
        let procs = warden.join("cgroup.procs");
        fs::write(&procs, "0").with_context(|| format!("enter {}", procs.display()))?;
        Ok(Self {
            root,
            warden,
            proxy,
            canary,
        })
    }
}

/// The installed hooks with the cgroups that are Weir's own.
pub(crate) struct Hooks {
    redirect: Redirect,
    own: Vec<(Cgroup, Standing)>,
    canary: Vec<(Selector, SelectorKind)>,
}

impl Hooks {
    /// Installs or takes over. Guards that are in the kernel stay as they are.
    pub(crate) fn install(
        config: &Config,
        pins: &Path,
        cgroups: &Cgroups,
        canary_port: u16,
    ) -> Result<Self> {
        check_port_range(config)?;
        let mount = pins.parent().context("pin_dir has no parent")?;
        mount_bpffs(mount)?;
        let redirect = Redirect::install(&Place {
            cgroup: cgroups.root.clone(),
            pins: pins.to_owned(),
        })?;
        let cgroup = |path: &Path| Cgroup::at(&cgroups.root, path);
        let own = vec![
            (cgroup(&cgroups.warden)?, Standing::WEIR),
            (cgroup(&cgroups.proxy)?, Standing::WEIR),
            (cgroup(&cgroups.canary)?, Standing::ENFORCE),
        ];
        for (cgroup, standing) in &own {
            redirect.set_cgroup(*cgroup, *standing)?;
        }
        let workers = u16::try_from(config.cpus.len()).context("workers")?;
        for (worker, cpu) in (0..workers).zip(&config.cpus) {
            redirect.set_cpu_worker(*cpu, worker)?;
        }
        redirect.replace_netns(&[netns_cookie(None)?])?;
        redirect.set_listeners(Listeners {
            base_port: config.base_port,
            workers,
            heartbeat_ttl: config.heartbeat_ttl,
        })?;
        let canary: Vec<_> = [IpAddr::V4(Ipv4Addr::LOCALHOST), Ipv6Addr::LOCALHOST.into()]
            .into_iter()
            .filter_map(|ip| Selector::address(ip, canary_port))
            .map(|selector| (selector, SelectorKind::Govern))
            .collect();
        redirect.add_selectors(&canary)?;
        Ok(Self {
            redirect,
            own,
            canary,
        })
    }

    /// Governs these addresses, and the canary's.
    pub(crate) fn govern(&self, selectors: &[Selector]) -> Result<()> {
        let governed = selectors
            .iter()
            .map(|selector| (*selector, SelectorKind::Govern));
        Ok(self.redirect.replace_selectors(
            &governed
                .chain(self.canary.iter().copied())
                .collect::<Vec<_>>(),
        )?)
    }

    /// Guards these cgroups, and the canary's.
    pub(crate) fn guard(&self, all: GuardAll, cgroups: &[(Cgroup, Standing)]) -> Result<()> {
        let cgroups: Vec<_> = self.own.iter().chain(cgroups).copied().collect();
        self.redirect.replace_cgroups(&cgroups)?;
        Ok(self.redirect.set_guard_all(all)?)
    }

    /// Keeps these ports for Weir, besides the redirect's.
    pub(crate) fn reserve(&self, ports: &[u16]) -> Result<()> {
        Ok(self.redirect.replace_ports(ports)?)
    }

    /// What is attached now.
    pub(crate) fn report(&self) -> Result<Vec<HookReport>> {
        let report = |status: weir_redirect::HookStatus| HookReport {
            name: status.hook.program().to_owned(),
            tag: status
                .attached
                .as_ref()
                .map(|attached| attached.tag.clone())
                .unwrap_or_default(),
            cgroup_id: status.attached.map_or(0, |attached| attached.cgroup_id),
        };
        Ok(self.redirect.hooks()?.into_iter().map(report).collect())
    }

    /// What was counted.
    pub(crate) fn counters(&self) -> Result<Vec<CounterReport>> {
        let counters = self.redirect.counters()?;
        Ok(counters
            .iter()
            .map(|(name, value)| CounterReport {
                name: name.to_owned(),
                value,
            })
            .collect())
    }

    /// Whether the glass is broken.
    pub(crate) fn glass_is_broken(&self) -> Result<bool> {
        Ok(self.redirect.glass()? == Glass::Broken)
    }

    /// Descriptors for the proxy: flow store and load board.
    pub(crate) fn descriptors(&self) -> Result<(OwnedFd, OwnedFd)> {
        Ok((
            self.redirect.flow_store_fd()?,
            self.redirect.load_board_fd()?,
        ))
    }
}

/// A listener's port that the kernel could give to any outgoing connection would now and then
/// be taken when Weir starts.
fn check_port_range(config: &Config) -> Result<()> {
    let path = "/proc/sys/net/ipv4/ip_local_port_range";
    let text = fs::read_to_string(path).with_context(|| format!("read {path}"))?;
    let mut bounds = text
        .split_whitespace()
        .filter_map(|bound| bound.parse::<usize>().ok());
    let (Some(first), Some(last)) = (bounds.next(), bounds.next()) else {
        bail!("{path} is {text:?}")
    };
    let (base, end) = (
        usize::from(config.base_port),
        usize::from(config.base_port) + config.cpus.len(),
    );
    ensure!(
        end <= first || base > last,
        "listener ports {base}–{} lie in the range for outgoing connections ({first}–{last}): choose another base_port",
        end - 1
    );
    Ok(())
}

/// Removes the hooks: an explicit act, after which nothing is guarded.
pub fn detach(config: &Config) -> Result<()> {
    let Some(pins) = &config.pins else {
        bail!("the configuration has no redirect")
    };
    Ok(weir_redirect::detach(pins)?)
}

/// Breaks or mends the glass of an installed redirect: an explicit act, told by the status
/// and counted by the programs for as long as it lasts.
pub fn set_glass(config: &Config, glass: Glass) -> Result<()> {
    let Some(pins) = &config.pins else {
        bail!("the configuration has no redirect")
    };
    Ok(Redirect::open(pins)?.set_glass(glass)?)
}
