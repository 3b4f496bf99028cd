use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use aya::programs::{CgroupSockAddr, Program, ProgramFd, SockOps};
use aya::{Ebpf, EbpfLoader, VerifierLogLevel};
use weir_ebpf_abi::ABI_VERSION;

use crate::bpffs::{make_pin_dir, unpin};
use crate::object::OBJECT;
use crate::pins::{self, MAPS, Pins, long, word};
use crate::sys::{self, Access};
use crate::tables::Tables;
use crate::{Error, Hook};

/// `BPF_LINK_TYPE_CGROUP`.
const LINK_TYPE_CGROUP: u32 = 3;

/// Where the redirect is attached and pinned.
#[derive(Clone, Debug)]
pub struct Place {
    /// The cgroup whose sockets meet the hooks: the root, as [`crate::cgroup_root`] finds it.
    /// Anything lower can be dodged and is for tests.
    pub cgroup: PathBuf,
    /// Directory of the pins, on a BPF file system (see [`crate::mount_bpffs`]). Its parent
    /// exists.
    pub pins: PathBuf,
}

/// The installed redirect. Dropping it changes nothing in the kernel.
#[derive(Debug)]
pub struct Redirect {
    pub(crate) pins: Pins,
    pub(crate) tables: Tables,
}

impl Redirect {
    /// Loads this build's programs and puts them in place: pinned links are given the new
    /// programs in one step each (`BPF_LINK_UPDATE`) and keep their maps, so that no connect
    /// goes unguarded and no flow loses its origin; missing links are made and pinned.
    ///
    /// Pins of another ABI version, or that are not what their names say, are refused and
    /// left alone. A fresh redirect guards nobody and redirects nothing until it is told.
    pub fn install(place: &Place) -> Result<Self, Error> {
        let pins = Pins::new(&place.pins);
        make_pin_dir(&place.pins)?;
        check_version(&pins)?;
        check_links(&pins, place)?;
        let mut object = load_object(&pins)?;
        let redirect = Self::of(pins)?;
        redirect.tables.set_version(ABI_VERSION)?;
        let cgroup =
            File::open(&place.cgroup).map_err(Error::system("open", place.cgroup.display()))?;
        for hook in Hook::ALL {
            let program = load_program(&mut object, hook)?;
            put_in_place(&redirect.pins, hook, program, cgroup.as_fd())?;
        }
        Ok(redirect)
    }

    /// Opens what is installed, without changing it.
    pub fn open(pins: &Path) -> Result<Self, Error> {
        let pins = Pins::new(pins);
        if !pins.map(&pins::ABI).exists() {
            return Err(Error::NotInstalled(pins.directory().to_owned()));
        }
        check_version(&pins)?;
        Self::of(pins)
    }

    fn of(pins: Pins) -> Result<Self, Error> {
        Ok(Self {
            tables: Tables::open(&pins)?,
            pins,
        })
    }

    /// A descriptor for a worker's [`crate::FlowStore`]; it can only read.
    pub fn flow_store_fd(&self) -> Result<OwnedFd, Error> {
        self.pins.open_map(&pins::ACCEPTED, Access::ReadOnly)
    }

    /// A descriptor for a worker's [`crate::LoadBoard`].
    pub fn load_board_fd(&self) -> Result<OwnedFd, Error> {
        self.pins.open_map(&pins::LOAD, Access::ReadWrite)
    }
}

/// Removes every hook and map pinned in `pins`, of whichever version. From then on nothing
/// is guarded. Descriptors that others still hold keep the maps, not the hooks.
pub fn detach(pins: &Path) -> Result<(), Error> {
    let pins = Pins::new(pins);
    // What redirects goes first, so that no connect is sent to an accept without an origin.
    for hook in Hook::ALL.iter().rev() {
        let path = pins.link(*hook);
        if path.exists() {
            let link = sys::obj_get(&path, Access::ReadWrite)
                .map_err(Error::system("bpf(BPF_OBJ_GET)", path.display()))?;
            sys::link_detach(link.as_fd())
                .map_err(Error::system("bpf(BPF_LINK_DETACH)", path.display()))?;
        }
        unpin(&path)?;
    }
    for shape in MAPS {
        unpin(&pins.map(shape))?;
    }
    match std::fs::remove_dir(pins.directory()) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::system("rmdir", pins.directory().display())(error))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// The ABI map alone keeps its shape for ever; it says what the other pins are. Version 0 is
