//! A private PostgreSQL server with TLS, whose CA and certificates are made when it is started. It
//! ends with the tests. Tests of TLS use it, and with `TEST_DATABASE_TLS=verify-full` all others.
//! Its host name is `localhost`, and not `127.0.0.1`.
//!
//! What the server demands depends on the user: a password of [`user_with_password`], a certificate
//! of [`WITH_CERTIFICATE`], and a connection without TLS of [`IN_CLEAR`].

use std::net::TcpListener;
use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use tokio::sync::OnceCell;

use super::postgres::{self, Server, USER};
use super::scratch::SharedDir;
use super::{Database, skip};

/// A user who signs in with the certificate `client.pem`.
pub const WITH_CERTIFICATE: &str = "with_certificate";
/// A user who may not use TLS.
pub const IN_CLEAR: &str = "in_clear";

const PASSWORD: &str = "swordfish";
/// The file with the server's port.
const PORT: &str = "port";

/// Who may connect, and how.
const RULES: &str = "\
local     all all              trust
hostssl   all with_certificate all cert
hostnossl all in_clear         all trust
host      all in_clear         all reject
host      all mercato          all scram-sha-256
";

/// The server.
pub struct TlsServer {
    server: Server,
    dir: PathBuf,
    /// Its port.
    pub port: u16,
}

/// The user who owns everything, with the password, as a URL has them.
pub fn user_with_password() -> String {
    format!("{USER}:{PASSWORD}")
}

impl TlsServer {
    /// The server; `None` where there is none and its tests may be skipped.
    pub async fn get() -> Option<&'static Self> {
        static SERVER: OnceCell<Option<TlsServer>> = OnceCell::const_new();
        let server = SERVER.get_or_init(Self::start).await.as_ref();
        if server.is_none() {
            skip("there is no PostgreSQL to start with TLS: install its server (initdb, postgres)");
        }
        server
    }

    async fn start() -> Option<Self> {
        let binaries = postgres::binaries()?;
        let start = move || {
            let shared = SharedDir::open("postgres-tls");
            if shared.is_new() {
                start_private(&shared, &binaries);
            }
            shared
        };
        let shared = tokio::task::spawn_blocking(start).await.unwrap();
        let dir = shared.path.clone();
        let port = std::fs::read_to_string(dir.join(PORT)).unwrap().parse().unwrap();
        let parameters =
            format!("sslmode=verify-full&channel_binding=require&sslrootcert={}", file(&dir, "ca.pem"));
        let url = format!("postgres://{}@localhost:{port}/?{parameters}", user_with_password());
        let server = Self { server: Server::at(&url), dir, port };
        if shared.is_new() {
            let socket = Server::at(&server.url_of_socket());
            socket.run(&format!("ALTER USER {USER} PASSWORD '{PASSWORD}'")).await;
            socket.run(&format!("CREATE USER {WITH_CERTIFICATE}")).await;
            socket.run(&format!("CREATE USER {IN_CLEAR}")).await;
            server.server.prepare().await;
            shared.set_ready();
        }
        Some(server)
    }

    /// The server itself, which is used with its certificate and its host name verified.
    pub fn server(&'static self) -> &'static Server {
        &self.server
    }

    /// A fresh, migrated database, which is used with the certificate and the host name verified.
    pub async fn database(&'static self) -> Database {
        Database::Postgres(&self.server, self.server.create().await)
    }

    /// A URL of the database that is always there.
    pub fn url(&self, user: &str, host: &str, parameters: &str) -> String {
        format!("postgres://{user}@{host}:{}/postgres?{parameters}", self.port)
    }

    /// The same over its socket.
    fn url_of_socket(&self) -> String {
        let host = postgres::host_of_socket(&self.dir);
        format!("postgres://{USER}@{host}:{}/postgres", self.port)
    }

    /// Its socket, over which the server does not offer TLS.
    pub fn socket(&self) -> PathBuf {
        self.dir.join(format!(".s.PGSQL.{}", self.port))
    }

    /// The path of a file, as a URL has it: `ca.pem`, of the CA of the server and of `client.pem`
    /// with `client.key`; and `other_ca.pem`, of the CA of `other_client.pem` with
    /// `other_client.key`.
    pub fn file(&self, name: &str) -> String {
        file(&self.dir, name)
    }
}

fn file(dir: &Path, name: &str) -> String {
    dir.join(name).display().to_string().replace('%', "%25").replace('&', "%26")
}

fn start_private(shared: &SharedDir, binaries: &Path) {
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    std::fs::write(shared.path.join(PORT), port.to_string()).unwrap();
    let (ca, other_ca) = (Ca::new("CA of tests"), Ca::new("another CA"));
    let (server, server_key) = ca.issue("server", &["localhost".to_owned()]);
    let (client, client_key) = ca.issue(WITH_CERTIFICATE, &[]);
    let (other_client, other_client_key) = other_ca.issue(WITH_CERTIFICATE, &[]);
    let files = [
        ("rules", RULES.to_owned()),
        ("ca.pem", ca.certificate),
        ("other_ca.pem", other_ca.certificate),
        ("server.pem", server),
        ("server.key", server_key),
        ("client.pem", client),
        ("client.key", client_key),
        ("other_client.pem", other_client),
        ("other_client.key", other_client_key),
    ];
    let path = |name: &str| shared.path.join(name).display().to_string();
    let options = [
        "listen_addresses=127.0.0.1".to_owned(),
        format!("port={port}"),
        "ssl=on".to_owned(),
        format!("ssl_cert_file={}", path("server.pem")),
        format!("ssl_key_file={}", path("server.key")),
        format!("ssl_ca_file={}", path("ca.pem")),
        format!("hba_file={}", path("rules")),
    ];
    postgres::start_private(shared, binaries, &files, &options);
}

/// A CA.
struct Ca {
    certificate: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Ca {
    fn new(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).unwrap().pem();
        Self { certificate, issuer: Issuer::new(params, key) }
    }

    /// A certificate and its key, in PEM format.
    fn issue(&self, name: &str, hosts: &[String]) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(hosts).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        (certificate.pem(), key.serialize_pem())
    }
}
