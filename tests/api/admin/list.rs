//! Finding accounts.

use std::collections::BTreeSet;
use std::time::Duration;

use roster::domain::UserStatus;
use sea_orm::ConnectionTrait as _;
use serde_json::{Value, json};

use super::Admin;
use crate::support::{Answer, World};

async fn list(world: &World, admin: &Admin, query: &str) -> Answer {
    world
        .get(&format!("/admin/users{query}"))
        .bearer(&admin.token)
        .await
}

fn emails(answer: &Answer) -> Vec<String> {
    let items = answer.json()["items"].as_array().unwrap();
    items
        .iter()
        .map(|item| {
            let email = item["email"].as_str().unwrap();
            email.split('@').next().unwrap().to_owned()
        })
        .collect()
}

/// Every page of a list, by its cursors.
async fn walk(world: &World, admin: &Admin, query: &str) -> Vec<String> {
    let mut seen = Vec::new();
    let mut next = format!("?{query}&limit=2");
    loop {
        let answer = list(world, admin, &next).await.expect(200);
        seen.extend(emails(&answer));
        match answer.json()["next_cursor"].as_str() {
            Some(cursor) => next = format!("?{query}&limit=2&cursor={cursor}"),
            None => return seen,
        }
    }
}

async fn named(world: &World, people: &[(&str, &str)]) {
    for (email, name) in people {
        let body = json!({"email": format!("{email}@example.test"), "password": "plum-orbit-canvas-47",
            "display_name": name});
        world.post("/users/").json(&body).await.expect(201);
        world.clock.advance(Duration::from_secs(1));
    }
}

/// A statement that makes 6,000 accounts of an instant, whose addresses begin so.
fn many(world: &World, prefix: &str, year: u32) -> String {
    let columns = "id, email, email_verified, metadata, status, revision, created_at, updated_at";
    let (id, at, numbers) = match world.db().get_database_backend() {
        sea_orm::DbBackend::Postgres => (
            "gen_random_uuid()".to_owned(),
            format!("'{year}-01-01 00:00:00+00'::timestamptz"),
            "generate_series(1, 6000) AS n(n)".to_owned(),
        ),
        _ => (
            "randomblob(16)".to_owned(),
            format!("'{year}-01-01T00:00:00+00:00'"),
            "(WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 6000) SELECT n FROM n) n".to_owned(),
        ),
    };
    format!(
        "INSERT INTO users ({columns}) SELECT {id}, '{prefix}' || n || '@x.test', false, '{{}}', 'active', 1, {at}, {at} FROM {numbers}"
    )
}

