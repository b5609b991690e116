//! The `limits` section: how often may be tried.

use super::reader::Reader;

/// The `limits` section. A limit with a burst of 0 is off.
#[derive(Clone, Debug)]
pub struct LimitsConfig {
    /// Whether anything is limited at all.
    pub enabled: bool,
    /// Wrong passwords on one account before each further one makes it wait.
    pub account_burst: u32,
    /// Seconds after which one of them is forgotten.
    pub account_refill_seconds: u32,
    /// The longest that an account waits, in seconds.
    pub account_longest_wait_seconds: u32,
    /// Wrong passwords and codes from one client address.
    pub address_burst: u32,
    /// Seconds after which one of them is forgotten.
    pub address_refill_seconds: u32,
    /// Registrations from one client address.
    pub registration_burst: u32,
    /// Seconds after which one of them is forgotten.
    pub registration_refill_seconds: u32,
    /// Wrong client secrets from one client address.
    pub client_burst: u32,
    /// Seconds after which one of them is forgotten.
    pub client_refill_seconds: u32,
}

/// The longest that anything is remembered: 100,000 of them a day each is 270 years, which a 64-bit count of
/// milliseconds holds many times over.
const MOST: u32 = 100_000;
const A_DAY: u32 = 86_400;

impl LimitsConfig {
    pub(super) fn read(r: &mut Reader) -> Self {
        Self {
            enabled: r.flag(
                "limits.enabled",
                true,
                "Whether requests are limited for each account and client address",
            ),
            account_burst: r.number(
                "limits.account_burst",
                10,
                0..=1000,
                "Wrong passwords on an account before it waits, twice as long after each further one; 0 for no limit",
            ),
            account_refill_seconds: r.number(
                "limits.account_refill_seconds",
                3600,
                1..=A_DAY,
                "Seconds after which one wrong password on an account is forgotten; a right one forgets them all",
            ),
            account_longest_wait_seconds: r.number(
                "limits.account_longest_wait_seconds",
                900,
                1..=900,
                "The longest that an account waits, in seconds",
            ),
            address_burst: r.number(
                "limits.address_burst",
                100,
                0..=MOST,
                "Wrong passwords and codes from a client address at once, IPv6 by /64; 0 for no limit",
            ),
            address_refill_seconds: r.number(
                "limits.address_refill_seconds",
                36,
                1..=A_DAY,
                "Seconds after which a client address has one more wrong password or code",
            ),
            registration_burst: r.number(
                "limits.registration_burst",
                300,
                0..=MOST,
                "Registrations from a client address at once; 0 for no limit",
            ),
            registration_refill_seconds: r.number(
                "limits.registration_refill_seconds",
                10,
                1..=A_DAY,
                "Seconds after which a client address has one more registration",
            ),
            client_burst: r.number(
                "limits.client_burst",
                100,
                0..=MOST,
                "Wrong client secrets from a client address at once; 0 for no limit",
            ),
            client_refill_seconds: r.number(
                "limits.client_refill_seconds",
                36,
                1..=A_DAY,
                "Seconds after which a client address has one more wrong client secret",
            ),
        }
    }
}
