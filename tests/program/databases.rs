//! PostgreSQL as operators run it: over TLS, and with passwords.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use sea_orm::ConnectionTrait as _;
use tokio::sync::OnceCell;

use crate::postgres::{Cluster, cluster, missing};
use crate::support::{Installation, SECRET, column, connect};

/// A server that takes passwords, over TLS only, with a certificate for `localhost`.
pub struct Guarded {
    cluster: Cluster,
    certificates: PathBuf,
}

const ROLE_PASSWORD: &str = "correct-horse";

/// The one that the tests of this process share, if there is one to be had.
pub async fn guarded() -> Option<&'static Guarded> {
    static GUARDED: OnceCell<Option<Guarded>> = OnceCell::const_new();
    GUARDED.get_or_init(Guarded::start).await.as_ref()
}

impl Guarded {
    async fn start() -> Option<Self> {
        let Ok(true) = Command::new("openssl")
            .arg("version")
            .stdout(Stdio::null())
            .status()
            .map(|s| s.success())
        else {
            missing("openssl", "openssl");
            return None;
        };
        let configuration = "ssl = on\nssl_cert_file = 'server.crt'\nssl_key_file = 'server.key'";
        let access = "hostssl all postgres 127.0.0.1/32 trust\nhostssl all all 127.0.0.1/32 scram-sha-256\n";
        let mut certificates = PathBuf::new();
        let cluster = Cluster::start(configuration, Some(access), |data| {
            make_authority(data, "ca");
            make_authority(data, "other-ca");
            make_certificate(data, "localhost", "server");
            data.clone_into(&mut certificates);
        })?;
        let admin = connect(&format!("{}?sslmode=require", cluster.url("postgres"))).await;
        for sql in [
            format!("CREATE ROLE roster LOGIN PASSWORD '{ROLE_PASSWORD}'"),
            "CREATE DATABASE roster OWNER roster".into(),
        ] {
            admin.execute_unprepared(&sql).await.unwrap();
        }
        admin.close().await.unwrap();
        Some(Self {
            cluster,
            certificates,
        })
    }

    /// The URL of the database `roster`, for a user at a host by name.
    pub fn url_of(&self, user: &str, password: &str, host: &str, parameters: &str) -> String {
        let url = self.cluster.url("roster");
        let port = url.rsplit(':').next().unwrap();
        format!("postgres://{user}:{password}@{host}:{port}{parameters}")
    }

    fn url(&self, host: &str, parameters: &str) -> String {
        self.url_of("roster", ROLE_PASSWORD, host, parameters)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.certificates.join(name)
    }
}

fn openssl(folder: &Path, arguments: &[&str]) {
    let output = Command::new("openssl")
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

const CURVE: [&str; 5] = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];

fn make_authority(folder: &Path, name: &str) {
    let (key, certificate, subject) = (
        format!("{name}.key"),
        format!("{name}.crt"),
        format!("/CN={name}"),
    );
    let own = [
        "req",
        "-x509",
        "-days",
        "2",
        "-subj",
        &subject,
        "-keyout",
        &key,
        "-out",
        &certificate,
    ];
    openssl(folder, &[&own[..], &CURVE].concat());
}

fn make_certificate(folder: &Path, host: &str, name: &str) {
    let (key, request, certificate) = (
        format!("{name}.key"),
        format!("{name}.csr"),
        format!("{name}.crt"),
    );
    let subject = format!("/CN={host}");
    let ask = ["req", "-subj", &subject, "-keyout", &key, "-out", &request];
    openssl(folder, &[&ask[..], &CURVE].concat());
    fs::write(folder.join("names"), format!("subjectAltName = DNS:{host}\n")).unwrap();
    let sign = [
        "x509",
        "-req",
        "-in",
        &request,
        "-CA",
        "ca.crt",
        "-CAkey",
        "ca.key",
        "-CAcreateserial",
        "-days",
        "2",
    ];
    openssl(
        folder,
        &[&sign[..], &["-extfile", "names", "-out", &certificate]].concat(),
    );
}

#[tokio::test]
async fn roster_runs_over_tls_with_and_without_checking_the_certificate() {
    let Some(guarded) = guarded().await else { return };
    let authority = guarded.file("ca.crt");
    let full = format!("?sslmode=verify-full&sslrootcert={}", authority.display());
    let ways = [
        ("localhost", "?sslmode=require"),
        // Without a word about it, TLS is used where the server offers it.
        ("localhost", ""),
        ("localhost", &full),
    ];
    let admin = connect(&format!("{}?sslmode=require", guarded.cluster.url("roster"))).await;
    for (host, parameters) in ways {
        let installation = Installation::new()
            .with("DATABASE_URL", &guarded.url(host, parameters))
            .with("ROSTER__SECURITY__SECRET_KEY", SECRET);
        let server = installation.serve().await;
        server.client().live_a_whole_life("ada").await;
        let ssl = "SELECT DISTINCT ssl::text FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) \
                   WHERE application_name = 'roster'";
        assert_eq!(column(&admin, ssl).await, ["true"], "{parameters}");
        server.stop().await;
    }
    admin.close().await.unwrap();
}

#[tokio::test]
async fn a_certificate_of_another_authority_or_host_is_refused() {
    let Some(guarded) = guarded().await else { return };
    let with = |host: &str, authority: &str| {
        guarded.url(
            host,
            &format!(
                "?sslmode=verify-full&sslrootcert={}",
                guarded.file(authority).display()
            ),
        )
    };
    let missing_file = guarded.url("localhost", "?sslmode=verify-full&sslrootcert=/no/such/ca.crt");
    for (url, why) in [
        (with("localhost", "other-ca.crt"), "UnknownIssuer"),
        (with("127.0.0.1", "ca.crt"), "127.0.0.1"),
        // The system's authorities don't know this server.
        (guarded.url("localhost", "?sslmode=verify-full"), "UnknownIssuer"),
        (missing_file, "No such file"),
    ] {
        let line = Installation::new()
            .with("DATABASE_URL", &url)
            .fails(&["serve"])
            .await;
        assert!(
            line.contains(why) && line.contains("sslmode in database.url"),
            "{line}"
        );
        assert!(!line.contains(ROLE_PASSWORD), "{line}");
    }
}

#[tokio::test]
async fn a_plaintext_connection_is_refused_where_the_server_asks_for_tls() {
    let Some(guarded) = guarded().await else { return };
    let url = guarded.url("localhost", "?sslmode=disable");
    let line = Installation::new()
        .with("DATABASE_URL", &url)
        .fails(&["serve"])
        .await;
    assert!(
        line.contains("no encryption") && line.contains("sslmode in database.url"),
        "{line}"
    );
}

#[tokio::test]
async fn a_server_without_tls_is_refused_where_tls_is_asked_for() {
    let Some(cluster) = cluster() else { return };
    let url = format!("{}?sslmode=require", cluster.url("postgres"));
    let line = Installation::new()
        .with("DATABASE_URL", &url)
        .fails(&["serve"])
        .await;
    assert!(
        line.contains("TLS") && line.contains("sslmode in database.url"),
        "{line}"
    );
}
