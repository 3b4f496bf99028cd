//! A PostgreSQL of the tests' own, with TLS, whose roles must each prove themselves in another way.

use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair,
    PKCS_ECDSA_P256_SHA256,
};

/// The password of every role.
pub(super) const PASSWORD: &str = "role-secret";

/// Who asks for what. A line that fits decides, the first one.
const HBA: &str = "\
local   all all       trust
hostssl all certified 127.0.0.1/32 cert
host    all certified 127.0.0.1/32 reject
host    all old       127.0.0.1/32 md5
host    all clear     127.0.0.1/32 password
hostssl all tls_only  127.0.0.1/32 scram-sha-256
host    all tls_only  127.0.0.1/32 reject
host    all app       127.0.0.1/32 scram-sha-256
host    all all       127.0.0.1/32 reject
";

const ROLES: &str = "
SET password_encryption = 'scram-sha-256';
CREATE ROLE app LOGIN PASSWORD 'role-secret';
CREATE ROLE tls_only LOGIN PASSWORD 'role-secret';
CREATE ROLE clear LOGIN PASSWORD 'role-secret';
CREATE ROLE certified LOGIN;
SET password_encryption = 'md5';
CREATE ROLE old LOGIN PASSWORD 'role-secret';
";

/// Signs certificates.
pub(super) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(super) fn new(name: &str) -> Self {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).expect("a key");
        let mut params = CertificateParams::new(Vec::<String>::new()).expect("no names");
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, key).expect("a CA"))
    }

    pub(super) fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate for a common name and DNS names, and its key.
    pub(super) fn issue(&self, common_name: &str, names: &[&str]) -> (Certificate, KeyPair) {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).expect("a key");
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let mut params = CertificateParams::new(names).expect("names");
        params
            .distinguished_name
            .push(DnType::CommonName, common_name);
        let certificate = params.signed_by(&key, &self.0).expect("a certificate");
        (certificate, key)
    }
}

/// A running server. Stopped when dropped.
pub(super) struct Cluster {
    pub(super) folder: tempfile::TempDir,
    pub(super) address: SocketAddr,
    /// Vouches for the server, and for those who show it a certificate.
    pub(super) authority: Authority,
}

impl Cluster {
    pub(super) fn start() -> Self {
        let folder = tempfile::Builder::new()
            .prefix("weir-proxy")
            .tempdir()
            .expect("a folder");
        let port = TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .expect("a free port")
            .port();
        let cluster = Self {
            folder,
            address: SocketAddr::from(([127, 0, 0, 1], port)),
            authority: Authority::new("server CA"),
        };
        run(Command::new("chown")
            .arg("postgres")
            .arg(cluster.folder.path()));
        let data = cluster.data();
        run(cluster
            .tool("initdb")
            .args(["-U", "postgres", "-A", "trust", "-E", "UTF8"])
            .args(["--locale=C.UTF-8", "-N", "-D"])
            .arg(&data));
        cluster.configure();
        run(cluster
            .tool("pg_ctl")
            .args(["-w", "-D"])
            .arg(&data)
            .arg("-l")
            .arg(cluster.folder.path().join("log"))
            .arg("start"));
        cluster.sql(ROLES);
        cluster
    }

    fn configure(&self) {
        let (certificate, key) = self.authority.issue("db.internal", &["db.internal"]);
        self.write("server.crt", &certificate.pem());
        self.write("server.key", &key.serialize_pem());
        self.write("clients.crt", &self.authority.pem());
        self.write("pg_hba.conf", HBA);
        let folder = self.folder.path().display();
        let settings = format!(
            "port={}\nlisten_addresses='127.0.0.1'\nunix_socket_directories='{folder}'\nfsync=off\n\
             ssl=on\nssl_ca_file='clients.crt'\nlog_connections=on\nlog_statement=all\n\
             log_line_prefix='user=%u app=[%a] '\n",
            self.address.port()
        );
        self.write("postgresql.auto.conf", &settings);
    }

    /// Writes a file of the server's.
    fn write(&self, name: &str, text: &str) {
        let path = self.data().join(name);
        std::fs::write(&path, text).expect("written");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("chmod");
        run(Command::new("chown").arg("postgres").arg(&path));
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn tool(&self, name: &str) -> Command {
        let mut command = Command::new("runuser");
        command
            .args(["-u", "postgres", "--"])
            .arg(binaries().join(name))
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        command
    }

    /// Runs SQL as the superuser, past Weir.
    pub(super) fn sql(&self, text: &str) -> String {
        let output = Command::new(binaries().join("psql"))
            .args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1"])
            .args(["-U", "postgres", "-h"])
            .arg(self.folder.path())
            .args(["-p", &self.address.port().to_string(), "-c", text])
            .stdin(Stdio::null())
            .output()
            .expect("psql runs");
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).expect("text")
    }

    /// What the server has logged.
    pub(super) fn log(&self) -> String {
        let path = self.folder.path().join("log");
        String::from_utf8_lossy(&std::fs::read(path).expect("a log")).into_owned()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let data = self.data();
        // The folder goes either way.
        let _ = self
            .tool("pg_ctl")
            .args(["-m", "immediate", "-D"])
            .arg(&data)
            .arg("stop")
            .status();
    }
}

/// The newest installed server's programs.
pub(super) fn binaries() -> PathBuf {
    let versions = Path::new("/usr/lib/postgresql")
        .read_dir()
        .expect("PostgreSQL is installed");
    let mut versions: Vec<_> = versions
        .flatten()
        .map(|entry| entry.path().join("bin"))
        .filter(|bin| bin.join("initdb").exists())
        .collect();
    versions.sort();
    versions.pop().expect("PostgreSQL's server is installed")
}

fn run(command: &mut Command) {
    let status = command.status().expect("starts");
    assert!(status.success(), "{command:?}: {status}");
}
