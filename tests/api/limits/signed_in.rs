//! Wrong current passwords from a session.

use serde_json::json;

use super::{exhaust, left, limited, seconds, wait};
use crate::support::{OTHER_PASSWORD, Stage};

scenario! {
    async fn a_session_has_as_many_attempts_as_an_account_and_they_count_for_it(stage: Stage) {
        let world = limited(&stage).await;
        let ada = world.register("ada").await;
        let (token, other) = (world.sign_in(&ada).await, world.sign_in(&ada).await);
        let change = |token: &str, current: &str| {
            let body = json!({"email": "lovelace@example.test", "current_password": current});
            world.patch("/users/me").bearer(token).json(&body)
        };
        for turn in 0..10 {
            let answer = change(&token, "wrong-lantern-88").await.expect(403);
            answer.problem("wrong-current-password");
            assert_eq!(left(&answer), 9 - turn);
        }
        assert_eq!(wait(&change(&token, &ada.password).await), 1);
        // What needs no password isn't held up.
        world.patch("/users/me").bearer(&token).json(&json!({"display_name": "Ada"})).await.expect(200);
        // A stolen session is no second door: what was tried there was tried on the account.
        assert_eq!(wait(&world.log_in(&ada.email, &ada.password).await), 1);
        assert_eq!(world.only_audit("user.locked").await.subject_id, Some(ada.id));
        // The owner's own session has its own attempts.
        change(&other, OTHER_PASSWORD).await.expect(403);
        let answer = change(&other, &ada.password).await.expect(200);
        assert_eq!(left(&answer), 10);
        world.log_in("lovelace@example.test", &ada.password).await.expect(200);
        world.clock.advance(seconds(1));
        change(&token, OTHER_PASSWORD).await.expect(403);
        assert_eq!(wait(&change(&token, OTHER_PASSWORD).await), 2);
    }

    async fn whoever_is_signed_in_can_change_the_password_under_attack(stage: Stage) {
        let world = limited(&stage).await;
        let ada = world.register("ada").await;
        let token = world.sign_in(&ada).await;
        exhaust(&world, &ada.email).await;
        let wrong = json!({"password": OTHER_PASSWORD, "current_password": "wrong-lantern-88"});
        world.put("/users/me").bearer(&token).json(&wrong).await.expect(403);
        let right = ada.confirming(json!({"password": OTHER_PASSWORD}));
        world.put("/users/me").bearer(&token).json(&right).await.expect(200);
        world.log_in(&ada.email, OTHER_PASSWORD).await.expect(200);
    }

    async fn parallel_guesses_from_a_session_do_not_slip_through(stage: Stage) {
        let world = limited(&stage).await;
        let ada = world.register("ada").await;
        let token = world.sign_in(&ada).await;
        let wrong = json!({"password": OTHER_PASSWORD, "current_password": "wrong-lantern-88"});
        let answers = super::all((0..40).map(|_| world.put("/users/me").bearer(&token).json(&wrong))).await;
        assert_eq!((super::count(&answers, 403), super::count(&answers, 429)), (10, 30));
    }
}
