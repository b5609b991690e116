//! Requests behind one another on one connection, none of which waits for the answer to the one before.

use std::fmt::Write as _;

use reqwest::Method;
use serde_json::json;

use super::{comparable, readable, signed_in, wire, works};
use crate::support::{Connection, OTHER_PASSWORD, World};

/// HEAD is answered without the body that GET gets, whatever is behind or before it.
async fn check_pair(connection: &mut Connection, is_head_first: bool, what: &str) {
    let (head, get) = if is_head_first {
        let head = connection.head_answer().await.expect(what);
        (head, connection.answer().await.expect(what))
    } else {
        let get = connection.answer().await.expect(what);
        (connection.head_answer().await.expect(what), get)
    };
    assert_eq!(head.status, get.status, "{what}");
    assert_eq!(comparable(&head.headers), comparable(&get.headers), "{what}");
    let length: usize = head.headers["content-length"].to_str().unwrap().parse().unwrap();
    assert_eq!(length, get.body.len(), "{what}");
    assert!(length > 0, "{what}");
}

/// A request whose body comes in chunks, with everything that may stand beside those.
fn in_chunks(method: &str, path: &str, bearer: &str, body: &str) -> String {
    let headers = [
        ("Authorization", bearer),
        ("Content-Type", "application/json"),
        ("Transfer-Encoding", "chunked"),
    ];
    let mut text = wire(method, path, &headers, "");
    for chunk in body.as_bytes().chunks(16) {
        let chunk = std::str::from_utf8(chunk).unwrap();
        let _ = write!(text, "{:X} ;name=\"0\"\r\n{chunk}\r\n", chunk.len());
    }
    text + "000\r\nX-Trailer: HEAD /livez HTTP/1.1\r\n\r\n"
}

/// A request whose body is so many spaces in one chunk.
fn in_one_chunk(method: &str, path: &str, headers: &[(&str, &str)], length: usize) -> String {
    let mut all = vec![
        ("Content-Type", "application/json"),
        ("Transfer-Encoding", "chunked"),
    ];
    all.extend(headers);
    let head = wire(method, path, &all, "");
    format!("{head}{length:x}\r\n{}\r\n0\r\n\r\n", " ".repeat(length))
}

/// Sends pieces behind one another, the second and later ones behind the answer if that is waited for, and sees that there
/// is this one answer, which closes.
async fn is_answered_once(world: &World, pieces: &[&str], is_waited_for: bool, status: u16, what: &str) {
    let (first, others) = pieces.split_first().unwrap();
    let mut connection = world.connection().await;
    connection.send(first).await;
    let mut answer = None;
    if is_waited_for {
        answer = connection.answer().await;
    }
    for piece in others {
        connection.send(piece).await;
    }
    if !is_waited_for {
        answer = connection.answer().await;
    }
    let answer = answer.expect(what);
    assert_eq!(answer.status, status, "{what}");
    assert_eq!(answer.headers["connection"], "close", "{what}");
    let rest = connection.rest().await;
    assert!(rest.is_empty(), "{what}: {}", String::from_utf8_lossy(&rest));
}

