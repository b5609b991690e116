//! The pages that links lead to.

use reqwest::Method;
use serde_json::json;

use crate::support::{OTHER_PASSWORD, Stage, World, token};

fn path_of(link: &str) -> String {
    let (_, rest) = link.split_once("://").unwrap();
    format!("/{}", rest.split_once('/').unwrap().1)
}

scenario! {
    async fn opening_a_link_as_often_as_one_likes_changes_nothing(stage: Stage) {
        let world = World::with(&stage, |variables| {
            variables.set("ROSTER__ACCOUNT__CONFIRM_NEW_EMAIL", "true");
        }).await;
        let ada = world.register("ada").await;
        let mut letters = vec![world.only_letter().await];
        let bearer = world.sign_in(&ada).await;
        letters.push(world.forgot(&ada.email).await);
        let change = ada.confirming(json!({"email": "countess@example.test"}));
        world.put("/users/me").bearer(&bearer).json(&change).await.expect(200);
        letters.push(world.deliver().await.remove(1));
        let before = world.user_row(&ada).await;
        for letter in &letters {
            let path = path_of(letter.link.as_ref().unwrap());
            for method in [Method::GET, Method::HEAD, Method::GET, Method::HEAD] {
                let answer = world.call(method, &path).await.expect(200);
                let policy = answer.header("content-security-policy");
                assert!(policy.contains("form-action 'self'") && !policy.contains("script"), "{policy}");
                assert_eq!(answer.header("cache-control"), "no-store");
            }
        }
        assert_eq!(world.user_row(&ada).await, before);
        world.post("/verify-email").json(&json!({"token": token(&letters[0])})).await.expect(204);
        world.post("/users/me/email/confirm").json(&json!({"token": token(&letters[2])})).await.expect(200);
    }

    async fn the_button_does_it_and_the_page_says_so(world: World) {
        let ada = world.register("ada").await;
        let code = token(&world.only_letter().await);
        let page = world.post("/verify-email/form").form(&[("token", &code)]).await.expect(200);
        assert!(page.text().contains("Your address is confirmed."));
        let again = world.post("/verify-email/form").form(&[("token", &code)]).await.expect(422);
        assert!(again.text().contains("not valid, or not any more"), "{again}");
        let code = token(&world.forgot(&ada.email).await);
        let weak = world.post("/reset-password/form").form(&[("token", &code), ("password", "password1234")]).await
            .expect(422);
        assert!(weak.text().contains("role=\"alert\"") && weak.text().contains(&code), "{weak}");
        let page = world.post("/reset-password/form").form(&[("token", &code), ("password", OTHER_PASSWORD)]).await
            .expect(200);
        assert!(page.text().contains("The password is set."), "{page}");
        world.log_in(&ada.email, OTHER_PASSWORD).await.expect(200);
    }

    async fn whoever_has_no_link_types_the_short_code(world: World) {
        let ada = world.register("ada").await;
        let letter = world.only_letter().await;
        let page = world.get("/verify-email").await.expect(200);
        assert!(page.text().contains("name=\"email\"") && page.text().contains("type=\"email\""), "{page}");
        let code = crate::support::typed_code(&letter);
        let fields = [("email", ada.email.as_str()), ("token", code.as_str())];
        world.post("/verify-email/form").form(&fields).await.expect(200);
    }

    async fn what_comes_with_a_link_cannot_break_out_of_the_page(world: World) {
        let page = world.get("/verify-email?token=%22%3E%3Cscript%3Ealert(1)%3C/script%3E&utm_source=mail").await.expect(200);
        assert!(!page.text().contains("<script"), "{page}");
        assert!(page.text().contains("&quot;&gt;&lt;script&gt;"), "{page}");
        let fields = [("token", "x"), ("email", "\"><img src=x>")];
        let page = world.post("/reset-password/form").form(&fields).await.expect(422);
        assert!(!page.text().contains("<img"), "{page}");
    }

    async fn a_page_speaks_the_language_of_its_reader(world: World) {
        for (accepted, language) in [("de-AT,de;q=0.9,en;q=0.8", "de"), ("en,de;q=0.5", "en"), ("fr", "en"), ("*", "en")] {
            let page = world.get("/reset-password?token=x").header("accept-language", accepted).await.expect(200);
            assert!(page.text().contains(&format!("<html lang=\"{language}\">")), "{accepted}");
        }
    }

    async fn a_server_below_a_path_sends_its_forms_there(stage: Stage) {
        let world = World::with(&stage, |variables| {
            variables.set("ROSTER__SERVER__PUBLIC_URL", "http://accounts.test/auth");
        }).await;
        let page = world.get("/reset-password?token=x").await.expect(200);
        assert!(page.text().contains("action=\"/auth/reset-password/form\""), "{page}");
        world.register("ada").await;
        let letter = world.only_letter().await;
        assert!(letter.link.unwrap().starts_with("http://accounts.test/auth/verify-email?token="));
    }
}
