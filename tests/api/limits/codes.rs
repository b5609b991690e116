//! Wrong codes from a client address: those of mails, typed or in a link.

use serde_json::{Value, json};

use super::{FromAddress as _, address, all, count, face, left, limited_with, seconds, wait};
use crate::support::{Answer, Call, OTHER_PASSWORD, Stage, World, token, typed_code};

const WRONG: &str = "AAAA-AAAA";
const GUESSER: &str = "203.0.113.9";

/// A code for one of the doors that take one.
fn present(world: &World, path: &str, token: &str, email: &str) -> Call {
    let mut body = json!({"token": token, "email": email});
    if path == "/reset-password" {
        body["password"] = Value::from(OTHER_PASSWORD);
    }
    world.post(path).json(&body)
}

fn is_wrong(answer: &Answer) {
    answer.problem("invalid-or-expired-code");
}

scenario! {
    async fn wrong_codes_count_for_the_address_they_come_from(stage: Stage) {
        let world = limited_with(&stage, &[("address_burst", "3")]).await;
        let ada = world.register("ada").await;
        let code = typed_code(&world.only_letter().await);
        let verify = |code: &str, from: &str| present(&world, "/verify-email", code, &ada.email).from(from);
        for turn in 0..3 {
            let answer = verify(WRONG, GUESSER).await;
            is_wrong(&answer);
            assert_eq!(left(&answer), 2 - turn);
            assert_eq!(answer.header("ratelimit-policy"), "\"address\";q=3;w=108");
        }
        // From then on the right one isn't looked at either.
        assert_eq!(wait(&verify(&code, GUESSER).await), 36);
        world.clock.advance(seconds(35));
        assert_eq!(wait(&verify(&code, GUESSER).await), 1);
        world.clock.advance(seconds(1));
        is_wrong(&verify(WRONG, GUESSER).await);
        wait(&verify(WRONG, GUESSER).await);
        assert_eq!(left(&verify(&code, "203.0.113.10").await.expect(204)), 3);
    }

    async fn all_doors_for_codes_and_passwords_share_what_is_counted(stage: Stage) {
        let world = limited_with(&stage, &[("address_burst", "2")]).await;
        let doors = ["/verify-email", "/reset-password", "/users/me/email/confirm"];
        for (number, door) in doors.into_iter().enumerate() {
            let from = address(number);
            let call = || present(&world, door, WRONG, "nobody@example.test").from(&from);
            is_wrong(&call().await);
            world.log_in("nobody@example.test", "wrong-lantern-88").from(&from).await.expect(401);
            assert_eq!(wait(&call().await), 36);
            wait(&world.log_in("nobody@example.test", "wrong-lantern-88").from(&from).await);
            world.clock.advance(seconds(3600));
        }
    }

    async fn who_uses_a_page_is_told_there_to_wait(stage: Stage) {
        let world = limited_with(&stage, &[("address_burst", "1")]).await;
        let fields = [("token", WRONG), ("email", "nobody@example.test"), ("password", OTHER_PASSWORD)];
        let forms = ["/verify-email/form", "/reset-password/form", "/users/me/email/confirm/form"];
        for (number, form) in forms.into_iter().enumerate() {
            let from = address(number);
            let call = || world.post(form).form(&fields).from(&from);
            assert_eq!(left(&call().await.expect(422)), 0);
            let refused = call().await.expect(429);
            assert_eq!(refused.header("retry-after"), "36");
            assert!(refused.text().contains("too many attempts"), "{refused}");
            let german = call().header("accept-language", "de").await.expect(429);
            assert!(german.text().contains("zu viele Versuche"), "{german}");
        }
    }

    async fn parallel_guesses_at_codes_do_not_slip_through(stage: Stage) {
        let world = limited_with(&stage, &[("address_burst", "5")]).await;
        let other = world.second_instance().await;
        let calls = (0..20).map(|number| {
            let at = if number % 2 == 0 { &world } else { &other };
            let email = format!("user-{number}@example.test");
            present(at, "/reset-password", WRONG, &email).from(GUESSER)
        });
        let answers = all(calls).await;
        assert_eq!((count(&answers, 422), count(&answers, 429)), (5, 15));
    }

    async fn right_codes_cost_nothing_however_many_at_once(stage: Stage) {
        let world = limited_with(&stage, &[("address_burst", "2")]).await;
        let ada = world.register("ada").await;
        world.only_letter().await;
        let code = typed_code(&world.forgot(&ada.email).await);
        let reset = |code: &str, password: &str| {
            let body = json!({"token": code, "email": ada.email, "password": password});
            world.post("/reset-password").json(&body).from(GUESSER)
        };
        // The code is right, and the password isn't good enough.
        for answer in all((0..6).map(|_| reset(&code, "password1"))).await {
            answer.problem("validation-failed");
        }
        let answer = reset(&code, "password1").await;
        answer.problem("validation-failed");
        assert_eq!(left(&answer), 2);
        let answer = reset(WRONG, OTHER_PASSWORD).await;
        is_wrong(&answer);
        assert_eq!(left(&answer), 1);
        assert_eq!(left(&reset(&code, OTHER_PASSWORD).await.expect(204)), 1);
    }

    async fn a_link_is_good_whatever_others_behind_the_address_have_tried(stage: Stage) {
        let world = limited_with(&stage, &[("address_burst", "2")]).await;
        let ada = world.register("ada").await;
        let link = token(&world.only_letter().await);
        let verify = |code: &str| world.post("/verify-email").json(&json!({"token": code})).from(GUESSER);
        let wrong = "roster_ml_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
        is_wrong(&verify(wrong).await);
        is_wrong(&verify("nonsense").await);
        wait(&verify(wrong).await);
        wait(&verify("nonsense").await);
        wait(&present(&world, "/verify-email", WRONG, &ada.email).from(GUESSER).await);
        verify(&link).await.expect(204);
        // Used: now it is a wrong one like any other.
        wait(&verify(&link).await);
    }

    async fn wrong_codes_look_the_same_whatever_is_wrong_with_them(stage: Stage) {
        let world = limited_with(&stage, &[("address_burst", "2")]).await;
        let ada = world.register("ada").await;
        let bodies = [
            json!({"token": WRONG, "email": ada.email}),
            json!({"token": WRONG, "email": "nobody@example.test"}),
            json!({"token": "roster_ml_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}),
            json!({"token": "nonsense"}),
        ];
        let mut faces = Vec::new();
        for (number, body) in bodies.iter().enumerate() {
            let mut seen = Vec::new();
            for _ in 0..3 {
                seen.push(face(&world.post("/verify-email").json(body).from(&address(number)).await));
            }
            faces.push(seen);
        }
        let statuses: Vec<u16> = faces[0].iter().map(|face| face.0).collect();
        assert_eq!(statuses, [422, 422, 429]);
        for face in &faces[1..] {
            assert_eq!(*face, faces[0]);
        }
    }
}
