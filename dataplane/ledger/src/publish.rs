//! Publishes the tree: tiles and bundles, then the marks, then the checkpoint that others see.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

use tokio::time::Instant;
use tokio_uring::fs::File as UringFile;
use weir_audit::log::{self, CHECKPOINT_PATH, Checkpoint};
use weir_audit::{Position, WorkerId};

use crate::SignedCheckpoint;
use crate::engine::Live;
use crate::files::make_parents;
use crate::layout::unfinished;
use crate::marks::{Mark, Marks, Segments, State};
use crate::sequence::Sequencer;

/// What went wrong with a file.
pub(crate) enum Trouble {
    /// A write: nothing was published; it is tried again.
    Write(String),
    /// A sync: never tried again.
    Sync(String),
}

fn writing(path: &Path) -> impl FnOnce(io::Error) -> Trouble {
    move |error| Trouble::Write(format!("{}: {error}", path.display()))
}

fn syncing(path: &Path) -> impl FnOnce(io::Error) -> Trouble {
    move |error| Trouble::Sync(format!("fsync {}: {error}", path.display()))
}

impl Sequencer {
    /// Writes a file of the log; gives it back where that failed.
    pub(crate) async fn write(
        &mut self,
        file: log::File,
    ) -> Result<log::Tile, (log::File, Trouble)> {
        let log::File { tile, bytes } = file;
        let path = self.setup.layout.log().join(tile.path());
        let out = match self.create(&path) {
            Ok(out) => out,
            Err(trouble) => return Err((log::File { tile, bytes }, trouble)),
        };
        let (result, bytes) = out.write_all_at(bytes, 0).await;
        if let Err(error) = result {
            return Err((log::File { tile, bytes }, writing(&path)(error)));
        }
        self.unsynced.push((path, out));
        Ok(tile)
    }

    fn create(&mut self, path: &Path) -> Result<UringFile, Trouble> {
        let base = self.setup.layout.log();
        make_parents(&base, path, &mut self.directories).map_err(writing(path))?;
        let file = fs::File::create(path).map_err(writing(path))?;
        Ok(UringFile::from_std(file))
    }

    /// Makes the tree durable as it is, then says so: tiles, marks, checkpoint, in this order.
    pub(crate) async fn checkpoint(&mut self, state: State) -> Result<(), Trouble> {
        self.write_files().await?;
        let partials = self.setup.tree.partials();
        for file in partials
            .iter()
            .filter(|file| !self.partials.contains(file))
            .cloned()
            .collect::<Vec<_>>()
        {
            self.write(file).await.map_err(|(_, trouble)| trouble)?;
        }
        self.partials = partials;
        self.sync_files().await?;
        let (marks, obsolete) = self.next_marks(state);
        let layout = self.setup.layout.clone();
        replace(&layout.marks(), marks.sign(&self.setup.signing)).await?;
        self.setup.marks = marks;
        let origin = self.setup.config.origin.clone();
        let checkpoint = Checkpoint {
            origin,
            size: self.setup.marks.size,
            root: self.setup.marks.root,
        };
        let note = checkpoint.sign(&self.setup.signing);
        replace(&layout.log().join(CHECKPOINT_PATH), note.clone()).await?;
        self.published_size = checkpoint.size;
        self.published_at = Instant::now();
        self.publish(&SignedCheckpoint { checkpoint, note });
        self.remove(obsolete);
        Ok(())
    }

    async fn sync_files(&mut self) -> Result<(), Trouble> {
        for (path, file) in std::mem::take(&mut self.unsynced) {
            file.sync_data().await.map_err(syncing(&path))?;
            file.close().await.map_err(syncing(&path))?;
        }
        for path in std::mem::take(&mut self.directories) {
            let directory = fs::File::open(&path).map_err(syncing(&path))?;
            UringFile::from_std(directory)
                .sync_all()
                .await
                .map_err(syncing(&path))?;
        }
        Ok(())
    }

    /// Marks for the tree as it is, and how many segments of each worker they make obsolete.
    fn next_marks(&self, state: State) -> (Marks, Vec<usize>) {
        let mut marks = self.setup.marks.clone();
        (marks.state, marks.size, marks.root) =
            (state, self.setup.tree.size(), self.setup.tree.root());
        let mut obsolete = Vec::new();
        for worker in 0..self.lanes.count() {
            let done = |live: &&Arc<Live>| match state {
                State::Open => live.segment.is_sealed() && live.sequenced() == live.segment.kept(),
                // At the end all are: also those that nobody wrote to.
                State::Clean => live.sequenced() == live.segment.kept(),
            };
            let counted = self.lanes.with(worker, |lane| {
                let count = lane.live.iter().take_while(done).count();
                let first = lane.live.get(count);
                let first = first.map_or(lane.next_ordinal, |live| live.segment.ordinal());
                (count, first, lane.next_ordinal)
            });
            let Some((count, first, end)) = counted else {
                continue;
            };
            let position = marks
                .workers
                .get(&WorkerId(worker))
                .map_or(Position::START, |mark| mark.position);
            let segments = Segments { first, end };
            marks
                .workers
                .insert(WorkerId(worker), Mark { position, segments });
            obsolete.push(count);
        }
        (marks, obsolete)
    }

    fn publish(&mut self, signed: &SignedCheckpoint) {
        if let Err(full) = self.setup.published.try_send(signed.clone()) {
            // The oldest goes. If a reader was quicker, there is room all the same.
            let _ = self.setup.overtaken.try_recv();
            let _ = self.setup.published.try_send(full.into_inner());
        }
        if self.has_what_was_asked_for() {
            self.asked_for.clear();
            for wake in self.askers.drain(..) {
                wake(Ok(signed.clone()));
            }
        }
    }

    /// Removes segments, oldest first, and partial files whose full ones are durable.
    fn remove(&mut self, obsolete: Vec<usize>) {
        for (worker, count) in (0u16..).zip(obsolete) {
            for _ in 0..count {
                let front = self.lanes.with(worker, |lane| lane.live.pop_front());
                let Some(live) = front.flatten() else { break };
                let path = self
                    .setup
                    .layout
                    .segment(WorkerId(worker), live.segment.ordinal());
                if let Err(error) = fs::remove_file(&path) {
                    // Its records are in the tree: a later start skips them.
                    tracing::warn!(path = %path.display(), %error, "unlink");
                }
            }
        }
        for tile in self.completed.drain(..) {
            let path = self.setup.layout.log().join(tile.partials_path());
            match fs::remove_dir_all(&path) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => tracing::warn!(path = %path.display(), %error, "rmdir"),
            }
        }
    }
}

/// Replaces a file as a whole, durably.
async fn replace(path: &Path, text: String) -> Result<(), Trouble> {
    let new = unfinished(path);
    let file = UringFile::from_std(fs::File::create(&new).map_err(writing(&new))?);
    let (result, _) = file.write_all_at(text.into_bytes(), 0).await;
    result.map_err(writing(&new))?;
    file.sync_all().await.map_err(syncing(&new))?;
    file.close().await.map_err(syncing(&new))?;
    fs::rename(&new, path).map_err(writing(path))?;
    let Some(parent) = path.parent() else {
        return Ok(());
    };
    let directory = UringFile::from_std(fs::File::open(parent).map_err(syncing(parent))?);
    directory.sync_all().await.map_err(syncing(parent))
}
