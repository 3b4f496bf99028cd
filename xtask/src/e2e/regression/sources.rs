//! The tests' sources: Debian's source package of the very server that is installed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::stage::bin;
use crate::step;

/// What says that a folder is whole.
const WHOLE: &str = "whole";

/// Modules of the server's that some tests load beside their own.
const MODULES: [&str; 2] = ["autoinc.so", "refint.so"];

/// A suite of tests with a runner of its own.
pub(super) struct Part {
    /// Its folder in the source tree, and below [`fetch`].
    pub name: &'static str,
    runner: &'static str,
    /// The order in which its tests run, a file in its folder.
    pub schedule: &'static str,
    /// The database that its runner makes, as the tests expect it.
    pub database: &'static str,
}

/// What there is.
pub(super) const PARTS: [Part; 1] = [Part {
    name: "regress",
    runner: "pg_regress",
    schedule: "parallel_schedule",
    database: "regression",
}];

impl Part {
    /// Its runner, as Debian packs it beside the server.
    pub(super) fn runner(&self) -> Result<PathBuf> {
        let runner = server()?
            .join("lib/pgxs/src/test")
            .join(self.name)
            .join(self.runner);
        if !runner.exists() {
            bail!(
                "{} is missing: it comes with Debian's package of the server",
                runner.display()
            );
        }
        Ok(runner)
    }
}

/// The folder of the tests, with their module built; fetched unless it is there.
///
/// # Errors
/// What is missing, and where to put it.
pub(super) fn fetch() -> Result<PathBuf> {
    let package = Package::installed()?;
    let place = step::root()
        .join("target")
        .join(format!("regress-{}", package.upstream()));
    let tests = place.join("suites");
    if tests.join(WHOLE).exists() {
        return Ok(tests);
    }
    let _ = fs::remove_dir_all(&tests);
    fs::create_dir_all(&place).with_context(|| format!("mkdir {}", place.display()))?;
    let archive = place.join(package.archive());
    if !archive.exists() {
        download(&package, &place).with_context(|| {
            format!(
                "the regression tests of PostgreSQL {} are missing: put {} there",
                package.upstream(),
                archive.display()
            )
        })?;
    }
    let tree = place.join("tree");
    let _ = fs::remove_dir_all(&tree);
    fs::create_dir(&tree).with_context(|| format!("mkdir {}", tree.display()))?;
    let mut untar = Command::new("tar");
    untar
        .arg("-xf")
        .arg(&archive)
        .arg("--strip-components=1")
        .arg("-C")
        .arg(&tree);
    step::output("tar", &mut untar)?;
    build(&tree)?;
    fs::create_dir(&tests).with_context(|| format!("mkdir {}", tests.display()))?;
    for part in &PARTS {
        let built = tree.join("src/test").join(part.name);
        fs::rename(&built, tests.join(part.name))
            .with_context(|| format!("move {}", built.display()))?;
    }
    fs::write(tests.join(WHOLE), "").context("mark the tests as whole")?;
    fs::remove_dir_all(&tree).with_context(|| format!("remove {}", tree.display()))?;
    Ok(tests)
}

/// The installed server's package.
struct Package {
    /// `15`
    major: String,
    /// `15.18-0+deb12u1`
    version: String,
}

impl Package {
    fn installed() -> Result<Self> {
        let folder = server()?;
        let major = folder
            .file_name()
            .and_then(|name| name.to_str())
            .context("a server without a version")?;
        let mut query = Command::new("dpkg-query");
        query.args([
            "-W",
            "-f",
            "${source:Version}",
            &format!("postgresql-{major}"),
        ]);
        let version = step::output("dpkg-query", &mut query)?;
        Ok(Self {
            major: major.to_owned(),
            version: version.trim().to_owned(),
        })
    }

    /// `15.18`
    fn upstream(&self) -> &str {
        self.version
            .split_once('-')
            .map_or(&*self.version, |(upstream, _)| upstream)
    }

    fn archive(&self) -> String {
        format!("postgresql-{}_{}.orig.tar.bz2", self.major, self.upstream())
    }
}

