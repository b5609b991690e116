//! docs/moving-in.md, word for word: whoever moves in follows it with the samples of `tests/exports`, each walk in an
//! installation of its own.

use std::path::Path;

use crate::postgres::missing;
use crate::support::{Installation, ROSTER, finish, on_both_databases};
use crate::walk::{check_all, script, walks};

on_both_databases! {
    who_follows_the_page_about_moving_in_gets_what_it_says
}

mod stories {
    use super::*;

    pub async fn who_follows_the_page_about_moving_in_gets_what_it_says(first: Installation) {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let page = std::fs::read_to_string(root.join("docs/moving-in.md")).unwrap();
        for program in ["bash", "curl", "jq"] {
            let version = tokio::process::Command::new(program).arg("--version").output();
            if version.await.is_err() {
                return missing(program, program);
            }
        }
        let programs = format!(
            "{}:{}",
            Path::new(ROSTER).parent().unwrap().display(),
            std::env::var_os("PATH").unwrap().to_str().unwrap()
        );
        let walks = walks(&page);
        for walk in &walks {
            // Prepared: what a first start says and makes is nobody's business here.
            let installation = first.another().await.with("PATH", &programs);
            installation.prepare().await;
            for sample in std::fs::read_dir(root.join("tests/exports")).unwrap() {
                let sample = sample.unwrap();
                if sample.file_type().unwrap().is_file() {
                    std::fs::copy(sample.path(), installation.path("").join(sample.file_name())).unwrap();
                }
            }
            let needs_server = walk.iter().any(|step| step.commands.contains("$API"));
            let server = if needs_server {
                Some(installation.serve().await)
            } else {
                None
            };
            let mut bash = installation.program("bash");
            if let Some(server) = &server {
                bash.env("API", server.url("")).env("NO_PROXY", "*");
            }
            // What is refused is said on standard error, and ends a command with 1: that is what the page shows.
            bash.args(["-c", &script("set -u; exec 2>&1", walk)]);
            let ended = finish(bash, "").await;
            for step in walk {
                assert!(step.prints.is_some(), "what does this print?\n{}", step.commands);
            }
            check_all(walk, &ended.stdout);
            if let Some(server) = server {
                server.stop().await;
            }
        }
        let run: String = walks
            .iter()
            .flatten()
            .map(|step| step.commands.as_str())
            .collect();
        for source in roster::transfer::sources::Source::ALL {
            assert!(
                run.contains(&format!("--from {}", source.as_str())),
                "nobody follows {}",
                source.as_str()
            );
        }
    }
}
