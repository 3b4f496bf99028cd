//! `bpf(2)` and the few other calls that have no safe wrapper. The rest of the crate is safe.
#![expect(
    unsafe_code,
    reason = "aya 0.14 has no link update, no pinning of every link type and no map look-up by descriptor alone"
)]

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr::NonNull;
use std::sync::atomic::AtomicU64;

/// Commands of `bpf(2)`, `enum bpf_cmd` in `include/uapi/linux/bpf.h`.
#[derive(Clone, Copy)]
enum Command {
    MapLookup = 1,
    MapUpdate = 2,
    MapDelete = 3,
    MapNextKey = 4,
    ObjPin = 6,
    ObjGet = 7,
    ProgFdById = 13,
    ObjInfo = 15,
    LinkCreate = 28,
    LinkUpdate = 29,
    LinkDetach = 34,
}

/// `union bpf_attr`: larger than any command used here needs, the rest zero.
#[repr(C, align(8))]
struct Attr([u8; 128]);

impl Attr {
    const fn new() -> Self {
        Self([0; 128])
    }

    fn with_u32(mut self, offset: usize, value: u32) -> Self {
        if let Some(place) = self.0.get_mut(offset..offset + 4) {
            place.copy_from_slice(&value.to_ne_bytes());
        }
        self
    }

    fn with_u64(mut self, offset: usize, value: u64) -> Self {
        if let Some(place) = self.0.get_mut(offset..offset + 8) {
            place.copy_from_slice(&value.to_ne_bytes());
        }
        self
    }

    fn with_fd(self, offset: usize, fd: BorrowedFd<'_>) -> Self {
        // Descriptors are never negative.
        self.with_u32(offset, fd.as_raw_fd().cast_unsigned())
    }
}

/// Calls `bpf(2)`.
///
/// # Safety
/// Every pointer in `attr` must be valid for what `command` reads and writes through it.
unsafe fn bpf(command: Command, attr: &Attr) -> io::Result<RawFd> {
    // SAFETY: `attr` is 128 initialised bytes, aligned as the kernel wants; the caller vouches
    // for the pointers inside.
    let answer = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            command as libc::c_long,
            &raw const *attr,
            128_usize,
        )
    };
    if answer < 0 {
        return Err(io::Error::last_os_error());
    }
    RawFd::try_from(answer).map_err(|_| io::Error::from(io::ErrorKind::InvalidData))
}

/// Calls `bpf(2)` for a command that answers with a new descriptor.
///
/// # Safety
/// As for [`bpf`].
unsafe fn bpf_fd(command: Command, attr: &Attr) -> io::Result<OwnedFd> {
    // SAFETY: the caller's.
    let fd = unsafe { bpf(command, attr)? };
    // SAFETY: the command made this descriptor for us alone.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn c_path(path: &Path) -> io::Result<CString> {
    CString::new(path.as_os_str().as_bytes()).map_err(|_| io::ErrorKind::InvalidInput.into())
}

/// Whether a descriptor from a pin may change what it names.
#[derive(Clone, Copy)]
pub(crate) enum Access {
    ReadWrite,
    ReadOnly,
}

pub(crate) fn obj_pin(fd: BorrowedFd<'_>, path: &Path) -> io::Result<()> {
    let path = c_path(path)?;
    let attr = Attr::new().with_u64(0, path.as_ptr() as u64).with_fd(8, fd);
    // SAFETY: the path is a NUL-terminated string that lives until the call returns.
    unsafe { bpf(Command::ObjPin, &attr) }.map(|_| ())
}

/// Detaches a link at once, whoever else still holds it. A pin's removal alone is not enough: the
/// kernel drops what was pinned some time after.
pub(crate) fn link_detach(link: BorrowedFd<'_>) -> io::Result<()> {
    let attr = Attr::new().with_fd(0, link);
    // SAFETY: the command reads a descriptor and follows no pointer.
    unsafe { bpf(Command::LinkDetach, &attr) }.map(|_| ())
}

pub(crate) fn obj_get(path: &Path, access: Access) -> io::Result<OwnedFd> {
    /// `BPF_F_RDONLY`.
    const READ_ONLY: u32 = 1 << 3;
    let path = c_path(path)?;
    let flags = match access {
        Access::ReadWrite => 0,
        Access::ReadOnly => READ_ONLY,
    };
    let attr = Attr::new()
        .with_u64(0, path.as_ptr() as u64)
        .with_u32(12, flags);
    // SAFETY: the path is a NUL-terminated string that lives until the call returns.
    unsafe { bpf_fd(Command::ObjGet, &attr) }
}

pub(crate) fn link_create(
    prog: BorrowedFd<'_>,
    cgroup: BorrowedFd<'_>,
    attach_type: u32,
) -> io::Result<OwnedFd> {
    let attr = Attr::new()
        .with_fd(0, prog)
        .with_fd(4, cgroup)
        .with_u32(8, attach_type);
    // SAFETY: no pointers.
    unsafe { bpf_fd(Command::LinkCreate, &attr) }
}

pub(crate) fn link_update(link: BorrowedFd<'_>, prog: BorrowedFd<'_>) -> io::Result<()> {
    let attr = Attr::new().with_fd(0, link).with_fd(4, prog);
    // SAFETY: no pointers.
    unsafe { bpf(Command::LinkUpdate, &attr) }.map(|_| ())
}

pub(crate) fn prog_fd(id: u32) -> io::Result<OwnedFd> {
    // SAFETY: no pointers.
    unsafe { bpf_fd(Command::ProgFdById, &Attr::new().with_u32(0, id)) }
}

