//! Random histories of sessions on two instances of one database, held against a model of what must come of them.
//!
//! Whatever happens, in whatever order: no session has two living refresh tokens, nothing lives on after it has been
//! ended, and nobody who keeps to the protocol is signed out. A failure names the seed; `ROSTER_PROPERTY_STEPS` makes
//! histories longer, `ROSTER_PROPERTY_SEED` runs another one.

use std::io::Write as _;
use std::time::Duration;

use roster::domain::UserStatus;
use serde_json::json;

use crate::support::{Answer, Persona, Tokens, World, all};

const STEPS: u64 = 700;
const BURSTS: u64 = 60;
/// Less than the window in which a lost answer is given again.
const MOMENT: Duration = Duration::from_secs(2);
/// More than that window.
const WHILE: Duration = Duration::from_secs(61);

fn variable(name: &str) -> Option<u64> {
    std::env::var_os(name)?.to_str()?.parse().ok()
}

fn steps(usual: u64) -> u64 {
    variable("ROSTER_PROPERTY_STEPS").unwrap_or(usual)
}

/// Numbers that a seed decides (`SplitMix64`).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % sides as u64).unwrap()
    }
}

/// A client that keeps to the protocol: it uses the newest token that it has got, and asks again with the same one
/// where it got no answer.
struct Device {
    /// The newest pair that it has.
    held: Tokens,
    /// The answer to its last refresh was lost: it has to ask again before the window passes.
    is_waiting: bool,
    /// Refresh tokens that it has used, for a thief to find.
    used: Vec<String>,
    is_signed_in: bool,
}

struct Account {
    persona: Persona,
    devices: Vec<Device>,
}

impl Account {
    /// The devices that are signed in, but for one.
    fn sign_out_but(&mut self, kept: Option<usize>) {
        for (index, device) in self.devices.iter_mut().enumerate() {
            if Some(index) != kept {
                device.is_signed_in = false;
            }
        }
    }
}

/// Everything that happens, and what should be the case.
struct History {
    instances: [World; 2],
    accounts: Vec<Account>,
    dice: Dice,
    seed: u64,
    lines: Vec<String>,
    number: usize,
}

impl Drop for History {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let last = self.lines.len().saturating_sub(40);
            let told = format!(
                "seed {}, the last steps:\n{}\n",
                self.seed,
                self.lines[last..].join("\n")
            );
            let _ = std::io::stderr().write_all(told.as_bytes());
        }
    }
}

impl History {
    async fn begin(world: &World, seed: u64) -> Self {
        let other = world.second_instance().await;
        let mut history = Self {
            instances: [world.clone(), other],
            accounts: Vec::new(),
            dice: Dice(seed),
            seed,
            lines: Vec::new(),
            number: 0,
        };
        for _ in 0..3 {
            history.register().await;
        }
        history
    }

    fn instance(&mut self) -> World {
        let index = self.dice.roll(2);
        self.instances[index].clone()
    }

    fn tell(&mut self, line: String) {
        self.lines.push(line);
    }

    async fn register(&mut self) {
        self.number += 1;
        let persona = self.instances[0]
            .register(&format!("person-{}", self.number))
            .await;
        self.accounts.push(Account {
            persona,
            devices: Vec::new(),
        });
        self.sign_in(self.accounts.len() - 1).await;
    }

    async fn sign_in(&mut self, account: usize) {
        let instance = self.instance();
        let held = instance.begin(&self.accounts[account].persona).await;
        self.accounts[account].devices.push(Device {
            held,
            is_waiting: false,
            used: Vec::new(),
            is_signed_in: true,
        });
    }

    /// A device that is signed in.
    async fn some_device(&mut self) -> (usize, usize) {
        let account = self.dice.roll(self.accounts.len());
        let signed_in: Vec<usize> = (0..self.accounts[account].devices.len())
            .filter(|&index| self.accounts[account].devices[index].is_signed_in)
            .collect();
        if signed_in.is_empty() {
            self.sign_in(account).await;
            return (account, self.accounts[account].devices.len() - 1);
        }
        (account, signed_in[self.dice.roll(signed_in.len())])
    }

    /// The device refreshes, and must succeed.
    async fn refresh(&mut self, account: usize, device: usize) {
        let instance = self.instance();
        let device = &mut self.accounts[account].devices[device];
        let next = instance.refreshed(&device.held.refresh).await;
        device.used.push(device.held.refresh.clone());
        device.held = next;
        device.is_waiting = false;
    }

    /// Whoever waits for an answer asks again: soon, as the protocol has it.
    async fn ask_again(&mut self) {
        for account in 0..self.accounts.len() {
            for device in 0..self.accounts[account].devices.len() {
                let found = &self.accounts[account].devices[device];
                if found.is_signed_in && found.is_waiting {
                    self.refresh(account, device).await;
                }
            }
        }
    }

    /// An access token that is good now.
    async fn access(&mut self, account: usize, device: usize) -> String {
        self.refresh(account, device).await;
        self.accounts[account].devices[device].held.access.clone()
    }

