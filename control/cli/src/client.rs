//! The HTTP API, with errors as [`Failure`]s.

use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use reqwest::{Method, StatusCode, Url};
use serde::Serialize;
use serde::de::DeserializeOwned;
use weir_api::http::ErrorBody;

use crate::config::Config;
use crate::failure::Failure;

/// How long an answer may take: a push checks and tests a bundle before it answers.
const ANSWER_MAX: Duration = Duration::from_secs(60);

/// Bytes of an answer at most: a page of sessions with long statements.
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// A control plane and who we are there.
pub(crate) struct Client {
    http: reqwest::Client,
    base: Url,
    token: String,
}

/// No body.
pub(crate) const NOTHING: Option<&()> = None;

impl Client {
    pub(crate) fn new(config: &Config) -> anyhow::Result<Self> {
        let base: Url = config
            .url
            .parse()
            .with_context(|| format!("{:?} is not a URL", config.url))?;
        let loopback = match base.host_str() {
            Some("localhost") => true,
            Some(host) => host
                .trim_matches(['[', ']'])
                .parse::<std::net::IpAddr>()
                .is_ok_and(|ip| ip.is_loopback()),
            None => false,
        };
        if base.scheme() != "http" || !loopback {
            bail!(
                "{base} is not http on a loopback address: the token would travel without TLS; use a tunnel"
            );
        }
        let http = reqwest::Client::builder()
            .timeout(ANSWER_MAX)
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .context("make an HTTP client")?;
        Ok(Self {
            http,
            base,
            token: config.token.clone(),
        })
    }

    /// Asks and reads the answer's JSON. `path` has no leading slash; `parts` are put
    /// behind it, escaped; then `query`.
    pub(crate) async fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, &str)],
        body: Option<&impl Serialize>,
    ) -> anyhow::Result<T> {
        let text = self.send(method, path, query, body).await?;
        serde_json::from_slice(&text).context("the answer is not what this version of weir expects")
    }

    /// Asks for something to be done that has no answer.
    pub(crate) async fn tell(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, &str)],
        body: Option<&impl Serialize>,
    ) -> anyhow::Result<()> {
        self.send(method, path, query, body).await.map(drop)
    }

    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &[&str]) -> anyhow::Result<T> {
        self.ask(Method::GET, path, &[], NOTHING).await
    }

    async fn send(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, &str)],
        body: Option<&impl Serialize>,
    ) -> anyhow::Result<Vec<u8>> {
        let mut url = self.base.clone();
        url.path_segments_mut()
            .map_err(|()| anyhow!("{} has no path", self.base))?
            .pop_if_empty()
            .extend(["api", "v1"])
            .extend(path);
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let mut request = self.http.request(method, url).bearer_auth(&self.token);
        if let Some(body) = body {
            request = request.json(body);
        }
        let mut answer = request
            .send()
            .await
            .map_err(|error| unreachable(&self.base, &error))?;
        let status = answer.status();
        let mut text = Vec::new();
        while let Some(chunk) = answer.chunk().await.context("read the answer")? {
            if text.len() + chunk.len() > ANSWER_BYTES_MAX {
                bail!("the answer is larger than {ANSWER_BYTES_MAX} bytes");
            }
            text.extend_from_slice(&chunk);
        }
        if status.is_success() {
            Ok(text)
        } else {
            Err(refused(status, &text))
        }
    }
}

fn unreachable(base: &Url, error: &reqwest::Error) -> anyhow::Error {
    let why = if error.is_timeout() {
        "does not answer"
    } else {
        "cannot be reached"
    };
    Failure::NotReady(format!(
        "the control plane at {base} {why}; is weir-control serving?"
    ))
    .into()
}

fn refused(status: StatusCode, text: &[u8]) -> anyhow::Error {
    let message = match serde_json::from_slice::<ErrorBody>(text) {
        Ok(body) => body.message,
        Err(_) => String::from_utf8_lossy(text).trim().to_owned(),
    };
    match status {
        StatusCode::UNAUTHORIZED => Failure::Denied(format!("{message}; run weir login")).into(),
        StatusCode::FORBIDDEN => Failure::Denied(message).into(),
        StatusCode::SERVICE_UNAVAILABLE => Failure::NotReady(message).into(),
        _ => anyhow!("{message}"),
    }
}
