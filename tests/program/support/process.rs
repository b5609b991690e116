//! What a program says, and what it leaves behind.

use std::process::Stdio;

use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWriteExt as _, BufReader};
use tokio::process::Command;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::PATIENCE;

/// What a program left behind.
#[derive(Debug)]
pub struct Ended {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

/// Runs any program to its end, which prints no hash.
pub async fn finish(command: Command, input: &str) -> Ended {
    let ended = finish_with_hashes(command, input).await;
    assert_shows_no_hash(&ended.stdout);
    assert_shows_no_hash(&ended.stderr);
    ended
}

/// Runs a program to its end that was asked for hashes.
pub async fn finish_with_hashes(mut command: Command, input: &str) -> Ended {
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let run = async {
        // A program that doesn't read its input may be gone already.
        let _ = stdin.write_all(input.as_bytes()).await;
        drop(stdin);
        child.wait_with_output().await.unwrap()
    };
    let output = timeout(PATIENCE, run)
        .await
        .unwrap_or_else(|_| panic!("{command:?} did not end"));
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let (stdout, stderr) = (text(output.stdout), text(output.stderr));
    Ended {
        code: output.status.code().expect("an exit code"),
        stdout,
        stderr,
    }
}

/// Whatever is printed or logged: never a hash.
pub fn assert_shows_no_hash(text: &str) {
    for hash in ["$2a$", "$2b$", "$2y$", "$argon2"] {
        assert!(!text.contains(hash), "shows a password hash: {text}");
    }
}

/// The lines that a program writes, as they come.
#[derive(Clone)]
pub struct Lines(watch::Receiver<Vec<String>>);

impl Lines {
    pub fn of(stream: impl AsyncRead + Unpin + Send + 'static) -> (Self, JoinHandle<()>) {
        let (sender, receiver) = watch::channel(Vec::new());
        let task = tokio::spawn(async move {
            let mut reader = BufReader::new(stream);
            let mut line = Vec::new();
            while reader
                .read_until(b'\n', &mut line)
                .await
                .is_ok_and(|count| count > 0)
            {
                let text = String::from_utf8_lossy(&line)
                    .trim_end_matches(['\r', '\n'])
                    .to_owned();
                sender.send_modify(|lines| lines.push(text));
                line.clear();
            }
        });
        (Self(receiver), task)
    }

    pub fn so_far(&self) -> Vec<String> {
        self.0.borrow().clone()
    }

    /// Waits until so many lines contain a text, and gives the last of them.
    pub async fn wait_for_nth(&mut self, wanted: &str, count: usize) -> String {
        let nth = |lines: &Vec<String>| {
            lines
                .iter()
                .filter(|line| line.contains(wanted))
                .nth(count - 1)
                .cloned()
        };
        let found = timeout(PATIENCE, self.0.wait_for(|lines| nth(lines).is_some())).await;
        let found = found.ok().and_then(|lines| nth(&*lines.ok()?));
        found.unwrap_or_else(|| panic!("no {wanted:?} among {:#?}", self.so_far()))
    }

    pub async fn wait_for(&mut self, wanted: &str) -> String {
        self.wait_for_nth(wanted, 1).await
    }
}
