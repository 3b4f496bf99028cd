//! Policies: check, publish, compare, go back.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::json;
use weir_api::http::{
    File, PolicyContent, PolicyDiff, PolicyPush, PolicyPushed, PolicyVersion, Rollback, TestOutcome,
};
use weir_policy::Bundle;

use super::auth::{Caller, Permission};
use crate::app::App;
use crate::check;
use crate::clock::now;
use crate::diff;
use crate::error::{Error, Result};
use crate::limits::{PAGE_MAX, TEXT_BYTES_MAX};
use crate::store::{management, policy};

/// What a bundle is once it was read.
struct Checked {
    id: String,
    files: Vec<File>,
    tests: Vec<TestOutcome>,
}

/// Reads a bundle and runs its tests, off the threads that serve others.
async fn checked(mut files: Vec<File>) -> Result<Checked> {
    check::bounded("files", files.len())?;
    files.sort_unstable();
    if files
        .windows(2)
        .any(|pair| matches!(pair, [a, b] if a.path == b.path))
    {
        return Err(Error::Invalid("the bundle has a file twice".to_owned()));
    }
    let read = tokio::task::spawn_blocking(move || {
        let pairs: Vec<_> = files
            .iter()
            .map(|file| (file.path.clone(), file.content.clone()))
            .collect();
        let bundle = Bundle::parse(&pairs).map_err(|error| Error::Invalid(error.to_string()))?;
        let tests = bundle.run_tests().into_iter().map(outcome).collect();
        Ok(Checked {
            id: bundle.id().to_string(),
            files,
            tests,
        })
    });
    read.await
        .map_err(|error| Error::Internal(anyhow::Error::new(error).context("check a bundle")))?
}

fn outcome(test: weir_policy::TestResult) -> TestOutcome {
    let detail = if test.passed {
        String::new()
    } else {
        format!("expected {}, got {}", test.expected, test.got)
    };
    TestOutcome {
        name: format!("{}: {}", test.file, test.name),
        passed: test.passed,
        detail,
    }
}

/// `POST /api/v1/policy/push`
pub(crate) async fn push(
    State(app): State<Arc<App>>,
    caller: Caller,
    Json(push): Json<PolicyPush>,
) -> Result<(StatusCode, Json<PolicyPushed>)> {
    caller.need(Permission::ManagePolicy)?;
    check::text("message", &push.message)?;
    let bundle = checked(push.files).await?;
    if push.dry_run {
        return Ok((
            StatusCode::OK,
            Json(PolicyPushed {
                id: bundle.id,
                number: None,
                tests: bundle.tests,
            }),
        ));
    }
    if push.message.trim().is_empty() {
        return Err(Error::Invalid(
            "say what changed: the log is read by people".to_owned(),
        ));
    }
    if let Some(failed) = bundle.tests.iter().find(|test| !test.passed) {
        return Err(Error::Invalid(format!(
            "test {:?} fails: {}",
            failed.name, failed.detail
        )));
    }
    let mut tx = app.store.begin().await?;
    let active = policy::active(&mut tx).await?;
    if push.parent.is_some() && push.parent != active {
        return Err(Error::Conflict(format!(
            "version {} is active by now; look at the difference first",
            active.unwrap_or(0)
        )));
    }
    let number = policy::publish(
        &mut tx,
        &bundle.id,
        &bundle.files,
        caller.name(),
        &push.message,
        now(),
    )
    .await?;
    let detail = json!({ "bundle": bundle.id, "message": push.message });
    management::append(
        &mut tx,
        now(),
        caller.name(),
        "policy.push",
        &number.to_string(),
        detail,
    )
    .await?;
    tx.commit().await?;
    app.hub.world_changed();
    Ok((
        StatusCode::CREATED,
        Json(PolicyPushed {
            id: bundle.id,
            number: Some(number),
            tests: bundle.tests,
        }),
    ))
}

/// `POST /api/v1/policy/rollback`: the content is read and tested again; what a newer
/// build would refuse does not come back.
pub(crate) async fn roll_back(
    State(app): State<Arc<App>>,
    caller: Caller,
    Json(rollback): Json<Rollback>,
) -> Result<(StatusCode, Json<PolicyPushed>)> {
    caller.need(Permission::ManagePolicy)?;
    let (version, files) = policy::get(&mut *app.store.reader().await?, rollback.to).await?;
    let because = if rollback.message.trim().is_empty() {
        &version.message
    } else {
        &rollback.message
    };
    let mut message = format!("roll back to {}: {because}", rollback.to);
    if message.len() > TEXT_BYTES_MAX {
        message = format!("roll back to {}", rollback.to);
    }
    let again = PolicyPush {
        files,
        message,
        parent: None,
        dry_run: false,
    };
    push(State(app), caller, Json(again)).await
}

/// `GET /api/v1/policy`: the active version.
pub(crate) async fn current(
    State(app): State<Arc<App>>,
    caller: Caller,
) -> Result<Json<PolicyContent>> {
    caller.need(Permission::ReadState)?;
    let current = policy::current(&mut *app.store.reader().await?).await?;
    let (version, files) = current.ok_or_else(|| {
        Error::NotFound("no policy was published yet; everything is denied".to_owned())
    })?;
    Ok(Json(PolicyContent { version, files }))
}

/// Where to go on.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Before {
    #[serde(default)]
    before: Option<u64>,
}

/// `GET /api/v1/policy/versions?before=`
pub(crate) async fn versions(
    State(app): State<Arc<App>>,
    caller: Caller,
    Query(Before { before }): Query<Before>,
) -> Result<Json<Vec<PolicyVersion>>> {
    caller.need(Permission::ReadState)?;
    Ok(Json(
        policy::list(&mut *app.store.reader().await?, before, PAGE_MAX).await?,
    ))
}

/// `GET /api/v1/policy/versions/{number}`
pub(crate) async fn version(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(number): Path<u64>,
) -> Result<Json<PolicyContent>> {
    caller.need(Permission::ReadState)?;
    let (version, files) = policy::get(&mut *app.store.reader().await?, number).await?;
    Ok(Json(PolicyContent { version, files }))
}

/// What to compare.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Between {
    from: u64,
    to: u64,
}

/// `GET /api/v1/policy/diff?from=&to=`
pub(crate) async fn diff(
    State(app): State<Arc<App>>,
    caller: Caller,
    Query(Between { from, to }): Query<Between>,
) -> Result<Json<Vec<PolicyDiff>>> {
    caller.need(Permission::ReadState)?;
    let mut db = app.store.reader().await?;
    let (_, old) = policy::get(&mut db, from).await?;
    let (_, new) = policy::get(&mut db, to).await?;
    Ok(Json(diff::files(&old, &new)))
}

/// `POST /api/v1/policy/diff`: what a push of these files would change.
pub(crate) async fn diff_with_active(
    State(app): State<Arc<App>>,
    caller: Caller,
    Json(push): Json<PolicyPush>,
) -> Result<Json<Vec<PolicyDiff>>> {
    caller.need(Permission::ReadState)?;
    check::bounded("files", push.files.len())?;
    let active = policy::current(&mut *app.store.reader().await?).await?;
    let old = active.map(|(_, files)| files).unwrap_or_default();
    Ok(Json(diff::files(&old, &push.files)))
}
