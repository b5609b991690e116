//! Without a mail server, in development: mails are files.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use serde_json::json;

use crate::support::{Installation, PASSWORD};

fn written(installation: &Installation) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(installation.path("data/mail"))
        .map(|entries| entries.map(|entry| entry.unwrap().path()).collect())
        .unwrap_or_default();
    files.sort();
    files
}

#[tokio::test]
async fn a_mail_is_a_file_with_its_link_on_a_line_and_the_log_has_the_link_too() {
    let installation = Installation::new();
    let mut server = installation.serve().await;
    let body = json!({ "email": "ada@example.com", "password": PASSWORD, "locale": "de" });
    assert_eq!(server.client().post("/users/", &body).await.0, 201);
    let logged = server.wait_for_log("a mail was written").await;
    let files = written(&installation);
    assert_eq!(files.len(), 1, "{files:?}");
    assert_eq!(files[0].extension().unwrap(), "eml");
    assert_eq!(
        fs::metadata(&files[0]).unwrap().permissions().mode() & 0o777,
        0o600
    );
    let text = fs::read_to_string(&files[0]).unwrap();
    let start = server.url("/verify-email?token=roster_ml_");
    let link = text.lines().find(|line| line.starts_with(&start)).unwrap();
    assert!(logged.contains(link), "{logged}");
    assert!(text.contains("To: ada@example.com\r\n"));
    let token = link.split_once('=').unwrap().1;
    assert_eq!(
        server
            .client()
            .post("/verify-email", &json!({ "token": token }))
            .await
            .0,
        204
    );
    server.stop().await;
}

#[tokio::test]
async fn previews_show_every_mail_without_a_database_and_templates_can_be_replaced() {
    let installation = Installation::new();
    for name in [
        "verify_email",
        "reset_password",
        "password_changed",
        "factor_added",
    ] {
        let plain = installation.succeeds(&["mail", "preview", name]).await;
        assert!(plain.starts_with("Subject: "), "{plain}");
        let page = installation
            .succeeds(&["mail", "preview", name, "--html", "--locale", "de"])
            .await;
        assert!(
            page.starts_with("<!doctype html>") && page.contains("lang=\"de\""),
            "{page}"
        );
    }
    assert!(!installation.path("data").exists());
    let refused = installation.run(&["mail", "preview", "nothing"]).await;
    assert_eq!(refused.code, 2);
    assert!(refused.stderr.contains("reset_password"), "{}", refused.stderr);

    let folder = installation.path("mails");
    fs::create_dir(&folder).unwrap();
    fs::write(
        folder.join("reset_password.en.txt"),
        "Subject: Ours\n\n{{ link }}\n",
    )
    .unwrap();
    let installation = installation.with("ROSTER__MAIL__TEMPLATE_DIR", folder.to_str().unwrap());
    let plain = installation
        .succeeds(&["mail", "preview", "reset_password"])
        .await;
    assert!(plain.starts_with("Subject: Ours\n\nhttps://"), "{plain}");
    fs::write(folder.join("reset_password.en.txt"), "Subject: {{ lnik }}\n").unwrap();
    let line = installation.fails(&["mail", "preview", "password_changed"]).await;
    assert!(
        line.contains("reset_password.en.txt") && line.contains("lnik"),
        "{line}"
    );
}
