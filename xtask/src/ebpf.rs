//! `cargo xtask ebpf`: builds `ebpf/programs`, strips it, and commits the bytes to
//! `ebpf/redirect/object`; with `--check`, proves that the committed bytes come from the
//! committed source.
//!
//! The same compiler, linker and lock file give the same bytes on every machine: all paths
//! are remapped, and debug information, which differs, is stripped here and not by a tool
//! whose version could differ.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};
use object::build::elf::{Builder, SectionData};
use sha2::{Digest as _, Sha256};

/// The linker whose bytes are committed. It loads the compiler's own LLVM at run time.
const LINKER: &str = "bpf-linker";
/// See [`LINKER`].
const LINKER_VERSION: &str = "0.10.0";

/// What Debian's route fetches and unpacks; nothing is installed.
const DEBIAN_PACKAGES: [&str; 6] = [
    "rustc-web",
    "rust-web-src",
    "libstd-rust-web-dev",
    "libstd-rust-web-1.96",
    "rust-web-llvm",
    "libllvm22",
];

/// Options of `cargo xtask ebpf`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Change nothing; fail unless the committed object is what the committed source compiles to.
    #[arg(long)]
    check: bool,
}

/// Rebuilds or checks the object. Fails with what is missing where it cannot.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let places = Places::new()?;
    let compiler = if arguments.check {
        recorded_compiler(&places)?
    } else {
        any_compiler(&places)?
    };
    say(format_args!("compiler: {}", compiler.version));
    let linker = places.linker()?;
    let object = strip(&build(&places, &compiler, &linker)?)?;
    if arguments.check {
        check(&places, &object)
    } else {
        commit(&places, &compiler, &object)
    }
}

fn say(what: std::fmt::Arguments<'_>) {
    eprintln!("ebpf: {what}");
}

/// Directories that the build uses.
struct Places {
    repository: PathBuf,
    /// Compilers, linker and intermediate files; everything in it can be made again.
    work: PathBuf,
}

impl Places {
    fn new() -> Result<Self> {
        let repository = Path::new(env!("CARGO_MANIFEST_DIR"))
            .parent()
            .context("xtask is in the repository")?;
        let target = env::var_os("CARGO_TARGET_DIR")
            .map_or_else(|| repository.join("target"), PathBuf::from);
        let work = target.join("ebpf-toolchain");
        fs::create_dir_all(&work).with_context(|| format!("mkdir {}", work.display()))?;
        Ok(Self {
            repository: repository.canonicalize()?,
            work: work.canonicalize()?,
        })
    }

    fn committed(&self, name: &str) -> PathBuf {
        self.repository.join("ebpf/redirect/object").join(name)
    }

    /// The linker, installed with the stable toolchain if it is not there yet.
    fn linker(&self) -> Result<PathBuf> {
        let root = self.work.join(format!("{LINKER}-{LINKER_VERSION}"));
        let path = root.join("bin").join(LINKER);
        if !path.exists() {
            say(format_args!(
                "installing {LINKER} {LINKER_VERSION} under {} (about two minutes)",
                root.display()
            ));
            let mut install = cargo();
            install
                .args([
                    "install",
                    LINKER,
                    "--version",
                    LINKER_VERSION,
                    "--locked",
                    "--root",
                ])
                .arg(&root);
            install.env("CARGO_TARGET_DIR", self.work.join("linker-build"));
            finish(&mut install).with_context(|| {
                format!("cannot install {LINKER} {LINKER_VERSION}; `cargo install` needs the crate registry")
            })?;
        }
        Ok(path)
    }
}

/// A compiler that has the source of `core` beside it.
struct Compiler {
    rustc: PathBuf,
    /// Where its shared libraries are, if it is not installed where it expects to be.
    libraries: Option<PathBuf>,
    /// First line of `rustc -vV` and its LLVM.
    version: String,
    /// `rustc --print sysroot`.
    sysroot: PathBuf,
}

impl Compiler {
    /// Asks a compiler for its version; an error if it does not run or has no source.
    fn at(rustc: PathBuf, libraries: Option<PathBuf>) -> Result<Self> {
        let verbose = output(with_libraries(
            Command::new(&rustc).arg("-vV"),
            libraries.as_deref(),
        ))?;
        let llvm = verbose
            .lines()
            .find(|line| line.starts_with("LLVM version"))
            .unwrap_or("LLVM version: unknown");
        let version = format!("{}, {llvm}", verbose.lines().next().unwrap_or_default());
        let sysroot = output(with_libraries(
            Command::new(&rustc).args(["--print", "sysroot"]),
            libraries.as_deref(),
        ))?;
        let sysroot = PathBuf::from(sysroot.trim());
        let source = sysroot.join("lib/rustlib/src/rust/library/core");
        ensure!(
            source.exists(),
            "{version} has no rust-src ({} is missing)",
            source.display()
        );
        Ok(Self {
            rustc,
            libraries,
            version,
            sysroot,
        })
    }
}

type Route = fn(&Places) -> Result<Compiler>;

