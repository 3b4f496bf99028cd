//! The system calls that std does not have. The rest of the crate is safe.
#![expect(
    unsafe_code,
    reason = "pidfds, signals by wait, and dropping privileges between fork and exec have no safe wrapper"
)]

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt as _;
use std::process::Command;

/// Version of the `capset` header that has 64 capabilities (`linux/capability.h`).
const CAPABILITY_VERSION_3: u32 = 0x2008_0522;

fn check(answer: libc::c_int) -> io::Result<()> {
    if answer < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

/// A descriptor of a process, which stays that process whatever becomes of its number.
pub(crate) fn pidfd_open(pid: u32) -> io::Result<OwnedFd> {
    // SAFETY: plain numbers.
    let answer = unsafe { libc::syscall(libc::SYS_pidfd_open, libc::c_long::from(pid), 0) };
    if answer < 0 {
        return Err(io::Error::last_os_error());
    }
    let fd = RawFd::try_from(answer).map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
    // SAFETY: the kernel made it for us alone.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Whether the process of a pidfd still runs.
pub(crate) fn is_running(pidfd: BorrowedFd<'_>) -> io::Result<bool> {
    let mut poll = libc::pollfd {
        fd: pidfd.as_raw_fd(),
        events: libc::POLLIN,
        revents: 0,
    };
    // SAFETY: one live entry.
    let answer = unsafe { libc::poll(&raw mut poll, 1, 0) };
    check(answer)?;
    Ok(answer == 0)
}

/// Ends the process of a pidfd.
pub(crate) fn kill(pidfd: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: plain numbers and a null pointer, which the call allows.
    let answer = unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            pidfd.as_raw_fd(),
            libc::SIGKILL,
            std::ptr::null::<libc::siginfo_t>(),
            0,
        )
    };
    if answer < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

/// Ticks per second of the times in `/proc/PID/stat`.
pub(crate) fn ticks_per_second() -> u64 {
    // SAFETY: a plain number.
    let ticks = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
    u64::try_from(ticks).unwrap_or(100).max(1)
}

/// CPUs that this process may run on, in order.
pub(crate) fn usable_cpus() -> Vec<u32> {
    // SAFETY: `cpu_set_t` is plain old data, for which zero is a value.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: a live place of the size that is told.
    if unsafe { libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &raw mut set) } != 0 {
        return vec![0];
    }
    let bits = u32::try_from(libc::CPU_SETSIZE).unwrap_or(1024);
    // SAFETY: every index is below the set's size.
    (0..bits)
        .filter(|cpu| unsafe { libc::CPU_ISSET(*cpu as usize, &set) })
        .collect()
}

/// Blocks these signals for this thread and every one that it starts, so that
/// [`wait_signal`] gets them. Children of [`Command`] start with none blocked.
pub(crate) fn block_signals(signals: &[libc::c_int]) -> io::Result<()> {
    let set = signal_set(signals);
    // SAFETY: a live set, and a null pointer for the old one, which the call allows.
    let answer =
        unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut()) };
    if answer == 0 {
        Ok(())
    } else {
        Err(io::Error::from_raw_os_error(answer))
    }
}

/// Waits for one of these signals.
pub(crate) fn wait_signal(signals: &[libc::c_int]) -> io::Result<libc::c_int> {
    let set = signal_set(signals);
    let mut signal = 0;
    // SAFETY: a live set and a live place.
    let answer = unsafe { libc::sigwait(&raw const set, &raw mut signal) };
    if answer == 0 {
        Ok(signal)
    } else {
        Err(io::Error::from_raw_os_error(answer))
    }
}

fn signal_set(signals: &[libc::c_int]) -> libc::sigset_t {
    // SAFETY: `sigset_t` is plain old data, and sigemptyset makes it a set.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        for signal in signals {
            libc::sigaddset(&raw mut set, *signal);
        }
        set
    }
}

/// Sets the length of a listening socket's queue.
pub(crate) fn listen(socket: BorrowedFd<'_>, backlog: libc::c_int) -> io::Result<()> {
    // SAFETY: plain numbers.
    check(unsafe { libc::listen(socket.as_raw_fd(), backlog) })
}

/// User and primary group id of a name.
pub(crate) fn user(name: &CStr) -> io::Result<Option<(u32, u32)>> {
    let mut buffer = vec![0_u8; 16 << 10];
    let mut found = std::ptr::null_mut();
    // SAFETY: `passwd` is plain old data, for which zero is a value.
    let mut entry: libc::passwd = unsafe { std::mem::zeroed() };
    // SAFETY: a NUL-terminated name, live places, and a buffer of the length that is told.
    let answer = unsafe {
        libc::getpwnam_r(
            name.as_ptr(),
            &raw mut entry,
            buffer.as_mut_ptr().cast(),
            buffer.len(),
            &raw mut found,
        )
    };
    match answer {
        0 if found.is_null() => Ok(None),
        0 => Ok(Some((entry.pw_uid, entry.pw_gid))),
        error => Err(io::Error::from_raw_os_error(error)),
    }
}

