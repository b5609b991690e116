//! Somebody else's sessions.

use super::{Admin, path};
use crate::support::World;

scenario! {
    async fn an_admin_sees_and_ends_a_users_sessions(world: World) {
        let admin = Admin::of(&world).await;
        let ada = world.register("ada").await;
        let tokens = [world.begin(&ada).await, world.begin(&ada).await];
        let listed = format!("{}/sessions", path(&ada));
        let answer = world.get(&format!("{listed}?limit=1")).bearer(&admin.token).await.expect(200);
        assert_eq!(answer.json()["items"][0]["current"], false);
        let cursor = answer.json()["next_cursor"].as_str().unwrap();
        assert_eq!(answer.header("link"), format!("<{listed}?limit=1&cursor={cursor}>; rel=\"next\""));
        let own = world.get(&format!("{}/sessions", path(&admin.persona))).bearer(&admin.token).await;
        assert_eq!(own.expect(200).json()["items"][0]["current"], true);
        world.delete(&listed).bearer(&admin.token).await.expect(204);
        for one in &tokens {
            world.is_dead(one).await;
        }
        let event = world.only_audit("session.ended").await;
        assert_eq!((event.actor_id, event.subject_id), (Some(admin.persona.id), Some(ada.id)));
        for unknown in ["x".to_owned(), uuid::Uuid::nil().to_string(), ada.id.to_string().to_uppercase()] {
            for method in [reqwest::Method::GET, reqwest::Method::DELETE] {
                let call = world.call(method, &format!("/admin/users/{unknown}/sessions"));
                call.bearer(&admin.token).await.expect(404).problem("not-found");
            }
        }
    }
}
