//! Ctrl-C and SIGTERM take the stage down before they end the program.

use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};

use anyhow::{Result, bail};

use super::record::Record;

/// The status of a program that SIGINT ended, as shells tell it.
const INTERRUPTED: i32 = 130;

/// With what status the next interrupt ends the program.
static STATUS: AtomicI32 = AtomicI32::new(INTERRUPTED);

/// Everything is being undone.
static IS_OVER: AtomicBool = AtomicBool::new(false);

/// Returns unless everything is being undone: then nothing new begins any more.
pub(crate) fn pass() {
    while IS_OVER.load(Ordering::Acquire) {
        std::thread::park();
    }
}

/// Does nothing more until it is interrupted, which from now on is the usual end.
pub(crate) fn stay(status: i32) -> ! {
    STATUS.store(status, Ordering::Release);
    loop {
        std::thread::park();
    }
}

/// From now on, SIGINT and SIGTERM undo what the record holds, and end the program.
pub(crate) fn undo_on_interrupt(record: Record) -> Result<()> {
    let set = blocked()?;
    std::thread::Builder::new()
        .name("interrupt".to_owned())
        .spawn(move || {
            await_one(&set);
            IS_OVER.store(true, Ordering::Release);
            println!("\ntaking everything down");
            if let Err(error) = record.undo() {
                eprintln!("{error:#}");
            }
            std::process::exit(STATUS.load(Ordering::Acquire));
        })?;
    Ok(())
}

/// Blocks both signals in this thread and in those that it starts later. The standard library
/// unblocks them in children.
#[expect(unsafe_code, reason = "the standard library knows no signals")]
fn blocked() -> Result<libc::sigset_t> {
    // SAFETY: sigset_t is plain data; sigemptyset initialises it; each call gets valid pointers
    // to it, and the last one may have none for the old mask.
    let (set, status) = unsafe {
        let mut set = std::mem::zeroed();
        libc::sigemptyset(&mut set);
        libc::sigaddset(&mut set, libc::SIGINT);
        libc::sigaddset(&mut set, libc::SIGTERM);
        let status = libc::pthread_sigmask(libc::SIG_BLOCK, &set, std::ptr::null_mut());
        (set, status)
    };
    if status != 0 {
        bail!(
            "pthread_sigmask: {}",
            std::io::Error::from_raw_os_error(status)
        );
    }
    Ok(set)
}

#[expect(unsafe_code, reason = "the standard library knows no signals")]
fn await_one(set: &libc::sigset_t) {
    let mut signal = 0;
    // SAFETY: both pointers are to live values of the right type.
    unsafe {
        libc::sigwait(set, &mut signal);
    }
}
