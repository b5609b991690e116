//! Proof of a mailbox, and the mails that go with it.

mod addresses;
mod codes;
mod outbox;
mod pages;
mod passwords;
mod registration;
