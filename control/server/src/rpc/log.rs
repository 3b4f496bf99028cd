//! What a node ships of its audit log. What is stored here is what verification trusts:
//! the node's own copy could have been signed again by whoever owns the node.

use sqlx::SqliteConnection;
use weir_api::v1::to_data_plane::Message;
use weir_api::v1::{self, Leaves, LeavesAck};
use weir_audit::log::{Checkpoint, VerifierKey};

use super::session::Session;
use crate::clock::{now, signed, unsigned};
use crate::error::Result;
use crate::metrics::Metrics;
use crate::store::{fleet, leaf, session as sessions};

/// Bytes of a leaf at most: the log's own format limit.
const LEAF_BYTES_MAX: usize = 65_535;

/// Bytes of a vkey or a signed note at most: a name, a key, a few signatures.
const NOTE_BYTES_MAX: usize = 16 << 10;

async fn alert(
    session: &Session,
    tx: &mut SqliteConnection,
    kind: &str,
    detail: &str,
) -> Result<()> {
    tracing::error!(
        node = session.node,
        kind,
        detail,
        "the audit log contradicts itself"
    );
    Metrics::count(&session.app.metrics.alerts, 1);
    leaf::alert(tx, &session.node, kind, detail, now()).await
}

/// Pins the key of the node's log, or notices that it has changed.
pub(crate) async fn key(session: &Session, vkey: &str) -> Result<()> {
    if vkey.is_empty() || vkey.len() > NOTE_BYTES_MAX {
        return Ok(());
    }
    let mut tx = session.app.store.begin().await?;
    if !fleet::pin_log_key(&mut tx, &session.node, vkey).await? {
        alert(session, &mut tx, "log_key_changed", vkey).await?;
    }
    Ok(tx.commit().await?)
}

/// Stores a signed head and compares it with those before.
pub(crate) async fn checkpoint(session: &Session, said: &v1::Checkpoint) -> Result<()> {
    let mut tx = session.app.store.begin().await?;
    let vkey = fleet::log_key(&mut tx, &session.node).await?;
    match open(said, &vkey) {
        Ok(head) => compare(session, &mut tx, &head, &said.note).await?,
        Err(wrong) => alert(session, &mut tx, "checkpoint_unreadable", &wrong).await?,
    }
    Ok(tx.commit().await?)
}

/// A signed head that the node's pinned key signed.
fn open(said: &v1::Checkpoint, vkey: &str) -> std::result::Result<Checkpoint, String> {
    if said.note.len() > NOTE_BYTES_MAX {
        return Err("longer than any note".to_owned());
    }
    let key = VerifierKey::parse(vkey).map_err(|error| format!("the node's log key: {error}"))?;
    let head = Checkpoint::open(&said.note, &key).map_err(|error| error.to_string())?;
    if head.origin == said.origin {
        Ok(head)
    } else {
        Err("another origin than the message says".to_owned())
    }
}

async fn compare(
    session: &Session,
    tx: &mut SqliteConnection,
    head: &Checkpoint,
    note: &[u8],
) -> Result<()> {
    let largest = leaf::largest_head(&mut *tx, &session.node).await?;
    let roots = leaf::roots(&mut *tx, &session.node, head.size).await?;
    let stored = leaf::Head {
        origin: &head.origin,
        size: head.size,
        root: &head.root.0,
        note,
    };
    let is_new = leaf::head_insert(&mut *tx, &session.node, &stored, now()).await?;
    if is_new && !roots.is_empty() {
        let detail = format!("size {} has more than one root", head.size);
        alert(session, tx, "checkpoint_conflict", &detail).await?;
    } else if head.size < largest {
        let detail = format!("size {} after size {largest}", head.size);
        alert(session, tx, "checkpoint_shrunk", &detail).await?;
    }
    Ok(())
}

/// Stores leaves and shows them as sessions. Those that are stored already must be the
/// same; a gap is answered with where to go on.
pub(crate) async fn leaves(session: &Session, leaves: Leaves) -> Result<()> {
    let mut tx = session.app.store.begin().await?;
    let mut next = leaf::next(&mut tx, &session.node).await?;
    let before = next;
    let first = signed(leaves.first_index);
    for (offset, bytes) in (0i64..).zip(&leaves.leaf) {
        let index = first.saturating_add(offset);
        if index > next || bytes.len() > LEAF_BYTES_MAX {
            break;
        }
        if index < next {
            if leaf::get(&mut tx, &session.node, index).await?.as_ref() != Some(bytes) {
                alert(
                    session,
                    &mut tx,
                    "leaf_conflict",
                    &format!("leaf {index} differs from the one stored"),
                )
                .await?;
                break;
            }
            continue;
        }
        leaf::append(&mut tx, &session.node, index, bytes).await?;
        if !sessions::project(&mut tx, &session.node, index, bytes).await? {
            alert(
                session,
                &mut tx,
                "leaf_unreadable",
                &format!("leaf {index} is no record"),
            )
            .await?;
        }
        next += 1;
    }
    tx.commit().await?;
    Metrics::count(&session.app.metrics.leaves, unsigned(next - before));
    session
        .answer(Message::LeavesAck(LeavesAck {
            next_index: unsigned(next),
        }))
        .await;
    Ok(())
}