fn server() -> Result<PathBuf> {
    let bin = bin()?;
    bin.parent()
        .map(Path::to_owned)
        .context("a server without a folder")
}

/// Fetches the archive with the machine's own package sources, as source packages. Neither its
/// lists nor its configuration are touched.
fn download(package: &Package, place: &Path) -> Result<()> {
    let apt = place.join("apt");
    for folder in ["sources", "lists/partial"] {
        fs::create_dir_all(apt.join(folder)).with_context(|| format!("mkdir {}", apt.display()))?;
    }
    let etc = Path::new("/etc/apt");
    let mut lists: Vec<PathBuf> = vec![etc.join("sources.list")];
    if let Ok(parts) = etc.join("sources.list.d").read_dir() {
        lists.extend(parts.flatten().map(|part| part.path()));
    }
    for list in lists {
        let (Ok(text), Some(name)) = (fs::read_to_string(&list), list.file_name()) else {
            continue;
        };
        fs::write(apt.join("sources").join(name), as_sources(&text))
            .context("write package sources")?;
    }
    let get = |arguments: &[&str]| {
        let mut command = Command::new("apt-get");
        command.current_dir(place).arg("-qq");
        let option = |name: &str, value: &Path| format!("{name}={}", value.display());
        command.args(["-o", "Dir::Etc::sourcelist=/dev/null"]);
        command.args(["-o", &option("Dir::Etc::sourceparts", &apt.join("sources"))]);
        command.args(["-o", &option("Dir::State::lists", &apt.join("lists"))]);
        command.args(arguments);
        step::output("apt-get", &mut command)
    };
    println!(
        "  fetching the regression tests of PostgreSQL {}",
        package.upstream()
    );
    get(&["update"])?;
    let wanted = format!("postgresql-{}={}", package.major, package.version);
    get(&["source", "--download-only", "--tar-only", &wanted])?;
    fs::remove_dir_all(&apt).with_context(|| format!("remove {}", apt.display()))
}

/// The same package sources, for source packages: `deb` becomes `deb-src`, in both formats.
fn as_sources(text: &str) -> String {
    let line = |line: &str| match line.strip_prefix("Types:") {
        Some(_) => "Types: deb-src".to_owned(),
        None if line.starts_with("deb ") || line.starts_with("deb\t") => {
            format!("deb-src{}", &line[3..])
        }
        None => line.to_owned(),
    };
    text.lines().map(|text| line(text) + "\n").collect()
}

/// Builds the tests' own module, and lays the server's beside it.
fn build(tree: &Path) -> Result<()> {
    println!("  building the regression tests' module");
    let mut configure = Command::new("./configure");
    configure
        .current_dir(tree)
        .args(["--without-readline", "--without-zlib", "--without-icu"]);
    step::output("configure", &mut configure)?;
    let mut headers = Command::new("make");
    headers
        .current_dir(tree)
        .args(["-s", "-C", "src/backend", "generated-headers"]);
    step::output("make generated-headers", &mut headers)?;
    let folder = tree.join("src/test/regress");
    let mut compile = Command::new("cc");
    compile.current_dir(&folder).args([
        "-O1",
        "-w",
        "-fPIC",
        "-shared",
        "-D_GNU_SOURCE",
        "-I../../include",
    ]);
    step::output(
        "cc regress.c",
        compile.args(["-o", "regress.so", "regress.c"]),
    )?;
    let modules = server()?.join("lib");
    for module in MODULES {
        fs::copy(modules.join(module), folder.join(module))
            .with_context(|| format!("copy {module}"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn package_sources_become_sources_of_source_packages() {
        assert_eq!(
            as_sources("Types: deb\nURIs: x\n# deb y\ndeb x main\ndeb-src x main\n"),
            "Types: deb-src\nURIs: x\n# deb y\ndeb-src x main\ndeb-src x main\n"
        );
    }

    #[test]
    fn an_archive_is_named_by_the_upstream_version() {
        let package = Package {
            major: "15".into(),
            version: "15.18-0+deb12u1".into(),
        };
        assert_eq!(package.upstream(), "15.18");
        assert_eq!(package.archive(), "postgresql-15_15.18.orig.tar.bz2");
    }
}
