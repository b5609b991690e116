//! README.md, word for word: the commands of its walk are run as they stand, and print what it says they print.

use crate::postgres::missing;
use crate::support::{Installation, finish};
use crate::walk::{check_all, script, walks};

#[tokio::test]
async fn the_walk_of_the_readme_does_what_it_says() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
    let readme = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("README.md: {error}"));
    let walks = walks(&readme);
    let [steps] = walks.as_slice() else {
        panic!("{} walks", walks.len())
    };
    for program in ["bash", "curl", "jq"] {
        let is_used = program == "bash" || steps.iter().any(|step| step.commands.contains(program));
        if is_used
            && tokio::process::Command::new(program)
                .arg("--version")
                .output()
                .await
                .is_err()
        {
            return missing(program, program);
        }
    }
    let installation = Installation::new();
    let server = installation.serve().await;
    let mut bash = installation.program("bash");
    bash.env("API", server.url(""))
        .env("NO_PROXY", "*")
        .args(["-c", &script("set -eu -o pipefail", steps)]);
    let ended = finish(bash, "").await;
    check_all(steps, &ended.stdout);
    assert_eq!(ended.code, 0, "{ended:?}");
    server.stop().await;
}
