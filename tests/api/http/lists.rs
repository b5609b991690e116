//! Pages of every list that there is: how many items one may ask for.

use serde_json::Value;

use crate::support::World;

scenario! {
    async fn every_list_refuses_a_page_without_measure(world: World) {
        let admin = world.admin().await;
        let token = world.sign_in(&admin).await;
        let sessions = format!("/admin/users/{}/sessions", admin.id);
        let lists = ["/users/me/sessions", "/users/me/audit", "/admin/users", "/admin/audit", &sessions];
        for path in lists {
            for limit in [
                "0", "-1", "-0", "201", "1000000000", "4294967297", "9223372036854775807", "9223372036854775808",
                "18446744073709551617", "1e9", "0x10", "1.0", "%2B1", "%201", "",
            ] {
                let answer = world.get(&format!("{path}?limit={limit}")).bearer(&token).await.expect(422);
                answer.faults(&[("/limit", "out_of_range")]);
            }
            for limit in ["1", "200"] {
                let answer = world.get(&format!("{path}?limit={limit}")).bearer(&token).await.expect(200);
                assert!(matches!(&answer.json()["items"], Value::Array(items) if !items.is_empty()), "{answer}");
            }
        }
    }
}