scenario! {
    async fn an_account_is_shown_with_what_an_admin_needs_to_know(world: World) {
        let admin = Admin::of(&world).await;
        let ada = world.register("ada").await;
        world.begin(&ada).await;
        world.begin(&ada).await;
        let answer = list(&world, &admin, "?q=ada").await.expect(200);
        let item = &answer.json()["items"][0];
        assert_eq!(item["id"], ada.id.to_string());
        assert_eq!(item["status"], "active");
        assert_eq!(item["failed_logins"], 0);
        assert_eq!(item["locked_until"], Value::Null);
        assert_eq!(item["sessions"], 2);
        assert_eq!(item["password_scheme"], "bcrypt cost=4");
        let alone = world.get(&super::path(&ada)).bearer(&admin.token).await.expect(200);
        assert_eq!(alone.json(), item);
        world.put_hash(&ada, None).await;
        let answer = list(&world, &admin, "?q=ada").await.expect(200);
        assert_eq!(answer.json()["items"][0]["password_scheme"], Value::Null);
    }

    async fn a_prefix_of_address_or_name_finds_whatever_the_letter_case(world: World) {
        let admin = Admin::of(&world).await;
        named(&world, &[("aaa", "Zoë Ärger"), ("bbb", "äRGER"), ("ccc", "a\u{308}rgerlich"), ("rg", "100%_x"),
            ("ddd", "\u{10ffff}x"), ("ärger", "Ada")]).await;
        for (q, expected) in [
            ("%C3%84RG", vec!["ärger", "ccc", "bbb"]),
            ("zo%C3%8B", vec!["aaa"]),
            ("BB", vec!["bbb"]),
            ("100%25_", vec!["rg"]),
            ("%25", vec![]),
            ("%F4%8F%BF%BF", vec!["ddd"]),
            ("rg@EXAMPLE", vec!["rg"]),
        ] {
            let found = emails(&list(&world, &admin, &format!("?q={q}")).await.expect(200));
            let found: Vec<String> = found.into_iter().collect();
            assert_eq!(found, expected, "{q}");
        }
        // A name that goes or changes isn't found any more.
        let change = json!({"display_name": ""});
        let id = list(&world, &admin, "?q=zo").await.json()["items"][0]["id"].as_str().unwrap().to_owned();
        world.patch(&format!("/admin/users/{id}")).bearer(&admin.token).json(&change).await.expect(200);
        assert_eq!(emails(&list(&world, &admin, "?q=zo").await), Vec::<String>::new());
    }

    async fn filters_narrow_down_together(world: World) {
        let admin = Admin::of(&world).await;
        let (ada, bob) = (world.register("ada").await, world.register("bob").await);
        world.set_status(&bob, UserStatus::Disabled).await;
        world.set_roles(&ada, &["editor"]).await;
        for (query, expected) in [
            ("?status=disabled", vec!["bob"]),
            ("?role=editor", vec!["ada"]),
            ("?role=editor&status=disabled", vec![]),
            ("?email=%20ADA@Example.TEST", vec!["ada"]),
            ("?email=ada@example.test&q=bob", vec![]),
            ("?role=admin", vec!["root-keeper"]),
            ("?sort=email", vec!["ada", "bob", "root-keeper"]),
            ("?sort=-email", vec!["root-keeper", "bob", "ada"]),
            ("?sort=-email&status=active", vec!["root-keeper", "ada"]),
        ] {
            assert_eq!(emails(&list(&world, &admin, query).await.expect(200)), expected, "{query}");
        }
    }

    async fn times_are_bounds_that_are_not_met_themselves(world: World) {
        let admin = Admin::of(&world).await;
        world.clock.advance(Duration::from_secs(1));
        named(&world, &[("a1", ""), ("a2", ""), ("a3", "")]).await;
        let all = list(&world, &admin, "?q=a&sort=created_at").await.expect(200);
        let at = |n: usize| all.json()["items"][n]["created_at"].as_str().unwrap().to_owned();
        for (query, expected) in [
            (format!("?created_after={}", at(0)), vec!["a3", "a2"]),
            (format!("?created_before={}&q=a", at(2)), vec!["a2", "a1"]),
            (format!("?created_after={}&created_before={}", at(0), at(2)), vec!["a2"]),
            (format!("?created_after={}&sort=email", at(1)), vec!["a3"]),
        ] {
            assert_eq!(emails(&list(&world, &admin, &query).await.expect(200)), expected, "{query}");
        }
    }

    async fn pages_hold_everybody_once_in_every_order_while_others_come(world: World) {
        let admin = Admin::of(&world).await;
        let people: Vec<(String, String)> = (0..9).map(|n| (format!("p{}", (n * 5) % 9), format!("Name {n}"))).collect();
        let people: Vec<(&str, &str)> = people.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
        named(&world, &people).await;
        let oldest: Vec<String> = people.iter().map(|(email, _)| (*email).to_owned()).collect();
        let newest: Vec<String> = oldest.iter().rev().cloned().collect();
        let mut sorted = oldest.clone();
        sorted.sort();
        let backwards: Vec<String> = sorted.iter().rev().cloned().collect();
        for (sort, expected) in [("created_at", &oldest), ("-created_at", &newest), ("email", &sorted), ("-email", &backwards)] {
            for filter in ["q=p", "q=NAME"] {
                assert_eq!(walk(&world, &admin, &format!("{filter}&sort={sort}")).await, *expected, "{filter} {sort}");
            }
        }
        // Whoever comes in between is met once or not at all, and shifts nobody.
        let first = list(&world, &admin, "?sort=email&q=p&limit=4").await.expect(200);
        named(&world, &[("p00", ""), ("p71", "")]).await;
        let cursor = first.json()["next_cursor"].as_str().unwrap();
        assert_eq!(first.header("link"), format!("</admin/users?sort=email&q=p&limit=4&cursor={cursor}>; rel=\"next\""));
        let second = list(&world, &admin, &format!("?sort=email&q=p&limit=9&cursor={cursor}")).await.expect(200);
        assert_eq!(emails(&second), ["p4", "p5", "p6", "p71", "p7", "p8"]);
    }

    async fn accounts_of_one_instant_are_all_met(world: World) {
        let admin = Admin::of(&world).await;
        for n in 0..5 {
            world.register(&format!("twin-{n}")).await;
        }
        let seen = walk(&world, &admin, "q=twin&sort=-created_at").await;
        assert_eq!(seen.len(), 5);
        assert_eq!(seen.into_iter().collect::<BTreeSet<_>>().len(), 5);
    }

    async fn what_the_list_does_not_know_is_refused(world: World) {
        let admin = Admin::of(&world).await;
        world.register("ada").await;
        for (query, pointer, code) in [
            ("?limit=0", "/limit", "out_of_range"),
            ("?limit=201", "/limit", "out_of_range"),
            ("?cursor=x", "/cursor", "invalid"),
            ("?sort=password_hash", "/sort", "not_allowed"),
            ("?sort=last_login_at", "/sort", "not_allowed"),
            ("?status=deleted", "/status", "not_allowed"),
            ("?role=Admin", "/role", "invalid_role"),
            ("?email=nobody", "/email", "invalid_email"),
            ("?created_after=yesterday", "/created_after", "invalid_time"),
            ("?created_before=2026-13-01T00:00:00Z", "/created_before", "invalid_time"),
            ("?q=a%00", "/q", "invalid_characters"),
            ("?name=ada", "/name", "unknown_member"),
        ] {
            list(&world, &admin, query).await.expect(422).faults(&[(pointer, code)]);
        }
        let page = list(&world, &admin, "?sort=email&limit=1").await.expect(200);
        let cursor = page.json()["next_cursor"].as_str().unwrap();
        for sort in ["-email", "created_at", "-created_at"] {
            let answer = list(&world, &admin, &format!("?sort={sort}&cursor={cursor}")).await;
            answer.expect(422).faults(&[("/cursor", "invalid")]);
        }
    }

    async fn a_plain_user_learns_nothing_else(world: World) {
        let ada = world.register("ada").await;
        let token = world.sign_in(&ada).await;
        for target in ["/admin/users", "/admin/users?limit=0", "/admin/users/x", "/admin/users/00000000-0000-7000-8000-000000000000"] {
            let answer = world.get(target).bearer(&token).await.expect(403);
            assert_eq!(answer.problem("forbidden")["detail"], "This needs the role admin.");
        }
        world.post("/admin/users").bearer(&token).body("text/plain", "x").await.expect(403);
    }

    async fn a_page_looks_at_so_much_and_leads_on_where_that_was_too_little(world: World) {
        let admin = Admin::of(&world).await;
        // More than are sorted for a page answer to the prefix, and are older than as many others.
        for (prefix, year) in [("old", 2001), ("new", 2002)] {
            world.db().execute_unprepared(&many(&world, prefix, year)).await.unwrap();
        }
        let mut seen = 0;
        let mut pages = 0;
        let mut next = "?q=old&limit=200".to_owned();
        loop {
            let answer = list(&world, &admin, &next).await.expect(200);
            let items = emails(&answer);
            assert!(items.iter().all(|email| email.starts_with("old")));
            seen += items.len();
            pages += 1;
            match answer.json()["next_cursor"].as_str() {
                Some(cursor) => next = format!("?q=old&limit=200&cursor={cursor}"),
                None => break,
            }
            if pages == 1 {
                assert!(items.is_empty(), "the first stretch has none of them");
            }
        }
        assert_eq!(seen, 6000);
        // In their own order, and where few enough answer, there is nothing to look past.
        assert_eq!(emails(&list(&world, &admin, "?q=old7&limit=100").await).len(), 100);
        assert_eq!(emails(&list(&world, &admin, "?q=old59&sort=email&limit=200").await).len(), 111);
    }

    async fn a_time_is_read_the_same_way_wherever_it_narrows_a_list_down(world: World) {
        let admin = Admin::of(&world).await;
        for (path, name) in [
            ("/admin/users", "created_after"),
            ("/admin/users", "created_before"),
            ("/admin/audit", "after"),
            ("/admin/audit", "before"),
        ] {
            let send = |value: &str| world.get(&format!("{path}?{name}={value}")).bearer(&admin.token);
            // A bare `+` is a space once it is decoded.
            let mut found = Vec::new();
            for value in [
                "2001-01-31T12:00:00Z",
                "2001-01-31T14:00:00%2B02:00",
                "2001-01-31T14:00:00+02:00",
                "2001-01-31T09:00:00-03:00",
            ] {
                found.push(send(value).await.expect(200).json()["items"].as_array().unwrap().len());
            }
            assert!(found.iter().all(|count| *count == found[0]), "{path} {name}: {found:?}");
            for value in ["yesterday", "2001-01-31", "2001-13-01T00:00:00Z", "10000-01-01T00:00:00Z", ""] {
                let answer = send(value).await.expect(422);
                answer.faults(&[(format!("/{name}").as_str(), "invalid_time")]);
                assert_eq!(
                    answer.json()["errors"][0]["detail"],
                    "must be a time such as 2026-01-31T12:00:00Z (RFC 3339)"
                );
            }
        }
    }

    async fn a_role_that_few_hold_is_found_at_once_whatever_else_is_asked(world: World) {
        let admin = Admin::of(&world).await;
        // The holders are the oldest of many, and all are active: neither the status nor the order leads to them.
        for (prefix, year) in [("old", 2001), ("new", 2002)] {
            world.db().execute_unprepared(&many(&world, prefix, year)).await.unwrap();
        }
        let give = |role: &str, from: u32, to: u32| {
            format!(
                "INSERT INTO user_roles (user_id, role) SELECT id, '{role}' FROM users \
                 WHERE email IN (SELECT email FROM users WHERE email LIKE 'old%' ORDER BY email LIMIT {to} OFFSET {from})"
            )
        };
        for sql in [give("rare", 0, 3000), give("common", 0, 4500)] {
            world.db().execute_unprepared(&sql).await.unwrap();
        }
        for sort in ["created_at", "-created_at", "email", "-email"] {
            let query = format!("role=rare&status=active&sort={sort}&limit=200");
            let mut next = format!("?{query}");
            let mut seen = BTreeSet::new();
            for page in 0..15 {
                let answer = list(&world, &admin, &next).await.expect(200);
                let items = emails(&answer);
                assert_eq!(items.len(), 200, "page {page} by {sort}");
                seen.extend(items);
                match answer.json()["next_cursor"].as_str() {
                    Some(cursor) => next = format!("?{query}&cursor={cursor}"),
                    None => assert_eq!(page, 14, "{sort}"),
                }
            }
            assert_eq!(seen.len(), 3000, "{sort}");
        }
        // Of one that more hold, pages lead on through the order, and meet everybody once.
        let (mut seen, mut short) = (Vec::new(), 0);
        let mut next = "?role=common&status=active&limit=200".to_owned();
        loop {
            let answer = list(&world, &admin, &next).await.expect(200);
            let items = emails(&answer);
            short += usize::from(items.len() < 200);
            seen.extend(items);
            match answer.json()["next_cursor"].as_str() {
                Some(cursor) => next = format!("?role=common&status=active&limit=200&cursor={cursor}"),
                None => break,
            }
        }
        assert_eq!(seen.len(), 4500);
        assert_eq!(seen.iter().collect::<BTreeSet<_>>().len(), 4500);
        // A thousand accounts are looked at for a page, and no page looks at fewer where it isn't full.
        assert!((6..=13).contains(&short), "{short} pages that aren't full");
    }
}
