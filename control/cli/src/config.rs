//! Where the control plane is and who we are there: environment first, then the file that
//! `weir login` wrote.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::PathBuf;

use anyhow::{Context, bail, ensure};
use serde::{Deserialize, Serialize};

use crate::failure::Failure;

/// What `cli.toml` holds.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    /// The control plane's HTTP address.
    pub(crate) url: String,
    /// The caller's token.
    pub(crate) token: String,
}

fn path() -> anyhow::Result<PathBuf> {
    let base = match (
        std::env::var_os("XDG_CONFIG_HOME"),
        std::env::var_os("HOME"),
    ) {
        (Some(config), _) if !config.is_empty() => PathBuf::from(config),
        (_, Some(home)) if !home.is_empty() => PathBuf::from(home).join(".config"),
        (_, _) => bail!("neither XDG_CONFIG_HOME nor HOME is set; give WEIR_URL and WEIR_TOKEN"),
    };
    Ok(base.join("weir/cli.toml"))
}

impl Config {
    /// Reads environment and file. `url` overrides both.
    pub(crate) fn load(url: Option<String>) -> anyhow::Result<Self> {
        let (env_url, env_token) = (variable("WEIR_URL"), variable("WEIR_TOKEN"));
        let url = url.or(env_url);
        if let (Some(url), Some(token)) = (url.clone(), env_token.clone()) {
            return Ok(Self { url, token });
        }
        let path = path()?;
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let told =
                    "not logged in: run weir login, or set WEIR_URL and WEIR_TOKEN".to_owned();
                return Err(Failure::Denied(told).into());
            }
            Err(error) => return Err(error).with_context(|| format!("read {}", path.display())),
        };
        let mode = std::fs::metadata(&path)
            .with_context(|| format!("stat {}", path.display()))?
            .permissions()
            .mode();
        ensure!(
            mode & 0o077 == 0,
            "{} holds a token and can be read by others; chmod 600 it",
            path.display()
        );
        let stored: Self =
            toml::from_str(&text).with_context(|| format!("read {}", path.display()))?;
        // A token belongs to the control plane that gave it and is shown to no other.
        if let Some(url) = &url
            && env_token.is_none()
            && url.trim_end_matches('/') != stored.url.trim_end_matches('/')
        {
            bail!(
                "the stored token is for {}; run weir login --url {url}, or set WEIR_TOKEN",
                stored.url
            );
        }
        Ok(Self {
            url: url.unwrap_or(stored.url),
            token: env_token.unwrap_or(stored.token),
        })
    }

    /// Writes the file, readable by its owner alone.
    pub(crate) fn store(&self) -> anyhow::Result<PathBuf> {
        let path = path()?;
        let directory = path
            .parent()
            .context("the configuration has no directory")?;
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)
            .with_context(|| format!("make {}", directory.display()))?;
        let fresh = path.with_extension("toml.new");
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&fresh)
            .with_context(|| format!("write {}", fresh.display()))?;
        file.write_all(toml::to_string(self)?.as_bytes())
            .with_context(|| format!("write {}", fresh.display()))?;
        std::fs::rename(&fresh, &path).with_context(|| format!("rename to {}", path.display()))?;
        Ok(path)
    }
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
