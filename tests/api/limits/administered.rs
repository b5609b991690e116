//! What an admin sees of wrong passwords.

use chrono::{DateTime, TimeDelta, Utc};
use roster::clock::Clock as _;
use serde_json::{Value, json};

use super::{exhaust, limited, seconds};
use crate::support::{OTHER_PASSWORD, Persona, Stage, World};

/// `failed_logins` and `locked_until`, which are the same wherever an account is shown.
async fn seen(world: &World, admin: &str, persona: &Persona) -> (Value, Option<DateTime<Utc>>) {
    let one = world
        .get(&format!("/admin/users/{}", persona.id))
        .bearer(admin)
        .await
        .expect(200);
    let list = world
        .get(&format!("/admin/users?email={}", persona.email))
        .bearer(admin)
        .await
        .expect(200);
    assert_eq!(&list.json()["items"], &json!([one.json()]));
    let until = one.json()["locked_until"].as_str().map(|at| at.parse().unwrap());
    (one.json()["failed_logins"].clone(), until)
}

scenario! {
    async fn an_admin_sees_how_many_wrong_passwords_are_remembered_and_until_when_none_is_looked_at(stage: Stage) {
        let world = limited(&stage).await;
        let keeper = world.admin().await;
        let admin = world.sign_in(&keeper).await;
        let (ada, ben) = (world.register("ada").await, world.register("ben").await);
        let nothing = (json!(0), None);
        assert_eq!(seen(&world, &admin, &ada).await, nothing);
        for _ in 0..3 {
            world.log_in(&ada.email, OTHER_PASSWORD).await.expect(401);
        }
        assert_eq!(seen(&world, &admin, &ada).await, (json!(3), None));
        // The right one forgets them.
        world.log_in(&ada.email, &ada.password).await.expect(200);
        assert_eq!(seen(&world, &admin, &ada).await, nothing);

        // Ten, and it waits: a second after the tenth, twice as long after each further one.
        exhaust(&world, &ada.email).await;
        let in_seconds = |count| Some(world.clock.now() + TimeDelta::seconds(count));
        assert_eq!(seen(&world, &admin, &ada).await, (json!(10), in_seconds(1)));
        world.clock.advance(seconds(1));
        assert_eq!(seen(&world, &admin, &ada).await, (json!(10), None), "the wait is over, the count isn't");
        world.log_in(&ada.email, OTHER_PASSWORD).await.expect(401);
        assert_eq!(seen(&world, &admin, &ada).await, (json!(11), in_seconds(2)));
        assert_eq!(seen(&world, &admin, &ben).await, nothing, "of one account, not of another");

        // Both are gone with a success after the wait; and without one they are forgotten, one an hour.
        world.clock.advance(seconds(2));
        world.log_in(&ada.email, &ada.password).await.expect(200);
        assert_eq!(seen(&world, &admin, &ada).await, nothing);
        for _ in 0..2 {
            world.log_in(&ben.email, OTHER_PASSWORD).await.expect(401);
        }
        for remembered in [1, 0] {
            world.clock.advance(seconds(3600));
            let admin = world.sign_in(&keeper).await;
            assert_eq!(seen(&world, &admin, &ben).await, (json!(remembered), None));
        }
    }

    async fn a_password_that_an_admin_sets_forgets_what_was_tried(stage: Stage) {
        let world = limited(&stage).await;
        let admin = world.admin().await;
        let admin = world.sign_in(&admin).await;
        let ada = world.register("ada").await;
        exhaust(&world, &ada.email).await;
        let change = world.patch(&format!("/admin/users/{}", ada.id)).bearer(&admin);
        let changed = change.json(&json!({"password": OTHER_PASSWORD})).await.expect(200);
        assert_eq!((&changed.json()["failed_logins"], &changed.json()["locked_until"]), (&json!(0), &Value::Null));
        world.log_in(&ada.email, OTHER_PASSWORD).await.expect(200);
    }
}
