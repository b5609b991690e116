//! What mails and pages look like, in a narrow window and in a wide one: pictures for whoever wants to see them, and what
//! can be measured.

use serde_json::json;

use crate::browser::Browser;
use crate::support::Installation;

#[tokio::test]
async fn mails_and_pages_fit_into_narrow_and_wide_windows() {
    let Some(browser) = Browser::start().await else {
        return;
    };
    let installation = Installation::new();
    let server = installation.serve().await;
    let folder = installation.path("previews");
    std::fs::create_dir(&folder).unwrap();
    let mut shown = Vec::new();
    for (name, locale) in [
        ("reset_password", "en"),
        ("verify_email", "de"),
        ("email_changed", "en"),
    ] {
        let page = installation
            .succeeds(&["mail", "preview", name, "--html", "--locale", locale])
            .await;
        let file = folder.join(format!("{name}.{locale}.html"));
        std::fs::write(&file, page).unwrap();
        shown.push((name, format!("file://{}", file.display())));
    }
    shown.push(("page-reset", server.url("/reset-password?token=x")));
    shown.push(("page-typed", server.url("/verify-email")));
    for (name, url) in &shown {
        for (size, width) in [("narrow", 320), ("wide", 1200)] {
            browser.resize(width, 900).await;
            browser.open(url).await;
            browser.picture(&format!("mail-{name}-{size}.png")).await;
            let overflow = browser
                .evaluate("return document.documentElement.scrollWidth - window.innerWidth")
                .await;
            assert!(
                overflow.as_i64().unwrap() <= 0,
                "{name} is {overflow} too wide at {width}"
            );
            // Dark and light alike: text is told from its ground.
            let scheme = browser
                .evaluate("return getComputedStyle(document.documentElement).colorScheme")
                .await;
            assert_eq!(scheme, json!("light dark"), "{name}");
        }
    }
    browser.quit().await;
    server.stop().await;
}