    async fn step(&mut self) {
        let (account, device) = self.some_device().await;
        let instance = self.instance();
        let what = self.dice.roll(16);
        self.tell(format!("account {account}, device {device}: {what}"));
        match what {
            0..=4 => self.refresh(account, device).await,
            5 | 6 => {
                // The answer is lost; the same again gives the same.
                let device = &mut self.accounts[account].devices[device];
                instance.refreshed(&device.held.refresh).await;
                device.is_waiting = true;
            }
            7 => {
                let held = self.accounts[account].devices[device].held.refresh.clone();
                let calls = [0, 1, 0].map(|index: usize| self.instances[index].refresh(&held));
                let tokens: Vec<Tokens> = all(calls)
                    .await
                    .into_iter()
                    .map(|answer| Tokens::of(&answer.expect(200)))
                    .collect();
                assert!(
                    tokens.iter().all(|tab| tab.refresh == tokens[0].refresh),
                    "two successors"
                );
                let device = &mut self.accounts[account].devices[device];
                device.used.push(held);
                device.held = tokens[0].clone();
                device.is_waiting = false;
            }
            8 => self.instances[0].clock.advance(MOMENT),
            9 => {
                self.ask_again().await;
                self.instances[0].clock.advance(WHILE);
            }
            10 => self.sign_in(account).await,
            11 => self.end(account, device, &instance).await,
            12 => {
                let access = self.access(account, device).await;
                let persona = &self.accounts[account].persona;
                // Back and forth, as the new one must differ from the present one.
                let password = format!("{}-{}", "velvet-harbor-cinder", self.lines.len());
                let body = json!({"password": password, "current_password": persona.password});
                instance
                    .put("/users/me")
                    .bearer(&access)
                    .json(&body)
                    .await
                    .expect(200);
                self.accounts[account].persona.password = password;
                self.accounts[account].sign_out_but(Some(device));
                instance.get("/users/me").bearer(&access).await.expect(401);
                self.refresh(account, device).await;
            }
            13 => {
                let persona = self.accounts[account].persona.clone();
                instance.set_status(&persona, UserStatus::Disabled).await;
                self.accounts[account].sign_out_but(None);
                self.check(account).await;
                instance.set_status(&persona, UserStatus::Active).await;
            }
            14 => {
                let access = self.access(account, device).await;
                instance.delete("/users/me").bearer(&access).await.expect(204);
                self.accounts[account].sign_out_but(None);
                self.check(account).await;
                self.accounts.remove(account);
                self.register().await;
                return;
            }
            _ => self.steal(account, device, &instance).await,
        }
        self.check(account).await;
    }

    /// One of the ways in which a session is ended on purpose.
    async fn end(&mut self, account: usize, device: usize, instance: &World) {
        let access = self.access(account, device).await;
        let target = self.accounts[account].devices[device].held.clone();
        match self.dice.roll(6) {
            0 => {
                instance.post("/logout").bearer(&access).await.expect(204);
            }
            1 => {
                instance
                    .post("/logout?scope=all")
                    .bearer(&access)
                    .await
                    .expect(204);
                self.accounts[account].sign_out_but(None);
            }
            2 => {
                instance
                    .post("/logout?scope=others")
                    .bearer(&access)
                    .await
                    .expect(204);
                self.accounts[account].sign_out_but(Some(device));
                return;
            }
            3 => {
                let path = format!("/users/me/sessions/{}", target.session());
                instance.delete(&path).bearer(&access).await.expect(204);
            }
            4 => {
                instance
                    .post("/oauth/revoke")
                    .form(&[("token", &access)])
                    .await
                    .expect(200);
            }
            _ => {
                instance
                    .post("/oauth/revoke")
                    .form(&[("token", &target.refresh)])
                    .await
                    .expect(200);
            }
        }
        self.accounts[account].devices[device].is_signed_in = false;
    }

    /// A thief uses a token that was spent long ago: the session ends, and this is noted.
    async fn steal(&mut self, account: usize, device: usize, instance: &World) {
        self.refresh(account, device).await;
        self.ask_again().await;
        self.instances[0].clock.advance(WHILE);
        let found = &mut self.accounts[account].devices[device];
        found.is_signed_in = false;
        let stolen = found.used.last().unwrap().clone();
        let before = instance.audit("token_reuse").await.len();
        instance.refresh(&stolen).await.oauth_error("invalid_grant");
        assert_eq!(instance.audit("token_reuse").await.len(), before + 1);
    }

    /// What must be the case, of one account, on both instances.
    async fn check(&self, account: usize) {
        for device in &self.accounts[account].devices {
            let world = &self.instances[0];
            if !device.is_signed_in {
                for instance in &self.instances {
                    instance.is_dead(&device.held).await;
                }
            } else if !device.is_waiting {
                assert_eq!(world.count_live_tokens(device.held.session()).await, 1);
            }
        }
        self.no_session_has_two().await;
    }