/// The kernel's description of a map, program or link, as many bytes as it filled.
pub(crate) fn info(fd: BorrowedFd<'_>) -> io::Result<[u8; 64]> {
    let mut info = [0_u8; 64];
    let attr = Attr::new()
        .with_fd(0, fd)
        .with_u32(4, 64)
        .with_u64(8, info.as_mut_ptr() as u64);
    // SAFETY: the kernel writes at most the 64 bytes that it is told of.
    unsafe { bpf(Command::ObjInfo, &attr)? };
    Ok(info)
}

/// Looks a key up. `value` must have the map's value size (checked by callers against
/// [`info`] when the map is opened).
pub(crate) fn map_lookup(map: BorrowedFd<'_>, key: &[u8], value: &mut [u8]) -> io::Result<()> {
    let attr = Attr::new()
        .with_fd(0, map)
        .with_u64(8, key.as_ptr() as u64)
        .with_u64(16, value.as_mut_ptr() as u64);
    // SAFETY: both slices live until the call returns, and have the map's sizes.
    unsafe { bpf(Command::MapLookup, &attr) }.map(|_| ())
}

pub(crate) fn map_update(map: BorrowedFd<'_>, key: &[u8], value: &[u8]) -> io::Result<()> {
    let attr = Attr::new()
        .with_fd(0, map)
        .with_u64(8, key.as_ptr() as u64)
        .with_u64(16, value.as_ptr() as u64);
    // SAFETY: both slices live until the call returns, and have the map's sizes.
    unsafe { bpf(Command::MapUpdate, &attr) }.map(|_| ())
}

pub(crate) fn map_delete(map: BorrowedFd<'_>, key: &[u8]) -> io::Result<()> {
    let attr = Attr::new().with_fd(0, map).with_u64(8, key.as_ptr() as u64);
    // SAFETY: the key lives until the call returns, and has the map's size.
    unsafe { bpf(Command::MapDelete, &attr) }.map(|_| ())
}

/// The key after `key`, or the first; `None` after the last.
pub(crate) fn map_next_key<const N: usize>(
    map: BorrowedFd<'_>,
    key: Option<&[u8; N]>,
) -> io::Result<Option<[u8; N]>> {
    let mut next = [0_u8; N];
    let attr = Attr::new()
        .with_fd(0, map)
        .with_u64(8, key.map_or(0, |key| key.as_ptr() as u64))
        .with_u64(16, next.as_mut_ptr() as u64);
    // SAFETY: both arrays live until the call returns, and have the map's key size.
    match unsafe { bpf(Command::MapNextKey, &attr) } {
        Ok(_) => Ok(Some(next)),
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Memory of an mmapable array, shared with the kernel and with other processes.
pub(crate) struct Mapping {
    start: NonNull<AtomicU64>,
    words: usize,
}

// SAFETY: the memory is plain words that are only accessed atomically.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps the first `bytes` of the array; `bytes` is a multiple of the page size.
    pub(crate) fn new(map: BorrowedFd<'_>, bytes: usize) -> io::Result<Self> {
        // SAFETY: a new shared mapping of a descriptor; no existing memory is touched.
        let start = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                bytes,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                map.as_raw_fd(),
                0,
            )
        };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let start = NonNull::new(start.cast::<AtomicU64>()).ok_or(io::ErrorKind::InvalidData)?;
        Ok(Self {
            start,
            words: bytes / size_of::<AtomicU64>(),
        })
    }

    /// The mapped words.
    pub(crate) fn words(&self) -> &[AtomicU64] {
        // SAFETY: the mapping has this many words, page-aligned and initialised by the kernel,
        // stays until drop, and every access to it anywhere is by whole aligned words.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.words) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the mapping of `new`, which nothing borrows any more.
        unsafe {
            libc::munmap(
                self.start.as_ptr().cast(),
                self.words * size_of::<AtomicU64>(),
            )
        };
    }
}

/// Mounts a BPF file system; only root may enter.
pub(crate) fn mount_bpf(path: &Path) -> io::Result<()> {
    let path = c_path(path)?;
    let flags = libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC;
    // SAFETY: NUL-terminated strings that live until the call returns.
    let answer = unsafe {
        libc::mount(
            c"bpf".as_ptr(),
            path.as_ptr(),
            c"bpf".as_ptr(),
            flags,
            c"mode=0700".as_ptr().cast(),
        )
    };
    if answer == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Whether a BPF file system is mounted there.
pub(crate) fn is_bpf_fs(path: &Path) -> io::Result<bool> {
    let path = c_path(path)?;
    // SAFETY: `statfs` is plain old data, for which zero is a value.
    let mut stat: libc::statfs = unsafe { std::mem::zeroed() };
    // SAFETY: a NUL-terminated string and a place for the answer, both live.
    if unsafe { libc::statfs(path.as_ptr(), &raw mut stat) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(stat.f_type == libc::BPF_FS_MAGIC)
}

/// `SO_NETNS_COOKIE` of a socket.
pub(crate) fn netns_cookie(socket: BorrowedFd<'_>) -> io::Result<u64> {
    let mut cookie = 0_u64;
    let mut length: libc::socklen_t = 8;
    // SAFETY: a live place of the size that is told.
    let answer = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_NETNS_COOKIE,
            (&raw mut cookie).cast(),
            &raw mut length,
        )
    };
    if answer == 0 {
        Ok(cookie)
    } else {
        Err(io::Error::last_os_error())
    }
}
