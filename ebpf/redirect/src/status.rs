use std::fmt::Write as _;
use std::os::fd::AsFd;

use crate::install::link_info;
use crate::{Error, Hook, Redirect, sys};

/// What is attached at a hook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HookStatus {
    /// The hook.
    pub hook: Hook,
    /// The attached program, if there is one.
    pub attached: Option<Attached>,
}

/// A program in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attached {
    /// Id of the program.
    pub prog_id: u32,
    /// The program's tag: a digest of its instructions, in hexadecimal, as bpftool prints it.
    pub tag: String,
    /// Id of the cgroup that it is attached to; 1 is the root, 0 a cgroup that is gone.
    pub cgroup_id: u64,
}

impl Redirect {
    /// What is attached where, as the kernel tells it.
    pub fn hooks(&self) -> Result<Vec<HookStatus>, Error> {
        Hook::ALL
            .into_iter()
            .map(|hook| {
                Ok(HookStatus {
                    hook,
                    attached: self.attached(hook)?,
                })
            })
            .collect()
    }

    fn attached(&self, hook: Hook) -> Result<Option<Attached>, Error> {
        if !self.pins.link(hook).exists() {
            return Ok(None);
        }
        let link = link_info(&self.pins, hook)?;
        let program = sys::prog_fd(link.prog_id)
            .map_err(Error::system("bpf(BPF_PROG_GET_FD_BY_ID)", hook.program()))?;
        let info = sys::info(program.as_fd())
            .map_err(Error::system("bpf(BPF_OBJ_GET_INFO_BY_FD)", hook.program()))?;
        // struct bpf_prog_info: type, id, then eight bytes of tag.
        let tag = info
            .iter()
            .skip(8)
            .take(8)
            .fold(String::new(), |mut text, byte| {
                let _ = write!(text, "{byte:02x}");
                text
            });
        Ok(Some(Attached {
            prog_id: link.prog_id,
            tag,
            cgroup_id: link.cgroup_id,
        }))
    }
}
