//! Where mails of a world go: into memory, to be read.

use std::sync::{Arc, Mutex};

use entity::{mail_codes, mail_outbox};
use roster::clock::Clock as _;
use roster::mail::service::deliver_due;
use roster::mail::{self, MailKind};
use roster::mailer::{Letter, Mailer, SendFault};
use sea_orm::EntityTrait as _;
use sea_orm::sea_query::Expr;

use super::world::{Persona, World};

/// A mail server that keeps what it gets. Clones are the same one.
#[derive(Clone, Debug, Default)]
pub struct Post(Arc<Mutex<Bag>>);

#[derive(Debug, Default)]
struct Bag {
    letters: Vec<Letter>,
    fault: Option<SendFault>,
}

#[async_trait::async_trait]
impl Mailer for Post {
    async fn send(&self, letter: &Letter) -> Result<(), SendFault> {
        let mut bag = self.0.lock().unwrap();
        if let Some(fault) = &bag.fault {
            return Err(fault.clone());
        }
        bag.letters.push(letter.clone());
        Ok(())
    }
}

impl Post {
    /// From now on nothing is taken, for this reason; or everything again.
    pub fn fail(&self, fault: Option<SendFault>) {
        self.0.lock().unwrap().fault = fault;
    }
}

/// The token of a letter's link.
#[track_caller]
pub fn token(letter: &Letter) -> String {
    let link = letter.link.as_ref().expect("the letter has a link");
    assert!(letter.text.lines().any(|line| line == link), "{}", letter.text);
    link.split_once("token=")
        .expect("the link has a token")
        .1
        .to_owned()
}

/// The short code of a letter.
#[track_caller]
pub fn typed_code(letter: &Letter) -> String {
    let mut lines = letter.text.lines().filter_map(|line| line.strip_prefix("    "));
    lines.next().expect("the letter has a short code").to_owned()
}

impl World {
    /// Sends what is due, and gives what has arrived since the last time, in the order of its addresses: the clock stands
    /// still, and of what is caused in one instant nothing is first.
    pub async fn deliver(&self) -> Vec<Letter> {
        deliver_due(&self.state).await.unwrap();
        let mut letters = std::mem::take(&mut self.post.0.lock().unwrap().letters);
        letters.sort_by(|a, b| (a.to.as_str(), &a.subject).cmp(&(b.to.as_str(), &b.subject)));
        letters
    }

    /// The one mail that arrives now.
    #[track_caller]
    pub fn only_letter(&self) -> impl Future<Output = Letter> {
        let world = self.clone();
        async move {
            let mut letters = world.deliver().await;
            let subjects: Vec<_> = letters.iter().map(|letter| letter.subject.clone()).collect();
            assert_eq!(letters.len(), 1, "{subjects:?}");
            letters.remove(0)
        }
    }

    /// Asks for a new password, and gives the mail.
    pub async fn forgot(&self, email: &str) -> Letter {
        let body = serde_json::json!({"email": email});
        World::post(self, "/forgot-password")
            .json(&body)
            .await
            .expect(202);
        self.only_letter().await
    }

    /// Asks for a new password, and gives the mail with this subject out of all that arrive.
    pub async fn forgot_among(&self, email: &str, subject: &str) -> Letter {
        let body = serde_json::json!({"email": email});
        World::post(self, "/forgot-password")
            .json(&body)
            .await
            .expect(202);
        let mut letters = self.deliver().await;
        letters.retain(|letter| letter.subject == subject);
        assert_eq!(letters.len(), 1);
        letters.remove(0)
    }

    /// What an operator does who makes an account for somebody.
    pub async fn invite(&self, persona: &Persona) {
        let mail = mail::compose(
            &self.state,
            MailKind::Invitation,
            Some(persona.user_id()),
            persona.email.as_str(),
        );
        mail::queue(&self.db(), mail).await.unwrap();
    }

    /// Takes mails on as an instance does that dies right after; gives how many.
    pub async fn take_mails(&self) -> u64 {
        let soon = (self.clock.now() + chrono::TimeDelta::seconds(40)).fixed_offset();
        let done = mail_outbox::Entity::update_many()
            .col_expr(mail_outbox::Column::DueAt, Expr::value(soon))
            .exec(&self.db())
            .await
            .unwrap();
        done.rows_affected
    }

    /// Everything that the database holds of mails and codes, as text.
    pub async fn mail_rows(&self) -> String {
        let db = self.db();
        let mails = mail_outbox::Entity::find().all(&db).await.unwrap();
        let codes = mail_codes::Entity::find().all(&db).await.unwrap();
        let mails = mails.iter().map(|row| format!("{row:?}\n"));
        mails
            .chain(codes.iter().map(|row| format!("{row:?}\n")))
            .collect()
    }
}
