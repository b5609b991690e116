//! Who knows the password is let in, however many at once, and whatever others try.

use serde_json::json;

use super::{FromAddress as _, address, all, count, exhaust, left, limited, limited_with, seconds, wait};
use crate::support::{OTHER_PASSWORD, Stage, World};

scenario! {
    async fn many_sign_ins_of_one_user_at_once_are_let_in(stage: Stage) {
        let world = limited(&stage).await;
        let ada = world.register("ada").await;
        for at_once in [10, 40] {
            let answers = all((0..at_once).map(|_| world.log_in(&ada.email, &ada.password))).await;
            assert_eq!(count(&answers, 200), at_once);
        }
        assert_eq!(exhaust(&world, &ada.email).await, (10, 1));
    }

    async fn many_sign_ins_of_one_address_at_once_are_let_in(stage: Stage) {
        let world = limited_with(&stage, &[("address_burst", "3")]).await;
        let mut people = Vec::new();
        for number in 0..12 {
            people.push(world.register(&format!("user-{number}")).await);
        }
        let answers = all(people.iter().map(|person| world.log_in(&person.email, &person.password))).await;
        assert_eq!(count(&answers, 200), 12);
        assert_eq!(left(&world.log_in(&people[0].email, &people[0].password).await.expect(200)), 3);
    }

    async fn an_attack_on_one_account_concerns_nobody_else_and_no_session(stage: Stage) {
        let world = limited(&stage).await;
        let (ada, bob) = (world.register("ada").await, world.register("bob").await);
        let tokens = world.log_in(&ada.email, &ada.password).from("203.0.113.9").await.expect(200);
        let refresh = tokens.json()["refresh_token"].as_str().unwrap().to_owned();
        for turn in 0..1000 {
            let answer = world.log_in(&ada.email, "wrong-lantern-88").from(&address(turn)).await;
            assert!(matches!(answer.status, 401 | 429), "{answer}");
        }
        for turn in 0..15 {
            world.clock.advance(seconds(900));
            let answer = world.log_in(&ada.email, "wrong-lantern-88").from(&address(turn)).await.expect(401);
            assert!(left(&answer) > 0);
        }
        assert_eq!(wait(&world.log_in(&ada.email, &ada.password).from("203.0.113.9").await), 900);
        // Others sign in, as many as like.
        let answers = all((0..20).map(|turn| world.log_in(&bob.email, &bob.password).from(&address(turn)))).await;
        assert_eq!(count(&answers, 200), 20);
        // Who is signed in does what he likes: the access token's quarter of an hour is over, the session isn't.
        let form = [("grant_type", "refresh_token"), ("refresh_token", refresh.as_str())];
        let tokens = world.post("/oauth/token").form(&form).from("203.0.113.9").await.expect(200);
        let token = tokens.json()["access_token"].as_str().unwrap();
        let mine = |call: crate::support::Call| call.bearer(token).from("203.0.113.9");
        mine(world.get("/users/me")).await.expect(200);
        mine(world.patch("/users/me")).json(&json!({"display_name": "Ada"})).await.expect(200);
        mine(world.get("/users/me/sessions")).await.expect(200);
        let change = ada.confirming(json!({"password": OTHER_PASSWORD}));
        mine(world.put("/users/me")).json(&change).await.expect(200);
        // That shows who the owner is: from then on the wait is over.
        world.log_in(&ada.email, OTHER_PASSWORD).from("203.0.113.9").await.expect(200);
    }

    async fn what_was_not_looked_at_is_not_held_against_anybody(stage: Stage) {
        let world = World::with(&stage, |variables| {
            variables.set("ROSTER__LIMITS__ENABLED", "true");
            variables.set("ROSTER__LIMITS__ACCOUNT_BURST", "0");
            variables.set("ROSTER__PASSWORD__HASHING_THREADS", "1");
            variables.set("ROSTER__PASSWORD__BCRYPT_COST", "8");
            variables.set("ROSTER__PASSWORD__HASHING_MAX_WAIT_MS", "0");
        })
        .await;
        let answers = all((0..40).map(|_| world.log_in("nobody@example.test", "wrong-lantern-88"))).await;
        let (refused, busy) = (count(&answers, 401), count(&answers, 503));
        assert_eq!(refused + busy, 40);
        assert!(busy > 0, "nothing was too much");
        let states = world.limit_rows().await;
        let counted = (states[0].drained_at - world.now_in_milliseconds()) / 36_000;
        assert_eq!(usize::try_from(counted).unwrap(), refused);
    }

    async fn an_account_says_how_it_stands(stage: Stage) {
        let world = limited(&stage).await;
        let (ada, bob) = (world.register("ada").await, world.register("bob").await);
        let emails = ["nobody@example.test", ada.email.as_str(), bob.email.as_str()];
        let states = || roster::limits::account_states(&world.state, &emails);
        assert!(states().await.unwrap().iter().all(|state| *state == roster::limits::AccountState::default()));
        for _ in 0..3 {
            world.log_in(&bob.email, OTHER_PASSWORD).await.expect(401);
        }
        exhaust(&world, &ada.email).await;
        let told = states().await.unwrap();
        assert_eq!(told[0], roster::limits::AccountState::default());
        assert_eq!((told[1].failed_logins, told[2].failed_logins), (10, 3));
        let until = world.state.ambient.now() + seconds(1);
        assert_eq!((told[1].locked_until, told[2].locked_until), (Some(until), None));
        world.clock.advance(seconds(3600));
        let told = states().await.unwrap();
        assert_eq!((told[1].failed_logins, told[1].locked_until), (9, None));
        let nobody = roster::limits::account_states(&world.state, &[]).await.unwrap();
        assert!(nobody.is_empty());
    }
}
