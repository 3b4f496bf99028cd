//! How the allocator keeps memory that was freed.
#![expect(unsafe_code, reason = "mallopt has no safe wrapper")]

/// Freed bytes at the end of a thread's heap that stay with the process: what the messages of some
/// clients take at a time, each in several copies.
const KEPT_BYTES: libc::c_int = 16 << 20;

/// An allocation of this size has a mapping of its own, which goes as soon as it is freed: more than
/// any one message takes that comes often.
const MAPPED_BYTES: libc::c_int = 4 << 20;

/// Has freed memory stay with the process. By default, 128 KiB of it make a mapping or the end of
/// a heap go back to the kernel, and each body above that came with fresh pages: a fault and a zeroed
/// page for each 4 KiB of every copy.
pub fn keep_freed() {
    // SAFETY: these take numbers, and no other thread is there yet.
    let taken = unsafe {
        libc::mallopt(libc::M_TRIM_THRESHOLD, KEPT_BYTES)
            & libc::mallopt(libc::M_MMAP_THRESHOLD, MAPPED_BYTES)
    };
    if taken == 0 {
        tracing::warn!("the allocator does not take its settings; large messages cost more");
    }
}