/// Gives a file to a user.
pub(crate) fn chown(path: &CStr, uid: u32, gid: u32) -> io::Result<()> {
    // SAFETY: a NUL-terminated path; links are not followed.
    check(unsafe { libc::lchown(path.as_ptr(), uid, gid) })
}

/// What the child does between fork and exec.
pub(crate) struct Confinement {
    /// `cgroup.procs` of the cgroup to enter.
    pub(crate) procs: Option<CString>,
    /// Left open at this number.
    pub(crate) leave: Option<(OwnedFd, RawFd)>,
    /// User and group to become, without any capability; `None` stays root.
    pub(crate) user: Option<(u32, u32)>,
    /// Most open files.
    pub(crate) files_max: u64,
    /// The executable, kept open until exec.
    pub(crate) executable: OwnedFd,
}

/// Starts a command so confined. The child dies with the thread that starts it.
pub(crate) fn confine(command: &mut Command, confinement: Confinement) {
    // SAFETY: the closure makes only system calls, allocates nothing and takes no lock, as is
    // required between fork and exec in a process with threads.
    unsafe {
        command.pre_exec(move || {
            if let Some(procs) = &confinement.procs {
                enter_cgroup(procs)?;
            }
            if let Some((socket, number)) = &confinement.leave {
                leave_open(
                    socket.as_raw_fd(),
                    *number,
                    confinement.executable.as_raw_fd(),
                )?;
            }
            limit(libc::RLIMIT_CORE, 0);
            limit(libc::RLIMIT_NOFILE, confinement.files_max);
            limit(libc::RLIMIT_MEMLOCK, libc::RLIM_INFINITY);
            if let Some((uid, gid)) = confinement.user {
                drop_privileges(uid, gid)?;
            }
            check(libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL))?;
            Ok(())
        });
    }
}

/// Puts a descriptor at a number. What was there is closed, which must not be the executable.
///
/// # Safety
/// Only for use between fork and exec.
unsafe fn leave_open(fd: RawFd, number: RawFd, executable: RawFd) -> io::Result<()> {
    if executable == number {
        return Err(io::Error::from_raw_os_error(libc::EBUSY));
    }
    // SAFETY: plain numbers.
    unsafe {
        // dup2 onto itself would leave the flag that closes it on exec.
        let answer = if fd == number {
            libc::fcntl(fd, libc::F_SETFD, 0)
        } else {
            libc::dup2(fd, number)
        };
        check(answer)
    }
}

/// # Safety
/// Only for use between fork and exec.
unsafe fn enter_cgroup(procs: &CStr) -> io::Result<()> {
    // SAFETY: a NUL-terminated path and two live bytes.
    unsafe {
        let file = libc::open(procs.as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC);
        check(file)?;
        let written = libc::write(file, c"0".as_ptr().cast(), 1);
        let error = io::Error::last_os_error();
        libc::close(file);
        if written == 1 { Ok(()) } else { Err(error) }
    }
}

/// Raises or lowers a limit as far as the host allows.
fn limit(resource: libc::__rlimit_resource_t, value: u64) {
    let limit = libc::rlimit {
        rlim_cur: value,
        rlim_max: value,
    };
    // SAFETY: a live limit. A value beyond the host's is refused and the old one stays.
    unsafe { libc::setrlimit(resource, &raw const limit) };
}

#[repr(C)]
struct CapabilityHeader {
    version: u32,
    pid: libc::c_int,
}

#[repr(C)]
#[derive(Clone, Copy)]
struct CapabilityData {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// Everything goes: bounding set first, while there is the privilege to drop it; then groups,
/// ids, all capability sets, and the way back (set-user-id programs).
///
/// # Safety
/// Only for use between fork and exec.
unsafe fn drop_privileges(uid: u32, gid: u32) -> io::Result<()> {
    const NONE: CapabilityData = CapabilityData {
        effective: 0,
        permitted: 0,
        inheritable: 0,
    };
    // SAFETY: plain numbers, and live structures of the layout that version 3 names.
    unsafe {
        for capability in 0..64 {
            // Numbers that this kernel does not know are refused, which is fine.
            libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0);
        }
        check(libc::prctl(
            libc::PR_CAP_AMBIENT,
            libc::PR_CAP_AMBIENT_CLEAR_ALL,
            0,
            0,
            0,
        ))?;
        check(libc::setgroups(0, std::ptr::null()))?;
        check(libc::setresgid(gid, gid, gid))?;
        check(libc::setresuid(uid, uid, uid))?;
        let header = CapabilityHeader {
            version: CAPABILITY_VERSION_3,
            pid: 0,
        };
        let data = [NONE; 2];
        if libc::syscall(libc::SYS_capset, &raw const header, data.as_ptr()) != 0 {
            return Err(io::Error::last_os_error());
        }
        check(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    }
}