scenario! {
    async fn whether_an_answer_has_a_body_is_no_matter_of_what_is_asked_behind_it(world: World) {
        let (_, token) = signed_in(&world, "ada").await;
        let bearer = format!("Bearer {token}");
        for path in readable() {
            for (is_head_first, protocol) in [(true, None), (false, None), (true, Some("h2c")), (false, Some("h2c"))] {
                let pair = if is_head_first { ["HEAD", "GET"] } else { ["GET", "HEAD"] };
                let mut headers = vec![("Authorization", bearer.as_str())];
                // It is offered another protocol, and has nothing to say in one.
                headers.extend(protocol.map(|protocol| ("Upgrade", protocol)));
                let [first, second] = pair.map(|method| wire(method, &path, &headers, ""));
                let what = format!("{pair:?} {path} {protocol:?}");
                let mut connection = world.connection().await;
                connection.send(format!("{first}{second}{first}{second}")).await;
                check_pair(&mut connection, is_head_first, &what).await;
                check_pair(&mut connection, is_head_first, &what).await;
                // And in two reads, the first of which ends within the first request or the second.
                for cut in [first.len() - 1, first.len(), first.len() + 2] {
                    let both = format!("{first}{second}");
                    let (before, after) = both.split_at(cut);
                    connection.send(before).await;
                    connection.send(after).await;
                    check_pair(&mut connection, is_head_first, &what).await;
                }
            }
        }
        works(&world).await;
    }

    async fn a_head_behind_a_body_takes_nothing_from_the_answer_before_it(world: World) {
        let (ada, token) = signed_in(&world, "ada").await;
        let bearer = format!("Bearer {token}");
        // A password is checked: that takes a while on every machine.
        let sign_in = json!({"email": ada.email, "password": ada.password}).to_string();
        // Looks like a request of its own, and is none.
        let name = "{\"display_name\":\"\r\n\r\nHEAD /livez HTTP/1.1\r\n\r\n\"}";
        let spaced = format!("{{\r\n\r\n\"display_name\":\"Ada\"{}}}", " ".repeat(30_000));
        let me = wire("HEAD", "/users/me", &[("Authorization", &bearer)], "");
        let change = |body: &str| wire("PUT", "/users/me", &[("Authorization", &bearer)], body);
        let asked = [
            wire("POST", "/login", &[], &sign_in),
            me.clone(),
            change(name),
            me.clone(),
            change(&spaced),
            me.clone(),
            wire("OPTIONS", "/users/me", &[], ""),
            me.clone(),
        ];
        let mut connection = world.connection().await;
        connection.send(asked.concat()).await;
        let mut next = async |method: Method, path: &str| {
            let answer = connection.answer().await.expect("an answer").checked(method, path);
            assert_eq!(connection.head_answer().await.expect("an answer").status, 200);
            answer
        };
        next(Method::POST, "/login").await.expect(200);
        next(Method::PUT, "/users/me").await.problem("malformed-request");
        let changed = next(Method::PUT, "/users/me").await.expect(200);
        assert_eq!(changed.json()["display_name"], "Ada");
        next(Method::OPTIONS, "/users/me").await.expect(204);
        works(&world).await;
    }

    async fn behind_a_body_in_chunks_each_is_answered_as_its_own_as_well(world: World) {
        let (_, token) = signed_in(&world, "ada").await;
        let bearer = format!("Bearer {token}");
        // With what ends a head, or the lines behind the last chunk.
        let body = "{\r\n\r\n\"display_name\":\"Ada\"\r\n\r\n}";
        let [head, get] = ["HEAD", "GET"].map(|method| wire(method, "/users/me", &[("Authorization", &bearer)], ""));
        let reads = [head.as_str(), &get, &head].concat();
        for (status, change) in [
            (200, in_chunks("PUT", "/users/me", &bearer, body)),
            // Answered before the body is read, and for what is in it.
            (401, in_chunks("PUT", "/users/me", "Bearer garbage", body)),
            (404, in_chunks("PUT", "/nowhere", &bearer, body)),
            (400, in_chunks("PUT", "/users/me", &bearer, "{")),
        ] {
            let end_of_head = change.find("\r\n\r\n").unwrap() + 4;
            let mut connection = world.connection().await;
            for is_waited_for in [true, false, true, false] {
                if is_waited_for {
                    connection.send(&change).await;
                } else {
                    connection.send([change.as_str(), &reads].concat()).await;
                }
                assert_eq!(connection.answer().await.expect("an answer").status, status);
                if is_waited_for {
                    connection.send(&reads).await;
                }
                let what = format!("behind {status}, {is_waited_for}");
                check_pair(&mut connection, true, &what).await;
                assert_eq!(connection.head_answer().await.expect(&what).status, 200, "{what}");
            }
            // And in two reads, the first of which ends anywhere.
            for cut in [end_of_head, end_of_head + 1, end_of_head + 20, change.len() - 1, change.len() + 2] {
                let all = [change.as_str(), &reads].concat();
                let (before, after) = all.split_at(cut);
                let what = format!("behind {status}, cut at {cut}");
                connection.send(before).await;
                connection.send(after).await;
                assert_eq!(connection.answer().await.expect(&what).status, status, "{what}");
                check_pair(&mut connection, true, &what).await;
                assert_eq!(connection.head_answer().await.expect(&what).status, 200, "{what}");
            }
        }
        works(&world).await;
    }

    async fn nothing_is_done_that_is_asked_behind_an_answer_that_closes(world: World) {
        let account = json!({"email": "behind@example.test", "password": OTHER_PASSWORD}).to_string();
        let behind = [
            wire("GET", "/livez", &[], ""),
            wire("POST", "/users/", &[], &account),
            wire("GET", "/livez", &[], ""),
        ]
        .concat();
        let close = ("Connection", "close");
        let garbage = ("Authorization", "Bearer garbage");
        for (status, last) in [
            // The client closes, and is answered before its body has come, by a handler and by what stands before it.
            (404, in_one_chunk("POST", "/nope", &[close], 3_000)),
            (401, in_one_chunk("PUT", "/users/me", &[close, garbage], 3_000)),
            (404, wire("POST", "/nope", &[close], &" ".repeat(3_000))),
            // The server closes: it won't read so much.
            (413, in_one_chunk("POST", "/login", &[], 70_000)),
            (413, wire("POST", "/login", &[], &" ".repeat(70_000))),
            // Its body has come, and was read.
            (400, in_one_chunk("POST", "/login", &[close], 3_000)),
        ] {
            let what = format!("{status} to {}", last.lines().next().unwrap());
            let all = [last.as_str(), &behind].concat();
            is_answered_once(&world, &[all.as_str()], false, status, &format!("{what}, whole")).await;
            let pieces: Vec<&str> =
                all.as_bytes().chunks(2_000).map(|piece| std::str::from_utf8(piece).unwrap()).collect();
            is_answered_once(&world, &pieces, false, status, &format!("{what}, in pieces")).await;
            if status != 400 {
                // All but the last kilobyte of the body is there when it is answered.
                let (before, after) = all.split_at(last.len() - 1_000);
                is_answered_once(&world, &[before, after], true, status, &format!("{what}, cut")).await;
                let (middle, after) = after.split_at(1_000);
                is_answered_once(&world, &[before, middle, after], true, status, &format!("{what}, cut twice")).await;
            }
        }
        assert_eq!(world.count_users().await, 0, "nobody has registered");
        works(&world).await;
    }

    async fn what_is_sent_behind_the_last_request_cuts_nothing_off_its_answer(world: World) {
        let whole = world.get("/openapi.json").await.text().len();
        let last = wire("GET", "/openapi.json", &[("Connection", "close")], "");
        let behind = wire("GET", "/livez", &[], "");
        // As much as a server reads ahead, and far more: what it leaves in the socket mustn't reset the connection.
        for count in [0, 300, 10_000] {
            let mut connection = world.connection().await;
            connection.send([last.as_str(), &behind.repeat(count)].concat()).await;
            let answer = connection.answer().await.expect("an answer");
            assert_eq!((answer.status, answer.body.len()), (200, whole), "with {count} behind");
            assert!(connection.answer().await.is_none(), "with {count} behind");
        }
        works(&world).await;
    }

    async fn a_body_that_does_not_end_is_not_waited_for_behind_an_answer_that_closes(world: World) {
        let close = ("Connection", "close");
        for (status, last) in [
            (404, in_one_chunk("POST", "/nope", &[close], 3_000)),
            (413, in_one_chunk("POST", "/login", &[], 70_000)),
        ] {
            let (before, _) = last.split_at(last.len() - 1_000);
            is_answered_once(&world, &[before], true, status, "a body without its end").await;
            // And what can't be the end of one is answered no second time.
            let broken = [last.trim_end_matches("\r\n0\r\n\r\n"), "xx"];
            is_answered_once(&world, &broken, true, status, "a body with no end").await;
        }
        works(&world).await;
    }

    async fn whoever_asks_to_close_is_asked_about_the_request_that_said_so(world: World) {
        let (_, token) = signed_in(&world, "ada").await;
        let bearer = format!("Bearer {token}");
        let last = wire("GET", "/users/me", &[("Authorization", &bearer), ("Connection", "close")], "");
        let other = wire("GET", "/users/me", &[("Authorization", &bearer)], "");
        let mut connection = world.connection().await;
        connection.send([other.as_str(), &last, &other].concat()).await;
        let answer = connection.answer().await.expect("an answer");
        assert!(!answer.headers.contains_key("connection"), "{:?}", answer.headers);
        assert_eq!(answer.status, 200);
        let answer = connection.answer().await.expect("an answer");
        assert_eq!((answer.status, &answer.headers["connection"]), (200, &"close".parse().unwrap()));
        let rest = connection.rest().await;
        assert!(rest.is_empty(), "{}", String::from_utf8_lossy(&rest));
    }
}