    async fn no_session_has_two(&self) {
        let mut sessions: Vec<_> = self.instances[0]
            .token_rows()
            .await
            .into_iter()
            .filter(|row| row.spent_at.is_none())
            .map(|row| row.session_id)
            .collect();
        let count = sessions.len();
        sessions.sort();
        sessions.dedup();
        assert_eq!(sessions.len(), count, "a session with two living tokens");
    }

    /// Dead ones have been looked at often enough.
    fn forget_the_dead(&mut self) {
        for account in &mut self.accounts {
            account.devices.retain(|device| device.is_signed_in);
        }
    }

    /// Several requests for one account at the same moment, on both instances, one of which ends something.
    async fn burst(&mut self) {
        let account = self.dice.roll(self.accounts.len());
        while self.accounts[account].devices.len() < 3 {
            self.sign_in(account).await;
        }
        for device in 0..3 {
            self.refresh(account, device).await;
        }
        let held: Vec<Tokens> = self.accounts[account]
            .devices
            .iter()
            .map(|device| device.held.clone())
            .take(3)
            .collect();
        let what = self.dice.roll(8);
        self.tell(format!("a burst on account {account}: {what}"));
        let persona = self.accounts[account].persona.clone();
        let [one, two] = &self.instances;
        let asking = &held[0].access;
        let end = match what {
            0 => one.post("/logout").bearer(asking),
            1 => two.post("/logout?scope=others").bearer(asking),
            2 => one.post("/logout?scope=all").bearer(asking),
            3 => two
                .delete(&format!("/users/me/sessions/{}", held[1].session()))
                .bearer(asking),
            4 => one.post("/oauth/revoke").form(&[("token", &held[1].refresh)]),
            5 => two.delete("/users/me").bearer(asking),
            _ => {
                let password = format!("{}-{}", "velvet-harbor-cinder", self.lines.len());
                self.accounts[account].persona.password.clone_from(&password);
                one.put("/users/me")
                    .bearer(asking)
                    .json(&json!({"password": password, "current_password": persona.password}))
            }
        };
        // Two tabs of each device, one on each instance, around the one that ends something.
        let mut calls: Vec<_> = held.iter().map(|tokens| one.refresh(&tokens.refresh)).collect();
        calls.insert(self.dice.roll(3), end);
        let position = calls.len();
        calls.extend(held.iter().map(|tokens| two.refresh(&tokens.refresh)));
        let answers = all(calls).await;
        let (ended, refreshed): (Vec<&Answer>, Vec<&Answer>) =
            answers.iter().partition(|answer| answer.path != "/oauth/token");
        assert_eq!(position, 4);
        assert!(ended[0].status < 300, "{}", ended[0]);
        let is_over = |device: usize| match what {
            0 => device == 0,
            2 | 5 => true,
            3 | 4 => device == 1,
            _ => device != 0,
        };
        for device in 0..3 {
            let answers = [refreshed[device], refreshed[device + 3]];
            let got: Vec<Tokens> = answers
                .iter()
                .filter(|answer| answer.status == 200)
                .map(|answer| Tokens::of(answer))
                .collect();
            if is_over(device) {
                // Whatever was given out just before, nothing of it lives.
                for tokens in got.iter().chain([&held[device]]) {
                    for instance in &self.instances {
                        instance.is_dead(tokens).await;
                    }
                }
                self.accounts[account].devices[device].is_signed_in = false;
            } else {
                assert_eq!(
                    got.len(),
                    2,
                    "an honest client was signed out: {} {}",
                    answers[0],
                    answers[1]
                );
                assert_eq!(got[0].refresh, got[1].refresh, "two successors");
                self.accounts[account].devices[device].held = got[0].clone();
                self.refresh(account, device).await;
                self.instances[1]
                    .lives(&self.accounts[account].devices[device].held)
                    .await;
            }
        }
        self.no_session_has_two().await;
        self.accounts[account]
            .devices
            .retain(|device| device.is_signed_in);
        if what == 5 {
            self.accounts.remove(account);
            self.register().await;
        }
    }
}

scenario! {
    async fn whatever_happens_one_after_the_other(world: World) {
        let seed = variable("ROSTER_PROPERTY_SEED").unwrap_or(1);
        let mut history = History::begin(&world, seed).await;
        for step in 0..steps(STEPS) {
            history.step().await;
            if step % 10 == 0 {
                history.forget_the_dead();
            }
        }
        history.ask_again().await;
        for account in 0..history.accounts.len() {
            for device in 0..history.accounts[account].devices.len() {
                if history.accounts[account].devices[device].is_signed_in {
                    history.refresh(account, device).await;
                }
            }
        }
    }

    async fn whatever_happens_at_the_same_moment(world: World) {
        let seed = variable("ROSTER_PROPERTY_SEED").unwrap_or(2);
        let mut history = History::begin(&world, seed).await;
        for _ in 0..steps(BURSTS) {
            history.burst().await;
        }
    }
}