/// The ways to a compiler, in the order in which they are tried.
const ROUTES: [(&str, Route); 3] = [
    ("$EBPF_RUSTC", from_environment),
    ("nightly", from_rustup),
    ("Debian", from_debian),
];

fn from_environment(_: &Places) -> Result<Compiler> {
    let rustc = env::var_os("EBPF_RUSTC").context("not set")?;
    Compiler::at(rustc.into(), None)
}

fn from_rustup(_: &Places) -> Result<Compiler> {
    let rustc = output(Command::new("rustup").args(["which", "--toolchain", "nightly", "rustc"]))?;
    Compiler::at(rustc.trim().into(), None).context("rustup toolchain install nightly -c rust-src")
}

/// Debian's compiler for its browsers, newer than stable's, unpacked beside the other files.
fn from_debian(places: &Places) -> Result<Compiler> {
    let root = places.work.join("root");
    if !root.join("usr/bin/rustc").exists() {
        unpack_debian(&places.work, &root)?;
    }
    Compiler::at(
        root.join("usr/bin/rustc"),
        Some(root.join("usr/lib/x86_64-linux-gnu")),
    )
}

fn unpack_debian(work: &Path, root: &Path) -> Result<()> {
    let packages = work.join("debs");
    fs::create_dir_all(&packages)?;
    say(format_args!(
        "fetching {} from the distribution's archive",
        DEBIAN_PACKAGES.join(" ")
    ));
    let mut download = Command::new("apt-get");
    finish(download.arg("download").args(DEBIAN_PACKAGES).current_dir(&packages))
        .context("cannot fetch the packages: `apt-get update` first; Debian 12 with its security archive has them")?;
    // Unpacked elsewhere first: half a compiler must not look like one.
    let partial = work.join("root.partial");
    if partial.exists() {
        fs::remove_dir_all(&partial)?;
    }
    for entry in fs::read_dir(&packages)? {
        let package = entry?.path();
        if package
            .extension()
            .is_some_and(|extension| extension == "deb")
        {
            say(format_args!(
                "unpacking {}",
                package.file_name().unwrap_or_default().display()
            ));
            finish(
                Command::new("dpkg-deb")
                    .arg("-x")
                    .arg(&package)
                    .arg(&partial),
            )?;
        }
    }
    fs::rename(&partial, root).context("move the unpacked compiler to its place")
}

/// The first compiler that there is.
fn any_compiler(places: &Places) -> Result<Compiler> {
    let mut missing = Vec::new();
    for (name, route) in ROUTES {
        match route(places) {
            Ok(compiler) => return Ok(compiler),
            Err(error) => missing.push(format!("{name}: {error:#}")),
        }
    }
    bail!("no compiler for eBPF:\n  {}", missing.join("\n  "))
}

/// The compiler that made the committed object: only it can prove anything.
fn recorded_compiler(places: &Places) -> Result<Compiler> {
    let path = places.committed("weir.bpf.o.built-with");
    let record = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
    let wanted = record.lines().next().unwrap_or_default();
    let linker = format!("{LINKER} {LINKER_VERSION}");
    ensure!(
        record.lines().nth(1) == Some(&linker),
        "{} was not linked by {linker}",
        path.display()
    );
    let mut missing = Vec::new();
    for (name, route) in ROUTES {
        match route(places) {
            Ok(compiler) if compiler.version == wanted => return Ok(compiler),
            Ok(compiler) => missing.push(format!("{name}: is {}", compiler.version)),
            Err(error) => missing.push(format!("{name}: {error:#}")),
        }
    }
    bail!(
        "the committed object was built with\n  {wanted}\nwhich is not here:\n  {}",
        missing.join("\n  ")
    )
}

/// The same cargo that runs this, or the one on the path.
fn cargo() -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo")));
    // Whatever was set for the host's build must not reach this one.
    for name in [
        "RUSTFLAGS",
        "CARGO_ENCODED_RUSTFLAGS",
        "RUSTC_WRAPPER",
        "RUSTC_WORKSPACE_WRAPPER",
        "CARGO_BUILD_TARGET",
    ] {
        command.env_remove(name);
    }
    command
}

/// Compiles and links; gives the linked file.
fn build(places: &Places, compiler: &Compiler, linker: &Path) -> Result<PathBuf> {
    let target = places.work.join("build");
    say(format_args!("compiling ebpf/programs"));
    let mut command = cargo();
    command.args([
        "build",
        "--release",
        "--locked",
        "--target",
        "bpfel-unknown-none",
        "-Z",
        "build-std=core",
    ]);
    command
        .arg("--target-dir")
        .arg(&target)
        .current_dir(places.repository.join("ebpf/programs"));
    command
        .env("RUSTC", &compiler.rustc)
        .env("RUSTC_BOOTSTRAP", "1");
    command.env(
        "CARGO_ENCODED_RUSTFLAGS",
        flags(places, compiler)?.join("\u{1f}"),
    );
    command.env("PATH", prepend(linker.parent(), "PATH")?);
    finish(with_libraries(&mut command, compiler.libraries.as_deref()))
        .context("ebpf/programs does not compile")?;
    Ok(target.join("bpfel-unknown-none/release/weir"))
}

