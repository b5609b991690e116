//! A program at a terminal, by way of util-linux's `script`.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, ChildStdin};
use tokio::sync::watch;
use tokio::time::timeout;

use super::{Installation, PATIENCE, ROSTER};
use crate::postgres::missing;

/// A terminal with the program in it.
pub struct Terminal {
    child: Child,
    keyboard: ChildStdin,
    screen: watch::Receiver<String>,
    seen: usize,
}

impl Terminal {
    /// Runs a command of Roster's, if there is a terminal to be had.
    pub fn open(installation: &Installation, arguments: &str) -> Option<Self> {
        if !std::path::Path::new("/usr/bin/script").exists() {
            missing("script", "util-linux (bsdutils)");
            return None;
        }
        // The name of the terminal comes first, so that its settings can be looked at.
        let command = format!("tty; exec {ROSTER} {arguments}");
        let mut child = installation
            .program("/usr/bin/script")
            .args([
                "--quiet",
                "--return",
                "--flush",
                "--command",
                &command,
                "/dev/null",
            ])
            .env("SHELL", "/bin/sh")
            .stdin(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let keyboard = child.stdin.take().unwrap();
        let mut stdout = child.stdout.take().unwrap();
        let (sender, screen) = watch::channel(String::new());
        tokio::spawn(async move {
            let mut buffer = vec![0; 4096];
            while let Ok(count @ 1..) = stdout.read(&mut buffer).await {
                let text = String::from_utf8_lossy(&buffer[..count]).into_owned();
                sender.send_modify(|screen| screen.push_str(&text));
            }
        });
        Some(Self {
            child,
            keyboard,
            screen,
            seen: 0,
        })
    }

    /// Waits for a text, behind what was waited for before; gives everything up to it.
    pub async fn wait_for(&mut self, wanted: &str) -> String {
        let seen = self.seen;
        let shown = self.screen.wait_for(|screen| screen[seen..].contains(wanted));
        let is_there = timeout(PATIENCE, shown).await.is_ok_and(|shown| shown.is_ok());
        let screen = self.screen.borrow();
        assert!(is_there, "no {wanted:?} on the screen: {:?}", *screen);
        self.seen += screen[seen..].find(wanted).unwrap() + wanted.len();
        screen[seen..self.seen].to_owned()
    }

    pub async fn type_line(&mut self, text: &str) {
        self.keyboard
            .write_all(format!("{text}\r").as_bytes())
            .await
            .unwrap();
    }

    pub async fn press_control_c(&mut self) {
        self.keyboard.write_all(&[3]).await.unwrap();
    }

    /// Waits until what is typed isn't shown any more. The program tells nobody when it has switched that off.
    pub async fn wait_for_silence(&self) {
        let name = self.screen.borrow().lines().next().unwrap().to_owned();
        let hidden = async {
            loop {
                let settings = tokio::process::Command::new("stty")
                    .args(["-F", &name, "-a"])
                    .output()
                    .await
                    .unwrap();
                if String::from_utf8_lossy(&settings.stdout).contains("-echo ") {
                    break;
                }
            }
        };
        timeout(PATIENCE, hidden)
            .await
            .expect("a prompt that hides what is typed");
    }

    /// Waits for the end; gives the exit code and the whole screen.
    pub async fn ended(mut self) -> (Option<i32>, String) {
        let status = timeout(PATIENCE, self.child.wait())
            .await
            .expect("an end")
            .unwrap();
        drop(self.keyboard);
        while self.screen.changed().await.is_ok() {}
        (status.code(), self.screen.borrow().clone())
    }
}