/// an installation that was cut short before its first link.
fn check_version(pins: &Pins) -> Result<(), Error> {
    let mismatch = |found| Error::AbiMismatch {
        path: pins.directory().to_owned(),
        found,
        expected: ABI_VERSION,
    };
    if !pins.map(&pins::ABI).exists() {
        let stray = MAPS.iter().any(|shape| pins.map(shape).exists())
            || Hook::ALL.iter().any(|hook| pins.link(*hook).exists());
        return if stray { Err(mismatch(0)) } else { Ok(()) };
    }
    let found = Tables::version(pins)?;
    let cut_short = found == 0 && !Hook::ALL.iter().any(|hook| pins.link(*hook).exists());
    if found == ABI_VERSION || cut_short {
        Ok(())
    } else {
        Err(mismatch(found))
    }
}

/// Each pinned link is the right hook on the right cgroup. A link can outlive its cgroup and
/// then guards nothing.
fn check_links(pins: &Pins, place: &Place) -> Result<(), Error> {
    let cgroup = crate::Cgroup::at(&place.cgroup, &place.cgroup)?;
    for hook in Hook::ALL {
        let path = pins.link(hook);
        if !path.exists() {
            continue;
        }
        let found = link_info(pins, hook)?;
        if found.cgroup_id != cgroup.id() || found.attach_type != hook.attach_type() {
            return Err(Error::ForeignPin {
                path,
                expected: format!("hook {} of cgroup {}", hook.attach_type(), cgroup.id()),
                found: format!("hook {} of cgroup {}", found.attach_type, found.cgroup_id),
            });
        }
    }
    Ok(())
}

/// What the kernel says of a link of type cgroup.
pub(crate) struct LinkInfo {
    pub(crate) prog_id: u32,
    pub(crate) cgroup_id: u64,
    attach_type: u32,
}

/// Reads `struct bpf_link_info` of a pinned link.
pub(crate) fn link_info(pins: &Pins, hook: Hook) -> Result<LinkInfo, Error> {
    let path = pins.link(hook);
    let link = sys::obj_get(&path, Access::ReadWrite)
        .map_err(Error::system("bpf(BPF_OBJ_GET)", path.display()))?;
    let info = sys::info(link.as_fd())
        .map_err(Error::system("bpf(BPF_OBJ_GET_INFO_BY_FD)", path.display()))?;
    let kind = word(&info, 0);
    if kind != LINK_TYPE_CGROUP {
        return Err(Error::ForeignPin {
            path,
            expected: format!("a link of type {LINK_TYPE_CGROUP}"),
            found: format!("type {kind}"),
        });
    }
    Ok(LinkInfo {
        prog_id: word(&info, 8),
        cgroup_id: long(&info, 16),
        attach_type: word(&info, 24),
    })
}

/// Parses the object and creates its maps, or takes the pinned ones.
fn load_object(pins: &Pins) -> Result<Ebpf, Error> {
    let mut loader = EbpfLoader::new();
    loader.verifier_log_level(VerifierLogLevel::STATS);
    for shape in MAPS {
        loader.map_pin_path(shape.name, pins.map(shape));
    }
    loader
        .load(OBJECT)
        .map_err(|error| Error::Object(format!("{error:#?}")))
}

/// Has the kernel verify one program.
fn load_program(object: &mut Ebpf, hook: Hook) -> Result<&ProgramFd, Error> {
    let refused = |what: String| Error::Object(format!("program {}: {what}", hook.program()));
    let program = object
        .program_mut(hook.program())
        .ok_or_else(|| refused("is missing".to_owned()))?;
    let loaded = match hook {
        Hook::SockOps => <&mut SockOps>::try_from(&mut *program).and_then(SockOps::load),
        Hook::Connect4
        | Hook::Connect6
        | Hook::Bind4
        | Hook::Bind6
        | Hook::Sendmsg4
        | Hook::Sendmsg6
        | Hook::Getpeername4
        | Hook::Getpeername6 => {
            <&mut CgroupSockAddr>::try_from(&mut *program).and_then(CgroupSockAddr::load)
        }
    };
    loaded
        .and_then(|()| Program::fd(program))
        .map_err(|error| refused(format!("{error:#?}")))
}

fn put_in_place(
    pins: &Pins,
    hook: Hook,
    program: &ProgramFd,
    cgroup: BorrowedFd<'_>,
) -> Result<(), Error> {
    let path = pins.link(hook);
    if path.exists() {
        let link = sys::obj_get(&path, Access::ReadWrite)
            .map_err(Error::system("bpf(BPF_OBJ_GET)", path.display()))?;
        return sys::link_update(link.as_fd(), program.as_fd())
            .map_err(Error::system("bpf(BPF_LINK_UPDATE)", hook.program()));
    }
    let link = sys::link_create(program.as_fd(), cgroup, hook.attach_type())
        .map_err(Error::system("bpf(BPF_LINK_CREATE)", hook.program()))?;
    sys::obj_pin(link.as_fd(), &path).map_err(Error::system("bpf(BPF_OBJ_PIN)", path.display()))
}
