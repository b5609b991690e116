//! A real mail server: `aiosmtpd` from `PyPI`, with a certificate of our own.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::Value;
use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::clients::python;
use crate::postgres::missing;
use crate::support::{Lines, finish};

/// How a mail server behaves.
#[derive(Clone, Debug)]
pub struct Manner {
    /// `none`, `starttls` or `start`.
    pub tls: &'static str,
    /// Whether it wants to know who sends.
    pub asks_who: bool,
    /// Seconds that it takes over a mail.
    pub seconds: f32,
}

pub const PLAIN: Manner = Manner {
    tls: "none",
    asks_who: false,
    seconds: 0.0,
};

pub const USER: &str = "roster";
pub const PASSWORD: &str = "p@ss:word/1";

/// A mail server. It ends with the test.
pub struct MailServer {
    python: PathBuf,
    folder: TempDir,
    manner: Manner,
    port: u16,
    child: Option<Child>,
    lines: Lines,
}

/// A mail that has arrived.
#[derive(Clone, Debug)]
pub struct Mail {
    pub is_encrypted: bool,
    pub user: Option<String>,
    /// Head and body, as they came.
    pub content: String,
}

impl Mail {
    pub fn header(&self, name: &str) -> &str {
        let head = self.content.split("\r\n\r\n").next().unwrap();
        let mut values = head
            .lines()
            .filter_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        let value = values.next().unwrap_or_else(|| panic!("no {name} in {head}"));
        assert_eq!(values.next(), None, "{head}");
        value
    }

    /// The link, which stands on a line of its own.
    pub fn link(&self) -> &str {
        let mut links = self.content.lines().filter(|line| line.starts_with("http"));
        links
            .next()
            .unwrap_or_else(|| panic!("no link in {}", self.content))
    }
}

impl MailServer {
    pub async fn start(manner: Manner) -> Option<Self> {
        let python = python().await?;
        let check = Command::new(&python)
            .args(["-c", "import aiosmtpd"])
            .output()
            .await;
        if !check.is_ok_and(|output| output.status.success()) {
            missing(
                "aiosmtpd",
                "aiosmtpd from PyPI, as tests/clients/requirements.txt has it,",
            );
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        make_certificate(folder.path()).await;
        let (_, lines) = tokio::io::duplex(1);
        let mut server = Self {
            python,
            folder,
            manner,
            port: 0,
            child: None,
            lines: Lines::of(lines).0,
        };
        server.come_up().await;
        Some(server)
    }

    /// Starts it, on the port that it had before if there was one.
    pub async fn come_up(&mut self) {
        let manner = &self.manner;
        let [user, password] = if manner.asks_who {
            [USER, PASSWORD]
        } else {
            ["", ""]
        };
        let mut child = Command::new(&self.python)
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/mail_server.py"))
            .args([&self.port.to_string(), manner.tls])
            .args([
                self.folder.path().join("server.pem"),
                self.folder.path().join("server.key"),
            ])
            .args([user, password, &manner.seconds.to_string()])
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        self.lines = Lines::of(child.stdout.take().unwrap()).0;
        let line = self.lines.wait_for("\"port\"").await;
        let told: Value = serde_json::from_str(&line).unwrap();
        self.port = told["port"].as_u64().unwrap().try_into().unwrap();
        self.child = Some(child);
    }

    /// Ends it at once.
    pub async fn go_down(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().await.unwrap();
        }
    }

    /// For `mail.smtp_url`.
    pub fn url(&self) -> String {
        let scheme = if self.manner.tls == "start" {
            "smtps"
        } else {
            "smtp"
        };
        let who = if self.manner.asks_who {
            "roster:p%40ss%3Aword%2F1@"
        } else {
            ""
        };
        let query = if self.manner.tls == "starttls" {
            "?tls=required"
        } else {
            ""
        };
        format!("{scheme}://{who}localhost:{}{query}", self.port)
    }

    /// For `mail.ca_file`.
    pub fn roots(&self) -> String {
        self.folder.path().join("ca.pem").display().to_string()
    }

    /// What has arrived since it came up.
    pub fn mails(&self) -> Vec<Mail> {
        let lines = self.lines.so_far();
        lines
            .iter()
            .filter(|line| line.contains("\"content\""))
            .map(|line| mail(line))
            .collect()
    }

    /// Waits for a mail to an address; gives the `count`th.
    pub async fn mail_to(&mut self, address: &str, count: usize) -> Mail {
        let wanted = format!("\"to\": [\"{address}\"]");
        mail(&self.lines.wait_for_nth(&wanted, count).await)
    }
}

fn mail(line: &str) -> Mail {
    let value: Value = serde_json::from_str(line).unwrap();
    let to = value["to"].as_array().unwrap();
    assert_eq!(to.len(), 1, "one mail goes to one address: {value}");
    Mail {
        is_encrypted: value["is_encrypted"].as_bool().unwrap(),
        user: value["user"].as_str().map(str::to_owned),
        content: value["content"].as_str().unwrap().to_owned(),
    }
}

/// A certificate for `localhost`, and the one that it is signed with.
async fn make_certificate(folder: &Path) {
    let openssl = |arguments: &str| {
        let mut command = Command::new("openssl");
        command
            .args(arguments.split(' '))
            .current_dir(folder)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        finish(command, "")
    };
    std::fs::write(folder.join("names"), "subjectAltName=DNS:localhost\n").unwrap();
    for arguments in [
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.pem -days 2 -subj /CN=tests",
        "req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout server.key -out server.csr -subj /CN=localhost",
        "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out server.pem -days 2 -extfile names",
    ] {
        let ended = openssl(arguments).await;
        assert_eq!(ended.code, 0, "{ended:?}");
    }
}
