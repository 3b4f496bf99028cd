//! Memory that the kernel shares: mapped, owned, unmapped once.
#![expect(unsafe_code, reason = "mmap has no safe wrapper in std")]

use std::io;

/// A mapping of its own, so that no allocator ever hands the kernel's target to others.
pub(crate) struct Mapping {
    start: *mut u8,
    bytes: usize,
}

impl Mapping {
    /// Zeroed private memory.
    pub(crate) fn anonymous(bytes: usize) -> io::Result<Self> {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        // SAFETY: a mapping at an address of the kernel's choice touches no memory in use.
        let start = unsafe { libc::mmap(std::ptr::null_mut(), bytes, protection, flags, -1, 0) };
        if start == libc::MAP_FAILED {
            let error = io::Error::last_os_error();
            return Err(io::Error::new(error.kind(), format!("mmap: {error}")));
        }
        Ok(Self {
            start: start.cast(),
            bytes,
        })
    }

    /// Its first byte; page-aligned.
    pub(crate) const fn start(&self) -> *mut u8 {
        self.start
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: exactly what `new` mapped; whoever uses a part of it keeps this value.
        unsafe { libc::munmap(self.start.cast(), self.bytes) };
    }
}
