//! The key store, as an admin sees it.

use serde_json::Value;

use super::Admin;
use crate::support::World;

fn kid_in(answer: &Value, state: &str) -> String {
    let items = answer["items"].as_array().unwrap();
    let found = items.iter().find(|key| key["state"] == state).unwrap();
    found["kid"].as_str().unwrap().to_owned()
}

scenario! {
    async fn an_admin_sees_the_keys_without_their_private_halves_and_rotates_them(world: World) {
        let admin = Admin::of(&world).await;
        let before = world.get("/admin/keys").bearer(&admin.token).await.expect(200);
        let members: Vec<&String> = before.json()["items"][0].as_object().unwrap().keys().collect();
        assert_eq!(members.len(), 6, "{members:?}");
        let rotated = world.post("/admin/keys/rotate").bearer(&admin.token).await.expect(200);
        assert_eq!(kid_in(rotated.json(), "current"), kid_in(before.json(), "next"));
        assert_eq!(kid_in(rotated.json(), "previous"), kid_in(before.json(), "current"));
        let event = world.only_audit("keys.rotated").await;
        assert_eq!((event.actor_kind.as_str(), event.actor_id), ("user", Some(admin.persona.id)));
        // The token that asked was signed by the key before, and new ones by the next.
        world.profile(&admin.token).await;
        let fresh = world.sign_in(&admin.persona).await;
        let header = crate::support::decoded(&fresh).0;
        assert_eq!(header["kid"].as_str().unwrap(), kid_in(before.json(), "next"));
    }
}
