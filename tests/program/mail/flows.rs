//! Every flow as a person goes through it: the mail is read, its link is opened in a browser, and a button is pressed.

use serde_json::{Value, json};

use super::server::{Mail, MailServer, Manner, PLAIN, USER};
use crate::browser::Browser;
use crate::support::{Client, Installation, PASSWORD, Server};

const NEW_PASSWORD: &str = "velvet-harbor-cinder-52";

fn with_mail(mails: &MailServer) -> Installation {
    Installation::new()
        .with("ROSTER__MAIL__SMTP_URL", &mails.url())
        .with("ROSTER__MAIL__CA_FILE", &mails.roots())
        .with("ROSTER__MAIL__FROM", "Example Accounts <accounts@example.org>")
}

/// Opens the link of a mail, fills what there is to fill, and presses the button.
async fn press(browser: &Browser, mail: &Mail, password: Option<&str>, says: &str) {
    browser.open(mail.link()).await;
    if let Some(password) = password {
        browser.find("#password").await.fill(password).await;
    }
    browser.find("button").await.click().await;
    // The page that opens has one or the other; the one before has neither.
    let told = browser.find("[role=status], [role=alert]").await.text().await;
    assert!(told.contains(says), "{told}");
}

async fn signed_in(client: &Client, email: &str, password: &str) -> Value {
    let (status, body) = client.try_login(email, password).await;
    assert_eq!(status, 200, "{body}");
    let (status, user) = client.me(body["access_token"].as_str().unwrap()).await;
    assert_eq!(status, 200);
    user
}

#[tokio::test]
async fn a_person_registers_forgets_the_password_and_moves_to_another_address() {
    let Some(mut mails) = MailServer::start(PLAIN).await else {
        return;
    };
    let Some(browser) = Browser::start().await else {
        return;
    };
    let server = with_mail(&mails).serve().await;
    let client = server.client();

    client.register("ada@example.com").await;
    let mail = mails.mail_to("ada@example.com", 1).await;
    assert_eq!(mail.header("From"), "\"Example Accounts\" <accounts@example.org>");
    assert_eq!(mail.header("Subject"), "Confirm your e-mail address");
    assert!(
        mail.link().starts_with(&server.url("/verify-email?token=")),
        "{}",
        mail.link()
    );
    press(&browser, &mail, None, "Your address is confirmed.").await;
    assert_eq!(
        signed_in(&client, "ada@example.com", PASSWORD).await["email_verified"],
        true
    );

    let ask = json!({ "email": "ada@example.com" });
    assert_eq!(client.post("/forgot-password", &ask).await.0, 202);
    let mail = mails.mail_to("ada@example.com", 2).await;
    press(&browser, &mail, Some("password1234"), "New password").await;
    press(&browser, &mail, Some(NEW_PASSWORD), "The password is set.").await;
    assert_eq!(client.try_login("ada@example.com", PASSWORD).await.0, 401);
    signed_in(&client, "ada@example.com", NEW_PASSWORD).await;
    assert_eq!(
        mails.mail_to("ada@example.com", 3).await.header("Subject"),
        "Your password was changed"
    );
    press(&browser, &mail, Some(NEW_PASSWORD), "This code is not valid").await;

    let (_, body) = client.try_login("ada@example.com", NEW_PASSWORD).await;
    let change = json!({ "email": "countess@example.com", "current_password": NEW_PASSWORD });
    let put = client
        .request(reqwest::Method::PUT, "/users/me")
        .bearer_auth(body["access_token"].as_str().unwrap())
        .json(&change);
    let (status, user) = Client::answer(put).await;
    assert_eq!(
        (status, &user["pending_email"]),
        (200, &json!("countess@example.com")),
        "{user}"
    );
    let mail = mails.mail_to("countess@example.com", 1).await;
    press(&browser, &mail, None, "Your account has the new address now.").await;
    let user = signed_in(&client, "countess@example.com", NEW_PASSWORD).await;
    assert_eq!(
        (&user["email_verified"], &user["pending_email"]),
        (&json!(true), &Value::Null)
    );
    assert_eq!(
        mails.mail_to("ada@example.com", 5).await.header("Subject"),
        "Your e-mail address was changed"
    );

    browser.quit().await;
    let log = server.stop().await;
    for line in &log {
        for never in ["roster_ml_", "@example.com", "token="] {
            assert!(!line.contains(never), "{never} in {line}");
        }
    }
}

