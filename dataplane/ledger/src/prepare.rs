//! Segments made ahead, so that a worker waits for a disk only where it outruns it.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::timeout;
use tokio_uring::fs::File as UringFile;
use weir_audit::WorkerId;

use crate::Config;
use crate::engine::{Lanes, Live};
use crate::layout::{Layout, unfinished};
use crate::limits::{SEGMENTS_AHEAD, SPACE_RETRY, ZERO_BYTES};
use crate::segment::{Header, Segment};
use crate::worker::{Phase, Shared};

/// How long the task sleeps where nothing is wanted; it is woken before.
const IDLE: Duration = Duration::from_secs(1);

/// One segment for each worker, before anybody writes.
pub(crate) async fn first(
    layout: &Layout,
    config: &Config,
    shared: &Shared,
    lanes: &Lanes,
) -> Result<(), String> {
    for worker in 0..config.workers {
        one(layout, config, shared, lanes, worker)
            .await
            .map_err(|error| format!("preparing a segment: {error}"))?;
    }
    Ok(())
}

/// Keeps segments ready until the ledger ends.
pub(crate) async fn run(layout: Layout, config: Config, shared: Arc<Shared>, lanes: Lanes) {
    while shared.phase() == Phase::Running {
        let mut pause = IDLE;
        for worker in 0..config.workers {
            let wanted = shared
                .workers
                .get(usize::from(worker))
                .is_some_and(|lane| lane.ready.len() < SEGMENTS_AHEAD);
            if !wanted || shared.phase() != Phase::Running {
                continue;
            }
            let made = one(&layout, &config, &shared, &lanes, worker).await;
            shared.no_space.store(made.is_err(), Ordering::Release);
            match made {
                Ok(()) => pause = Duration::ZERO,
                Err(error) => {
                    tracing::warn!(%error, worker, "no new segment; records are refused when the ones at hand are full");
                    pause = SPACE_RETRY;
                }
            }
        }
        if !pause.is_zero() {
            let _ = timeout(pause, shared.prepare.notified()).await;
            if pause == SPACE_RETRY {
                tokio::time::sleep(SPACE_RETRY).await;
            }
        }
    }
}

async fn one(
    layout: &Layout,
    config: &Config,
    shared: &Shared,
    lanes: &Lanes,
    worker: u16,
) -> io::Result<()> {
    let lost = || io::Error::other("no such worker");
    let ordinal = lanes
        .with(worker, |lane| lane.next_ordinal)
        .ok_or_else(lost)?;
    let header = Header {
        worker: WorkerId(worker),
        ordinal,
        bytes: config.segment_bytes,
    };
    let path = layout.segment(WorkerId(worker), ordinal);
    let new = unfinished(&path);
    let made = make(&new, &path, &layout.segments(), header).await;
    let (segment, file, writer) = match made {
        Ok(made) => made,
        Err(error) => {
            // What there is of it holds no record; it may be gone already.
            let _ = fs::remove_file(&new);
            return Err(error);
        }
    };
    let live = Arc::new(Live::new(segment, file));
    let added = lanes.with(worker, |lane| {
        lane.next_ordinal += 1;
        lane.live.push_back(live);
    });
    added.ok_or_else(lost)?;
    let lane = shared.workers.get(usize::from(worker)).ok_or_else(lost)?;
    lane.ready
        .push(writer)
        .map_err(|_| io::Error::other("too many segments are ready"))
}

/// Reserves the space, writes it (so that syncs need not convert extents: 722 instead of 563
/// a second with one client), and gives the file its name last.
async fn make(
    new: &Path,
    path: &Path,
    directory: &Path,
    header: Header,
) -> io::Result<(Arc<Segment>, File, crate::segment::Writer)> {
    let std_file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(new)?;
    let mapped = std_file.try_clone()?;
    let file = UringFile::from_std(std_file);
    file.fallocate(0, u64::from(header.bytes), 0).await?;
    let mut zeros = vec![0; ZERO_BYTES];
    let mut at = 0;
    while at < u64::from(header.bytes) {
        let left = u64::from(header.bytes) - at;
        // No more than the buffer's length, which is a usize.
        zeros.truncate(left.min(ZERO_BYTES as u64) as usize);
        let written = zeros.len() as u64;
        let (result, back) = file.write_all_at(zeros, at).await;
        result?;
        zeros = back;
        at += written;
    }
    let (result, _) = file.write_all_at(header.page(), 0).await;
    result?;
    file.sync_all().await?;
    file.close().await?;
    fs::rename(new, path)?;
    let directory = UringFile::from_std(File::open(directory)?);
    directory.sync_all().await?;
    directory.close().await?;
    let (segment, writer) = Segment::map(&mapped, header)?;
    Ok((segment, mapped, writer))
}