/// Flags of the compiler, with every path of this machine replaced.
fn flags(places: &Places, compiler: &Compiler) -> Result<Vec<String>> {
    let cargo_home = env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| env::home_dir().map(|home| home.join(".cargo")))
        .context("neither CARGO_HOME nor a home directory")?;
    let source = compiler.sysroot.join("lib/rustlib/src/rust");
    let mut flags = [
        "-Cdebuginfo=2",
        "-Clink-arg=--btf",
        "-Clink-arg=--log-level=error",
        "--cfg=bpf_target_arch=\"x86_64\"",
    ]
    .map(str::to_owned)
    .to_vec();
    let real_source = source.canonicalize().unwrap_or_else(|_| source.clone());
    for (from, to) in [
        (places.repository.as_path(), "/weir"),
        (cargo_home.as_path(), "/cargo"),
        (real_source.as_path(), "/rust"),
        (source.as_path(), "/rust"),
    ] {
        flags.push(format!("--remap-path-prefix={}={to}", from.display()));
    }
    Ok(flags)
}

fn with_libraries<'a>(command: &'a mut Command, libraries: Option<&Path>) -> &'a mut Command {
    if let Some(libraries) = libraries {
        command.env("LD_LIBRARY_PATH", libraries);
    }
    command
}

fn prepend(first: Option<&Path>, variable: &str) -> Result<OsString> {
    let rest = env::var_os(variable).unwrap_or_default();
    Ok(env::join_paths(
        first
            .map(Path::to_owned)
            .into_iter()
            .chain(env::split_paths(&rest)),
    )?)
}

/// Removes debug information, and with it what differs between machines; BTF stays.
fn strip(linked: &Path) -> Result<Vec<u8>> {
    let data = fs::read(linked).with_context(|| format!("read {}", linked.display()))?;
    let mut builder = Builder::read(data.as_slice()).context("the linker wrote no ELF object")?;
    for section in &mut builder.sections {
        section.delete = section.name.as_slice().starts_with(b".debug_")
            || section.name.as_slice().starts_with(b".rel.debug_");
    }
    builder.delete_orphans();
    // LLVM keeps section names and symbol names in one table; the writer wants two.
    if !builder
        .sections
        .iter()
        .any(|section| matches!(section.data, SectionData::SectionString))
    {
        let names = builder.sections.add();
        names.name = b".shstrtab".as_slice().into();
        names.sh_type = object::elf::SHT_STRTAB;
        names.data = SectionData::SectionString;
    }
    builder.delete_unused_versions();
    let mut stripped = Vec::new();
    builder
        .write(&mut stripped)
        .context("write the stripped object")?;
    Ok(stripped)
}

fn digest(object: &[u8]) -> String {
    Sha256::digest(object)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

fn check(places: &Places, object: &[u8]) -> Result<()> {
    let path = places.committed("weir.bpf.o");
    let committed = fs::read(&path).with_context(|| format!("read {}", path.display()))?;
    let recorded = fs::read_to_string(places.committed("weir.bpf.o.sha256"))?;
    ensure!(
        digest(&committed) == recorded,
        "{} is not what its .sha256 says",
        path.display()
    );
    ensure!(
        committed == object,
        "the committed object is not what the source compiles to:\n  committed {} ({} bytes)\n  compiled  {} ({} bytes)\nrun `cargo xtask ebpf` and commit what it writes",
        recorded,
        committed.len(),
        digest(object),
        object.len()
    );
    say(format_args!(
        "the committed object comes from the committed source: {recorded}, {} bytes",
        object.len()
    ));
    Ok(())
}

fn commit(places: &Places, compiler: &Compiler, object: &[u8]) -> Result<()> {
    let digest = digest(object);
    let record = format!("{}\n{LINKER} {LINKER_VERSION}\n", compiler.version);
    for (name, content) in [
        ("weir.bpf.o", object),
        ("weir.bpf.o.sha256", digest.as_bytes()),
        ("weir.bpf.o.built-with", record.as_bytes()),
    ] {
        let path = places.committed(name);
        fs::write(&path, content).with_context(|| format!("write {}", path.display()))?;
    }
    say(format_args!(
        "wrote {} ({} bytes, {digest})",
        places.committed("weir.bpf.o").display(),
        object.len()
    ));
    Ok(())
}

/// Runs a command to its end with its output shown.
fn finish(command: &mut Command) -> Result<()> {
    let status = command
        .status()
        .with_context(|| format!("run {}", command.get_program().display()))?;
    ensure!(
        status.success(),
        "{} failed: {status}",
        command.get_program().display()
    );
    Ok(())
}

/// Runs a command and gives what it wrote.
fn output(command: &mut Command) -> Result<String> {
    let output = command
        .output()
        .with_context(|| format!("run {}", command.get_program().display()))?;
    ensure!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(String::from_utf8(output.stdout)?)
}
