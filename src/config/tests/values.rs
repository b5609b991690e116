//! What values become, and what is derived from them.

use std::net::IpAddr;

use super::World;
use crate::config::{Network, PasswordAlgorithm, RegistrationMode, TokenAlgorithm};

fn network(text: &str) -> Network {
    text.parse().unwrap()
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn a_network_contains_its_addresses_and_no_others() {
    for (text, inside, outside) in [
        ("10.0.0.0/8", "10.255.255.255", "11.0.0.0"),
        ("10.0.0.0/8", "::ffff:10.1.2.3", "::ffff:11.1.2.3"),
        ("192.0.2.7", "192.0.2.7", "192.0.2.6"),
        ("192.0.2.6/31", "192.0.2.7", "192.0.2.8"),
        ("0.0.0.0/0", "255.255.255.255", "::1"),
        ("::/0", "2001:db8::1", "10.0.0.1"),
        ("2001:db8::/32", "2001:db8:ffff::1", "2001:db9::"),
        ("::1", "::1", "::2"),
        ("::ffff:10.0.0.1", "10.0.0.1", "10.0.0.2"),
        ("::ffff:10.0.0.0/104", "10.9.9.9", "11.0.0.0"),
    ] {
        assert!(network(text).contains(address(inside)), "{text} {inside}");
        assert!(!network(text).contains(address(outside)), "{text} {outside}");
    }
}

#[test]
fn a_network_is_written_in_one_form() {
    for (text, form) in [
        ("10.0.0.1", "10.0.0.1/32"),
        ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
        ("FD00::/8", "fd00::/8"),
    ] {
        assert_eq!(network(text).to_string(), form);
    }
}

#[test]
fn a_network_with_bits_behind_its_prefix_is_refused_with_the_right_one() {
    let error = "10.1.2.3/8".parse::<Network>().unwrap_err();
    assert!(error.contains("write 10.0.0.0/8"), "{error}");
    for text in [
        "",
        "/8",
        "10.0.0.0/",
        "10.0.0.0/8/8",
        "10.0.0.0/-1",
        "::/129",
        "::ffff:0:0/95",
        "fe80::1%eth0",
    ] {
        assert!(text.parse::<Network>().is_err(), "{text}");
    }
}

#[test]
fn trusting_every_proxy_is_noticed() {
    let world = World::new().variable("ROSTER__SERVER__TRUSTED_PROXIES", "::/0");
    assert!(world.load().notices.concat().contains("trusts every address"));
}

#[test]
fn origins_are_kept_as_browsers_send_them_and_once_each() {
    let config = World::new()
        .extra("cors.allowed_origins = ['HTTPS://A.Example:443', 'https://a.example', 'http://bücher.example:8080']\n")
        .config();
    assert_eq!(
        config.cors.allowed_origins,
        ["https://a.example", "http://xn--bcher-kva.example:8080"]
    );
}

#[test]
fn the_public_url_has_no_slash_at_its_end() {
    for (text, kept) in [
        ("https://A.Example/", "https://a.example"),
        ("https://a.example/b/", "https://a.example/b"),
        ("https://a.example:443", "https://a.example"),
    ] {
        let config = World::new().variable("ROSTER__SERVER__PUBLIC_URL", text).config();
        assert_eq!(config.server.public_url(), kept);
    }
}

#[test]
fn without_a_public_url_host_and_port_make_one() {
    assert_eq!(World::new().config().server.public_url(), "http://127.0.0.1:8000");
    let config = World::new()
        .variable("ROSTER__SERVER__HOST", "::1")
        .variable("PORT", "1")
        .config();
    assert_eq!(config.server.public_url(), "http://[::1]:1");
}

#[test]
fn issuer_and_audience_follow_the_public_url_unless_set() {
    let world = World::new().variable("ROSTER__SERVER__PUBLIC_URL", "https://a.example");
    let config = world.config();
    assert_eq!(
        (config.issuer(), config.audience()),
        ("https://a.example".into(), "https://a.example".into())
    );
    let world = world
        .variable("ROSTER__TOKEN__ISSUER", "https://b.example")
        .variable("ROSTER__TOKEN__AUDIENCE", "roster");
    let config = world.config();
    assert_eq!(
        (config.issuer(), config.audience()),
        ("https://b.example".into(), "roster".into())
    );
}

#[test]
fn zero_threads_are_as_many_as_there_are_cores() {
    let cores = std::thread::available_parallelism().unwrap().get();
    let config = World::new().config();
    assert_eq!(
        (config.server.workers(), config.password.hashing_threads()),
        (cores, cores)
    );
    let config = World::new()
        .extra("server.workers = 3\npassword.hashing_threads = 5\n")
        .config();
    assert_eq!(
        (config.server.workers(), config.password.hashing_threads()),
        (3, 5)
    );
}

#[test]
fn choices_become_what_they_name() {
    let config = World::new()
        .extra("token.algorithm = 'EdDSA'\npassword.algorithm = 'argon2id'\nregistration.mode = 'closed'\n")
        .config();
    assert_eq!(config.token.algorithm, TokenAlgorithm::EdDsa);
    assert_eq!(config.password.algorithm, PasswordAlgorithm::Argon2id);
    assert_eq!(config.registration.mode, RegistrationMode::Closed);
}

#[test]
fn a_fault_shows_the_value_in_one_short_line() {
    let long = format!("a\n{}", "x".repeat(500));
    let world = World::new().variable("ROSTER__SERVER__HOST", &long);
    world.refuses(&["\"a\\nxxx", "…"]);
    assert!(world.faults().len() < 200);
}

#[test]
fn an_issuer_that_metadata_can_t_vouch_for_is_pointed_out() {
    let url = "https://accounts.example.org";
    let world = || World::new().variable("ROSTER__SERVER__PUBLIC_URL", url);
    let world_with = |issuer| world().variable("ROSTER__TOKEN__ISSUER", issuer);
    assert_eq!(world().load().notices, Vec::<String>::new());
    assert_eq!(world_with(url).load().notices, Vec::<String>::new());
    let notices = world_with("https://other.example.org").load().notices.concat();
    assert!(
        notices.contains("token.issuer is https://other.example.org"),
        "{notices}"
    );
}
