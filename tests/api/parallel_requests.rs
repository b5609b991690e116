//! Requests of the same instant, and connections that end before their answer.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use reqwest::Method;
use sea_orm::{ConnectionTrait as _, DbBackend, Statement};
use serde_json::{Value, json};

use crate::support::{OTHER_PASSWORD, PASSWORD, Persona, World, all};

fn body(email: &str) -> Value {
    json!({"email": email, "password": PASSWORD})
}

scenario! {
    async fn a_cut_connection_makes_no_second_account(world: World) {
        for round in 0..10 {
            let email = format!("ada{round}@x.test");
            let text = body(&email).to_string();
            let request = format!(
                "POST /users/ HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{text}",
                text.len()
            );
            let mut connection = world.connection().await;
            connection.send(request).await;
            connection.reset();
            // The client never heard of the first one, and tries again.
            let retry = world.post("/users/").json(&body(&email)).await;
            assert!(matches!(retry.status, 201 | 409), "{retry}");
            world
                .post("/users/")
                .json(&body(&email))
                .await
                .expect(409)
                .problem("email-taken");
            assert_eq!(world.count_users_of(&email).await, 1);
            world.log_in(&email, PASSWORD).await.expect(200);
        }
    }

    async fn half_a_request_makes_no_account(world: World) {
        let text = body("ada@x.test").to_string();
        let mut connection = world.connection().await;
        let head = format!(
            "POST /users/ HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            text.len() + 1
        );
        connection.send(head + &text).await;
        connection.reset();
        world.post("/users/").json(&body("ada@x.test")).await.expect(201);
        assert_eq!(world.count_users().await, 1);
    }

    async fn of_parallel_spellings_of_one_address_one_registers(world: World) {
        let spellings = ["jos\u{e9}@x.test", "JOSE\u{301}@X.test"];
        let calls = (0..20).map(|n| world.post("/users/").json(&body(spellings[n % 2])));
        let answers = all(calls.collect::<Vec<_>>()).await;
        let created = answers.iter().filter(|answer| answer.status == 201).count();
        let taken = answers.iter().filter(|answer| answer.status == 409).count();
        assert_eq!((created, taken), (1, 19));
        for answer in answers.iter().filter(|answer| answer.status == 409) {
            answer.problem("email-taken");
        }
        assert_eq!(world.count_users().await, 1);
        assert_eq!(world.audit("user.registered").await.len(), 1);
        world.log_in(spellings[0], PASSWORD).await.expect(200);
    }

    async fn parallel_registrations_on_two_instances_make_one_account(world: World) {
        let other = world.second_instance().await;
        let calls = (0..10).map(|n| {
            let instance = if n % 2 == 0 { &world } else { &other };
            instance.post("/users/").json(&body("ada@x.test"))
        });
        let answers = all(calls.collect::<Vec<_>>()).await;
        let created = answers.iter().filter(|answer| answer.status == 201).count();
        let taken = answers.iter().filter(|answer| answer.status == 409).count();
        assert_eq!((created, taken), (1, 9));
        assert_eq!(world.count_users().await, 1);
    }

    async fn parallel_registrations_of_different_addresses_all_succeed(world: World) {
        let calls = (0..20).map(|n| world.post("/users/").json(&body(&format!("a{n}@x.test"))));
        for answer in all(calls.collect::<Vec<_>>()).await {
            answer.expect(201);
        }
        assert_eq!(world.count_users().await, 20);
    }

    async fn honest_parallel_logins_all_succeed(world: World) {
        let ada = world.register("ada").await;
        let calls: Vec<_> = (0..10).map(|_| world.log_in(&ada.email, &ada.password)).collect();
        let mut tokens = BTreeSet::new();
        for answer in all(calls).await {
            tokens.insert(
                answer.expect(200).json()["access_token"]
                    .as_str()
                    .unwrap()
                    .to_owned(),
            );
        }
        assert_eq!(tokens.len(), 10);
        assert_eq!(world.sessions_of(&ada).await.len(), 10);
        for token in tokens {
            world.profile(&token).await;
        }
    }

    async fn a_login_beside_a_deletion_leaves_no_session(world: World) {
        for round in 0..8 {
            let ada: Persona = world.register(&format!("ada{round}")).await;
            let token = world.sign_in(&ada).await;
            let calls = vec![
                world.log_in(&ada.email, &ada.password),
                world.delete("/users/me").bearer(&token),
                world.log_in(&ada.email, &ada.password),
                world.log_in(&ada.email, &ada.password),
            ];
            for answer in all(calls).await {
                match (answer.method.clone(), answer.status) {
                    (Method::DELETE, 204) | (Method::POST, 401) => {}
                    (Method::POST, 200) => {
                        let token = answer.json()["access_token"].as_str().unwrap();
                        world.get("/users/me").bearer(token).await.expect(401);
                    }
                    _ => panic!("{answer}"),
                }
            }
            assert_eq!(world.count_users().await, 0);
            assert_eq!(world.count_sessions().await, 0);
        }
    }

    async fn of_the_last_two_admins_one_stays(world: World) {
        for round in 0..5 {
            let mut calls = Vec::new();
            for name in ["left", "right"] {
                let persona = world.register(&format!("{name}{round}")).await;
                world.set_roles(&persona, &["admin"]).await;
                calls.push(world.delete("/users/me").bearer(&world.sign_in(&persona).await));
            }
            let mut statuses: Vec<u16> = all(calls).await.iter().map(|answer| answer.status).collect();
            statuses.sort_unstable();
            // Of the first round one is left, who makes the others free to go.
            assert_eq!(statuses, if round == 0 { [204, 409] } else { [204, 204] });
            assert_eq!(world.count_users().await, 1);
        }
    }

    async fn a_change_beside_a_deletion_is_done_or_refused(world: World) {
        for round in 0..8 {
            let ada = world.register(&format!("ada{round}")).await;
            let token = world.sign_in(&ada).await;
            let rename = |number: usize| json!({"display_name": format!("Ada {number}")});
            let secret = ada.confirming(json!({"password": OTHER_PASSWORD}));
            let calls = vec![
                world.put("/users/me").bearer(&token).json(&rename(1)),
                world.delete("/users/me").bearer(&token),
                world.put("/users/me").bearer(&token).json(&secret),
                world.patch("/users/me").bearer(&token).json(&rename(2)),
            ];
            let answers = all(calls).await;
            for answer in &answers {
                match (answer.method.as_str(), answer.status) {
                    ("PUT" | "PATCH", 200 | 401) | ("DELETE", 204 | 401) => {}
                    _ => panic!("{answer}"),
                }
            }
            // The password change may have ended the session before the deletion came; else everything is gone.
            let (deleted, changed) = (answers[1].status == 204, answers[2].status == 200);
            assert!(deleted || changed);
            assert_eq!(world.count_users_of(&ada.email).await, u64::from(!deleted));
            assert_eq!(world.sessions_of(&ada).await.len(), usize::from(!deleted));
        }
    }

    async fn parallel_changes_lose_nothing_that_another_one_wrote(world: World) {
        let ada = world.register("ada").await;
        let token = world.sign_in(&ada).await;
        let calls = (0..20).map(|n| {
            let change = if n % 2 == 0 {
                json!({"display_name": format!("Ada {n}")})
            } else {
                json!({"metadata": {"n": n}})
            };
            world.put("/users/me").bearer(&token).json(&change)
        });
        for answer in all(calls.collect::<Vec<_>>()).await {
            answer.expect(200);
        }
        let row = world.user_row(&ada).await;
        assert!(row.display_name.unwrap().starts_with("Ada "));
        assert!(row.metadata.starts_with(r#"{"n":"#));
        // Registered, signed in, and twenty changes.
        assert_eq!(row.revision, 22);
    }

    async fn two_users_who_swap_addresses_never_break_anything(world: World) {
        let (ada, bob) = (world.register("ada").await, world.register("bob").await);
        let tokens = [world.sign_in(&ada).await, world.sign_in(&bob).await];
        for round in 0..60 {
            // Both have their own again, or one of them an address that is free by now.
            let names = ["ada@example.test", "bob@example.test"];
            let wanted = if round % 2 == 0 {
                [names[1], names[0]]
            } else {
                names
            };
            let calls = [(&ada, 0), (&bob, 1)].map(|(persona, n): (&Persona, usize)| {
                let change = persona.confirming(json!({"email": wanted[n]}));
                world.put("/users/me").bearer(&tokens[n]).json(&change)
            });
            for answer in all(calls).await {
                assert!(matches!(answer.status, 200 | 409), "{answer}");
            }
        }
        // One moves away, and the other can have the address.
        let change = ada.confirming(json!({"email": "away@x.test"}));
        world
            .put("/users/me")
            .bearer(&tokens[0])
            .json(&change)
            .await
            .expect(200);
        let change = bob.confirming(json!({"email": "ada@example.test"}));
        world
            .put("/users/me")
            .bearer(&tokens[1])
            .json(&change)
            .await
            .expect(200);
        assert_eq!(world.count_users().await, 2);
    }

    async fn connections_that_are_cut_lose_nobody_elses_writes(world: World) {
        let ada = world.register("ada").await;
        let token = world.sign_in(&ada).await;
        for round in 0..40 {
            let change = json!({"display_name": format!("Ada {round}")}).to_string();
            let request = format!(
                "PUT /users/me HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\
                 Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{change}",
                change.len()
            );
            let mut connections = Vec::new();
            for _ in 0..4 {
                let mut connection = world.connection().await;
                connection.send(&request).await;
                connections.push(connection);
            }
            // Each round cuts a little later, from before the server has read to after it has answered.
            for _ in 0..round * 8 {
                tokio::task::yield_now().await;
            }
            for connection in connections {
                connection.reset();
            }
            // Whoever gets one of those database connections next: what is acknowledged is there for everybody.
            let email = format!("a{round}@x.test");
            world.post("/users/").json(&body(&email)).await.expect(201);
            assert_eq!(world.count_users_of(&email).await, 1);
        }
        if world.db().get_database_backend() == DbBackend::Postgres {
            let began = instant_of_the_database(&world).await;
            for round in 0..20 {
                let change = json!({"display_name": format!("Later {round}")});
                world
                    .put("/users/me")
                    .bearer(&token)
                    .json(&change)
                    .await
                    .expect(200);
            }
            // Nothing that began before those twenty is still going on.
            let stuck = Statement::from_sql_and_values(
                DbBackend::Postgres,
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND xact_start < $1::timestamptz",
                [began.into()],
            );
            let row = world.db().query_one_raw(stuck).await.unwrap().unwrap();
            assert_eq!(row.try_get_by_index::<i64>(0).unwrap(), 0);
        }
        assert_eq!(world.count_users().await, 41);
    }
}

async fn instant_of_the_database(world: &World) -> DateTime<Utc> {
    let now = Statement::from_string(DbBackend::Postgres, "SELECT clock_timestamp()");
    let row = world.db().query_one_raw(now).await.unwrap().unwrap();
    row.try_get_by_index(0).unwrap()
}