#[tokio::test]
async fn where_addresses_are_proven_first_the_account_comes_with_the_button() {
    let Some(mut mails) = MailServer::start(PLAIN).await else {
        return;
    };
    let Some(browser) = Browser::start().await else {
        return;
    };
    let installation = with_mail(&mails).with("ROSTER__REGISTRATION__MODE", "verified");
    let server = installation.serve().await;
    let client = server.client();
    let body = json!({ "email": "ada@example.com", "password": PASSWORD, "locale": "de" });
    let (status, first) = client.post("/users/", &body).await;
    assert_eq!(status, 202);
    assert_eq!(client.try_login("ada@example.com", PASSWORD).await.0, 401);
    let mail = mails.mail_to("ada@example.com", 1).await;
    assert!(
        mail.content.contains("Bestätige, dass die Adresse dir"),
        "{}",
        mail.content
    );
    press(&browser, &mail, None, "Your address is confirmed.").await;
    signed_in(&client, "ada@example.com", PASSWORD).await;
    let (status, second) = client.post("/users/", &body).await;
    assert_eq!((status, &second), (202, &first));
    let mail = mails.mail_to("ada@example.com", 2).await;
    assert!(!mail.content.contains("token="));
    browser.quit().await;
    server.stop().await;
}

async fn arrives(manner: Manner) -> Option<(Mail, Server)> {
    let mut mails = MailServer::start(manner).await?;
    let server = with_mail(&mails).serve().await;
    server.client().register("ada@example.com").await;
    let mail = mails.mail_to("ada@example.com", 1).await;
    Some((mail, server))
}

#[tokio::test]
async fn mail_goes_out_encrypted_and_signed_in_either_way() {
    for tls in ["starttls", "start"] {
        let manner = Manner {
            tls,
            asks_who: true,
            seconds: 0.0,
        };
        let Some((mail, server)) = arrives(manner).await else {
            return;
        };
        assert!(mail.is_encrypted, "{tls}");
        assert_eq!(mail.user.as_deref(), Some(USER));
        server.stop().await;
    }
}

#[tokio::test]
async fn a_mail_server_that_cannot_prove_who_it_is_or_does_not_encrypt_gets_nothing() {
    let encrypted = Manner {
        tls: "starttls",
        asks_who: true,
        seconds: 0.0,
    };
    for manner in [encrypted, PLAIN] {
        let Some(mails) = MailServer::start(manner).await else {
            return;
        };
        let url = mails.url().replace("?tls=required", "");
        let installation = Installation::new().with("ROSTER__MAIL__SMTP_URL", &format!("{url}?tls=required"));
        let mut server = installation.serve().await;
        server.client().register("ada@example.com").await;
        server.wait_for_log("a mail was not sent").await;
        assert!(mails.mails().is_empty());
        let listed = installation.json(&["mail", "list"]).await;
        assert_eq!(listed[0]["state"], "queued");
        assert!(listed[0]["last_error"].is_string(), "{listed}");
        server.stop().await;
    }
}

#[tokio::test]
async fn a_mailbox_that_does_not_exist_is_given_up_at_once_and_an_operator_sees_why() {
    let Some(mails) = MailServer::start(PLAIN).await else {
        return;
    };
    let installation = with_mail(&mails);
    let mut server = installation.serve().await;
    server.client().register("no-such-user@example.com").await;
    server.wait_for_log("a mail is given up").await;
    let listed = installation.json(&["mail", "list", "--state", "dead"]).await;
    assert_eq!(listed[0]["recipient"], "no-such-user@example.com");
    assert!(
        listed[0]["last_error"].as_str().unwrap().contains("550"),
        "{listed}"
    );
    let id = listed[0]["id"].as_str().unwrap();
    installation.succeeds(&["mail", "retry", id]).await;
    server.wait_for_nth_log("a mail is given up", 2).await;
    for command in ["retry", "purge"] {
        let unknown = "0190a5d0-3c5e-7b2f-8a41-0d6f2b7c9e13";
        let line = installation.fails(&["mail", command, unknown, "--dry-run"]).await;
        assert!(
            line.contains("1 of the mails that were named (1) can't be found"),
            "{line}"
        );
    }
    installation.succeeds(&["mail", "purge", "--yes"]).await;
    assert_eq!(installation.json(&["mail", "list"]).await, json!([]));
    server.stop().await;
}

#[tokio::test]
async fn any_letters_arrive_whatever_the_language() {
    let Some(mut mails) = MailServer::start(PLAIN).await else {
        return;
    };
    let server = with_mail(&mails).serve().await;
    let body = json!({ "email": "josé@bücher.example", "password": PASSWORD, "locale": "de-AT" });
    assert_eq!(server.client().post("/users/", &body).await.0, 201);
    let mail = mails.mail_to("jos\\u00e9@xn--bcher-kva.example", 1).await;
    assert!(mail.content.contains("gehört"), "{}", mail.content);
    // Combining marks and symbols, as the mail server prints them.
    for (email, printed) in [
        (
            "हिन्दी@example.com",
            r"\u0939\u093f\u0928\u094d\u0926\u0940@example.com",
        ),
        ("ก็@example.com", r"\u0e01\u0e47@example.com"),
        ("a·b@example.com", r"a\u00b7b@example.com"),
        ("€@example.com", r"\u20ac@example.com"),
        ("💩@example.com", r"\ud83d\udca9@example.com"),
    ] {
        server.client().register(email).await;
        let mail = mails.mail_to(printed, 1).await;
        assert_eq!(mail.header("To"), email);
    }
    server.stop().await;
}
