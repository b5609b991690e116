//! What else is limited: registrations, and wrong secrets of registered services.

use reqwest::Method;
use serde_json::{Value, json};

use super::{FromAddress as _, address, all, count, left, limited, limited_with, seconds, wait};
use crate::support::{PASSWORD, Stage, World, basic};

fn newcomer(number: usize) -> Value {
    json!({"email": format!("user-{number}@example.test"), "password": PASSWORD})
}

async fn introspect(world: &World, authorization: &str) -> crate::support::Answer {
    let call = world
        .post("/oauth/introspect")
        .header("authorization", authorization);
    call.form(&[("token", "nonsense")]).await
}

scenario! {
    async fn an_address_registers_so_many_and_then_one_by_one(stage: Stage) {
        let world = limited_with(&stage, &[("registration_burst", "3")]).await;
        let register = |number: usize, from: &str| world.post("/users/").json(&newcomer(number)).from(from);
        // What can't be a registration isn't one, and asking how to register isn't either.
        for _ in 0..5 {
            world.post("/users/").json(&json!({"email": "x"})).from("203.0.113.9").await.expect(422);
            world.call(Method::OPTIONS, "/users/").from("203.0.113.9").await.expect(204);
            world.call(Method::HEAD, "/users/").from("203.0.113.9").await.expect(405);
        }
        assert_eq!(left(&register(1, "203.0.113.9").await.expect(201)), 2);
        // One that finds the address taken has learnt that: it counts.
        assert_eq!(left(&register(1, "203.0.113.9").await.expect(409)), 1);
        assert_eq!(left(&register(2, "203.0.113.9").await.expect(201)), 0);
        let refused = register(3, "203.0.113.9").await;
        assert_eq!(wait(&refused), 10);
        assert_eq!(refused.header("ratelimit-policy"), "\"registration\";q=3;w=30");
        register(4, "203.0.113.10").await.expect(201);
        world.clock.advance(seconds(10));
        register(5, "203.0.113.9").await.expect(201);
        wait(&register(6, "203.0.113.9").await);
        assert_eq!(world.count_users().await, 4);
    }

    async fn parallel_registrations_are_counted_one_by_one(stage: Stage) {
        let world = limited_with(&stage, &[("registration_burst", "5")]).await;
        let other = world.second_instance().await;
        let calls = (0..20).map(|number| {
            let at = if number % 2 == 0 { &world } else { &other };
            at.post("/users/").json(&newcomer(number))
        });
        let answers = all(calls).await;
        assert_eq!((count(&answers, 201), count(&answers, 429)), (5, 15));
        assert_eq!(world.count_users().await, 5);
    }

    async fn by_default_an_office_registers_and_signs_in_as_fast_as_it_likes(stage: Stage) {
        let world = limited(&stage).await;
        let answers = all((0..250).map(|number| world.post("/users/").json(&newcomer(number)))).await;
        assert_eq!(count(&answers, 201), 250);
        let answers = all((0..250).map(|number| {
            world.log_in(&format!("user-{number}@example.test"), PASSWORD)
        }))
        .await;
        assert_eq!(count(&answers, 200), 250);
    }

    async fn whoever_asks_for_taken_addresses_by_a_change_of_the_own_one_is_limited_as_by_registering(stage: Stage) {
        let world = limited_with(&stage, &[("registration_burst", "4")]).await;
        let ada = world.register("ada").await;
        world.register("ben").await;
        world.clock.advance(seconds(3600));
        let token = world.sign_in(&ada).await;
        let change = |email: &str| {
            let body = ada.confirming(json!({"email": email}));
            world.patch("/users/me").bearer(&token).json(&body).from("203.0.113.9")
        };
        // Changes that are done cost nothing, and neither does what fails for another reason.
        for number in 0..6 {
            change(&format!("ada-{number}@example.test")).await.expect(200);
        }
        for _ in 0..6 {
            let call = change("other@example.test").header("if-match", "\"r99999\"");
            call.await.expect(412).problem("precondition-failed");
        }
        for turn in 0..3 {
            let answer = change("ben@example.test").await.expect(409);
            answer.problem("email-taken");
            assert_eq!(left(&answer), 3 - turn);
            assert_eq!(answer.header("ratelimit-policy"), "\"registration\";q=4;w=40");
        }
        // It is one number with registrations.
        assert_eq!(left(&world.post("/users/").json(&newcomer(1)).from("203.0.113.9").await.expect(201)), 0);
        wait(&world.post("/users/").json(&newcomer(2)).from("203.0.113.9").await);
        // From then on a free address and a taken one are refused alike, and nothing is changed.
        for email in ["ben@example.test", "free@example.test"] {
            assert_eq!(wait(&change(email).await), 10, "{email}");
        }
        assert_eq!(world.profile(&token).await["email"], "ada-5@example.test");
        // What isn't about another address goes on.
        let name = json!({"display_name": "Ada", "email": "ada-5@example.test", "current_password": ada.password});
        world.put("/users/me").bearer(&token).json(&name).from("203.0.113.9").await.expect(200);
        world.clock.advance(seconds(10));
        change("free@example.test").await.expect(200);
        change("ben@example.test").await.expect(409);
        wait(&change("ben@example.test").await);
    }

    async fn parallel_questions_for_taken_addresses_do_not_slip_through(stage: Stage) {
        let world = limited_with(&stage, &[("registration_burst", "5")]).await;
        let ada = world.register("ada").await;
        let ben = world.register("ben").await;
        world.clock.advance(seconds(3600));
        let token = world.sign_in(&ada).await;
        let body = ada.confirming(json!({"email": ben.email}));
        // Few enough for the session, whose right passwords take each other's places.
        let answers = all((0..9).map(|_| world.patch("/users/me").bearer(&token).json(&body))).await;
        assert_eq!((count(&answers, 409), count(&answers, 429)), (5, 4));
    }

    async fn wrong_secrets_of_services_are_limited_and_right_ones_never(stage: Stage) {
        let world = limited_with(&stage, &[("client_burst", "4")]).await;
        let right = world.resource_server().await;
        let service = roster::clients::service::list(&world.state).await.unwrap().remove(0);
        let wrong = basic(&service.id.to_string(), "roster_cs_wrong");
        for turn in 0..4 {
            let answer = introspect(&world, &wrong).await;
            answer.oauth_error("invalid_client");
            assert_eq!(left(&answer), 3 - turn);
        }
        for _ in 0..5 {
            let answer = introspect(&world, &wrong).await;
            assert_eq!(wait(&answer), 36);
            assert_eq!(answer.json()["error"], "temporarily_unavailable");
            // Nobody learns whether there is such a service.
            wait(&introspect(&world, &basic("nobody", "roster_cs_wrong")).await);
            introspect(&world, &right).await.expect(200);
        }
        assert_eq!(world.audit("client.authentication").await.len(), 4);
        world.log_in("nobody@example.test", "wrong-lantern-88").await.expect(401);
        let elsewhere = world.post("/oauth/introspect").header("authorization", &wrong).from(&address(1));
        elsewhere.form(&[("token", "nonsense")]).await.oauth_error("invalid_client");
    }
}
