//! Takes from this process what it will never need, before it reads a byte from outside.
//!
//! Landlock first: io_uring passes seccomp filters (an `IORING_OP_OPENAT` opened a file
//! that the filter denied to `openat`), but not Landlock. Then seccomp, for what is no file:
//! new programs, other processes, namespaces, kernel modules.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset,
    RulesetAttr, RulesetCreatedAttr, RulesetStatus, Scope,
};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule,
};

/// What stays reachable.
#[derive(Clone, Debug)]
pub struct Reach {
    /// Read and written: journal, log, last known good world.
    pub state: PathBuf,
    /// Read: this process's own scheduling figures.
    pub read: Vec<PathBuf>,
}

/// Confines the whole process. Call before threads are started.
///
/// # Errors
/// The kernel enforces less than everything that is asked for: the caller must not go on.
pub fn confine(reach: &Reach) -> Result<()> {
    landlock(reach).context("Landlock")?;
    seccomp().context("seccomp")
}

fn landlock(reach: &Reach) -> Result<()> {
    // Files are the boundary that must hold; the network and scope rules are enforced where the kernel has them.
    let files = ABI::V3;
    let mut ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::from_all(files))?
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessNet::BindTcp)?
        .scope(Scope::from_all(ABI::V6))?
        .create()?;
    ruleset = ruleset.add_rule(beneath(&reach.state, AccessFs::from_all(files))?)?;
    for path in &reach.read {
        ruleset = ruleset.add_rule(beneath(path, AccessFs::from_read(files))?)?;
    }
    match ruleset.restrict_self()?.ruleset {
        RulesetStatus::FullyEnforced | RulesetStatus::PartiallyEnforced => Ok(()),
        RulesetStatus::NotEnforced => bail!(
            "the kernel does not enforce it; it needs CONFIG_SECURITY_LANDLOCK and landlock in lsm="
        ),
    }
}

fn beneath(path: &Path, access: landlock::BitFlags<AccessFs>) -> Result<PathBeneath<PathFd>> {
    let descriptor = PathFd::new(path).with_context(|| path.display().to_string())?;
    Ok(PathBeneath::new(descriptor, access))
}

/// Calls that start programs, reach into other processes, change namespaces or the kernel.
const NEVER: &[libc::c_long] = &[
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_pidfd_getfd,
    libc::SYS_kcmp,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_fsopen,
    libc::SYS_fsmount,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_setns,
    libc::SYS_unshare,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_kexec_file_load,
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_adjtimex,
    libc::SYS_clock_adjtime,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_open_by_handle_at,
    libc::SYS_name_to_handle_at,
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_setuid,
    libc::SYS_setgid,
    libc::SYS_setreuid,
    libc::SYS_setregid,
    libc::SYS_setresuid,
    libc::SYS_setresgid,
    libc::SYS_setgroups,
    libc::SYS_capset,
    libc::SYS_personality,
    libc::SYS_quotactl,
    libc::SYS_acct,
    libc::SYS_syslog,
    libc::SYS_bpf,
];

/// `BPF_MAP_LOOKUP_ELEM`, the only bpf(2) command that this process needs.
const BPF_MAP_LOOKUP_ELEM: u64 = 1;

fn seccomp() -> Result<()> {
    let mut rules: std::collections::BTreeMap<_, _> =
        NEVER.iter().map(|call| (*call, Vec::new())).collect();
    let other_command = SeccompCondition::new(
        0,
        SeccompCmpArgLen::Dword,
        SeccompCmpOp::Ne,
        BPF_MAP_LOOKUP_ELEM,
    )?;
    rules.insert(libc::SYS_bpf, vec![SeccompRule::new(vec![other_command])?]);
    let refused = SeccompAction::Errno(libc::EPERM.unsigned_abs());
    let filter = SeccompFilter::new(
        rules,
        SeccompAction::Allow,
        refused,
        std::env::consts::ARCH.try_into()?,
    )?;
    let program: BpfProgram = filter.try_into()?;
    seccompiler::apply_filter_all_threads(&program)?;
    Ok(())
}
