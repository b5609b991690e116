//! A server that a test has started.

use std::process::ExitStatus;
use std::sync::Arc;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::database::OwnDatabase;
use super::process::{Lines, assert_shows_no_hash};
use super::{Client, Installation, PATIENCE};

/// A server that was started.
pub struct Server {
    child: Child,
    pub log: Lines,
    pub stdout: Lines,
    readers: [JoinHandle<()>; 2],
    address: String,
    _ground: (Arc<TempDir>, Option<Arc<OwnDatabase>>),
}

impl Server {
    pub fn start(installation: &Installation, mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        let (log, log_reader) = Lines::of(child.stderr.take().unwrap());
        let (stdout, stdout_reader) = Lines::of(child.stdout.take().unwrap());
        Self {
            child,
            log,
            stdout,
            readers: [log_reader, stdout_reader],
            address: String::new(),
            _ground: (Arc::clone(&installation.folder), installation.database.clone()),
        }
    }

    /// Waits until it serves.
    pub async fn ready(&mut self) {
        let line = self.log.wait_for("serving").await;
        let address = match serde_json::from_str::<Value>(&line) {
            Ok(record) => record["address"].as_str().map(str::to_owned),
            Err(_) => line
                .split(' ')
                .find_map(|word| word.strip_prefix("address="))
                .map(str::to_owned),
        };
        self.address = address.unwrap_or_else(|| panic!("no address in {line}"));
    }

    /// Waits for a line of the log.
    pub async fn wait_for_log(&mut self, wanted: &str) -> String {
        self.log.wait_for(wanted).await
    }

    /// Waits for so many lines of the log, and gives the last.
    pub async fn wait_for_nth_log(&mut self, wanted: &str, count: usize) -> String {
        self.log.wait_for_nth(wanted, count).await
    }

    /// Host and port.
    pub fn address(&self) -> &str {
        &self.address
    }

    pub fn port(&self) -> &str {
        self.address.rsplit_once(':').unwrap().1
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub fn client(&self) -> Client {
        Client::new(self.url(""))
    }

    pub fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.child.id().expect("a running server")).unwrap();
        kill_process(Pid::from_raw(id).unwrap(), signal).unwrap();
    }

    /// The same, of a process that may have ended by itself.
    pub fn signal_if_running(&self, signal: Signal) {
        if let Some(id) = self.child.id() {
            let _ = kill_process(Pid::from_raw(i32::try_from(id).unwrap()).unwrap(), signal);
        }
    }

    /// The id of the process.
    pub fn id(&self) -> u32 {
        self.child.id().expect("a running server")
    }

    /// Waits for the end; gives the exit status and every line of the log.
    pub async fn ended(mut self) -> (ExitStatus, Vec<String>) {
        let status = timeout(PATIENCE, self.child.wait()).await;
        let status = status
            .unwrap_or_else(|_| panic!("did not end: {:#?}", self.log.so_far()))
            .unwrap();
        for reader in &mut self.readers {
            reader.await.unwrap();
        }
        let lines = self.log.so_far();
        for line in &lines {
            assert_shows_no_hash(line);
        }
        (status, lines)
    }

    /// Asks it to end, and sees it do so in order; gives every line of the log.
    pub async fn stop(self) -> Vec<String> {
        self.signal(Signal::TERM);
        let (status, lines) = self.ended().await;
        assert_eq!(status.code(), Some(0), "{lines:#?}");
        lines
    }
}

/// A test that fails shows what its servers have said.
impl Drop for Server {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("the log of {}: {:#?}", self.address, self.log.so_far());
        }
    }
}
