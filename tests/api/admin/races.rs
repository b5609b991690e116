//! Admins and others, at the same moment.

use roster::domain::UserStatus;
use serde_json::json;

use super::{Admin, path};
use crate::support::{Persona, World, all};

/// How often two admins try to end each other; `ROSTER_RACE_ROUNDS` says how often instead.
fn rounds() -> usize {
    let chosen = std::env::var_os("ROSTER_RACE_ROUNDS");
    chosen
        .and_then(|rounds| rounds.to_str()?.parse().ok())
        .unwrap_or(50)
}

scenario! {
    async fn two_admins_who_end_each_other_at_once_always_leave_one(world: World) {
        let first = Admin::of(&world).await;
        let second = world.register("second").await;
        for round in 0..rounds() {
            world.set_roles(&second, &["admin"]).await;
            world.set_roles(&first.persona, &["admin"]).await;
            for persona in [&first.persona, &second] {
                world.set_status(persona, UserStatus::Active).await;
            }
            let tokens = [world.sign_in(&first.persona).await, world.sign_in(&second).await];
            let change = if round % 2 == 0 { json!({"roles": []}) } else { json!({"status": "disabled"}) };
            let calls = [(&tokens[0], &second), (&tokens[1], &first.persona)];
            let calls = calls.map(|(token, target)| world.patch(&path(target)).bearer(token).json(&change));
            let mut statuses: Vec<u16> = all(calls).await.iter().map(|answer| answer.status).collect();
            let winner = usize::from(statuses[0] != 200);
            statuses.sort_unstable();
            assert_eq!(statuses[0], 200, "{statuses:?}");
            assert!([401, 403, 409].contains(&statuses[1]), "{statuses:?}");

            // Whoever was faster is the one active admin that is left, and the other isn't let in.
            let asked = tokens.each_ref().map(|token| {
                world.get("/admin/users?role=admin&status=active").bearer(token)
            });
            let answers = all(asked).await;
            let shown = answers[winner].clone().expect(200);
            let items = shown.json()["items"].as_array().unwrap();
            let left: Vec<&str> = items.iter().map(|item| item["id"].as_str().unwrap()).collect();
            assert_eq!(left, [[&first.persona, &second][winner].id.to_string()], "round {round}");
            assert!([401, 403].contains(&answers[1 - winner].status), "round {round}: {}", answers[1 - winner]);
        }
    }

    async fn two_admins_who_delete_accounts_at_once_always_leave_one(world: World) {
        let mut left: Option<Persona> = None;
        for round in 0..rounds() {
            let first = Admin::called(&world, &format!("first-{round}")).await;
            let second = Admin::called(&world, &format!("second-{round}")).await;
            if let Some(left) = left.take() {
                world.set_roles(&left, &[]).await;
            }
            // Each the other, or each the own account.
            let is_own = round % 2 == 1;
            let paths = if is_own {
                ["/users/me".to_owned(), "/users/me".to_owned()]
            } else {
                [path(&second.persona), path(&first.persona)]
            };
            let calls = [(&paths[0], &first), (&paths[1], &second)];
            let calls = calls.map(|(path, admin)| world.delete(path).bearer(&admin.token));
            let mut statuses: Vec<u16> = all(calls).await.iter().map(|answer| answer.status).collect();
            let winner = usize::from(statuses[0] != 204);
            statuses.sort_unstable();
            assert_eq!(statuses[0], 204, "round {round}: {statuses:?}");
            let refusals: &[u16] = if is_own { &[409] } else { &[401, 403, 409] };
            assert!(refusals.contains(&statuses[1]), "round {round}: {statuses:?}");

            // Whoever was faster has gone, or has seen the other off.
            let (mut gone, mut stays) = if winner == 0 { (second, first) } else { (first, second) };
            if is_own {
                std::mem::swap(&mut gone, &mut stays);
            }
            let shown = world.get("/admin/users?role=admin&status=active").bearer(&stays.token).await.expect(200);
            let items = shown.json()["items"].as_array().unwrap();
            let admins: Vec<&str> = items.iter().map(|item| item["id"].as_str().unwrap()).collect();
            assert_eq!(admins, [stays.persona.id.to_string()], "round {round}");
            world.get("/users/me").bearer(&gone.token).await.expect(401);
            left = Some(stays.persona);
        }
    }

    async fn the_last_active_admin_stays(world: World) {
        let admin = Admin::of(&world).await;
        let other = world.register("other").await;
        world.set_roles(&other, &["admin"]).await;
        world.set_status(&other, UserStatus::Disabled).await;
        for change in [json!({"roles": []}), json!({"roles": ["editor"]}), json!({"status": "disabled"})] {
            let call = world.patch(&path(&admin.persona)).bearer(&admin.token).json(&change);
            call.await.expect(409).problem("conflict");
        }
        world.delete(&path(&admin.persona)).bearer(&admin.token).await.expect(409).problem("conflict");
        world.patch(&path(&other)).bearer(&admin.token).json(&json!({"status": "active"})).await.expect(200);
        world.delete(&path(&admin.persona)).bearer(&admin.token).await.expect(204);
    }

    async fn whoever_loses_the_role_is_refused_from_the_next_request_on(world: World) {
        let admin = Admin::of(&world).await;
        let other = world.register("other").await;
        world.set_roles(&other, &["admin"]).await;
        let token = world.sign_in(&other).await;
        world.get("/admin/users").bearer(&token).await.expect(200);
        world.patch(&path(&other)).bearer(&admin.token).json(&json!({"roles": ["editor"]})).await.expect(200);
        world.get("/admin/users").bearer(&token).await.expect(403);
        world.profile(&token).await;
        world.set_roles(&other, &["admin"]).await;
        world.get("/admin/users").bearer(&token).await.expect(200);
        world.set_status(&other, UserStatus::Disabled).await;
        world.get("/admin/users").bearer(&token).await.expect(401);
    }
}
