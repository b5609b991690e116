//! `RateLimit` and `RateLimit-Policy`.

use serde_json::json;

use super::{FromAddress as _, limited, limited_with, seconds, wait};
use crate::support::{OTHER_PASSWORD, Stage};

scenario! {
    async fn they_tell_how_a_client_stands_before_anything_is_refused(stage: Stage) {
        let world = limited(&stage).await;
        let ada = world.register("ada").await;
        let told = |answer: &crate::support::Answer| {
            (answer.header("ratelimit-policy").to_owned(), answer.header("ratelimit").to_owned())
        };
        let both = "\"account\";q=10;w=36000, \"address\";q=100;w=3600".to_owned();
        let answer = world.log_in(&ada.email, &ada.password).await.expect(200);
        assert_eq!(told(&answer), (both.clone(), "\"address\";r=100;t=0".to_owned()));
        let answer = world.log_in(&ada.email, OTHER_PASSWORD).await.expect(401);
        assert_eq!(told(&answer), (both.clone(), "\"address\";r=99;t=36".to_owned()));
        world.clock.advance(seconds(10));
        let form = [("grant_type", "password"), ("username", ada.email.as_str()), ("password", OTHER_PASSWORD)];
        let answer = world.post("/oauth/token").form(&form).await.expect(400);
        assert_eq!(told(&answer), (both.clone(), "\"address\";r=98;t=26".to_owned()));
        for _ in 0..9 {
            world.log_in("nobody@example.test", OTHER_PASSWORD).await.expect(401);
        }
        world.log_in("nobody@example.test", OTHER_PASSWORD).await.expect(401);
        let answer = world.log_in("nobody@example.test", OTHER_PASSWORD).await;
        wait(&answer);
        assert_eq!(told(&answer), (both, "\"account\";r=0;t=1".to_owned()));
        let newcomer = json!({"email": "bob@example.test", "password": OTHER_PASSWORD});
        let answer = world.post("/users/").json(&newcomer).await.expect(201);
        assert_eq!(told(&answer), ("\"registration\";q=300;w=3000".to_owned(), "\"registration\";r=299;t=10".to_owned()));
    }

    async fn they_do_not_tell_that_an_owner_has_signed_in(stage: Stage) {
        let world = limited(&stage).await;
        let ada = world.register("ada").await;
        let mut seen = Vec::new();
        for (email, from) in [(ada.email.as_str(), "203.0.113.1"), ("nobody@example.test", "203.0.113.2")] {
            let mut fields = Vec::new();
            for _ in 0..4 {
                let answer = world.log_in(email, OTHER_PASSWORD).from(from).await.expect(401);
                fields.push((answer.header("ratelimit").to_owned(), answer.header("ratelimit-policy").to_owned()));
                world.log_in(&ada.email, &ada.password).from("203.0.113.9").await.expect(200);
            }
            seen.push(fields);
        }
        assert_eq!(seen[0], seen[1]);
    }

    async fn what_has_no_limit_has_no_fields(stage: Stage) {
        let world = limited_with(&stage, &[("address_burst", "0")]).await;
        let ada = world.register("ada").await;
        let answer = world.log_in(&ada.email, &ada.password).await.expect(200);
        assert_eq!(answer.header("ratelimit-policy"), "\"account\";q=10;w=36000");
        assert!(!answer.headers.contains_key("ratelimit"));
        let token = answer.json()["access_token"].as_str().unwrap();
        for call in [
            world.get("/users/me").bearer(token),
            world.patch("/users/me").bearer(token).json(&json!({"display_name": "Ada"})),
            world.get("/"),
        ] {
            let answer = call.await.expect(200);
            assert!(!answer.headers.contains_key("ratelimit-policy"), "{answer}");
        }
    }
}
