//! Whom a client's address stands for.

use std::net::IpAddr;

/// One client, as far as its address tells: what limits count by, and what hashing is shared out by.
///
/// Who has one IPv6 address has a /64 of them (RFC 6177 §2), so that is one client. No address at all is one client as
/// well: work that no client has asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ClientNetwork {
    /// Nobody's address.
    #[default]
    None,
    /// An IPv4 address.
    V4([u8; 4]),
    /// The first 64 bits of an IPv6 address.
    V6([u8; 8]),
}

impl ClientNetwork {
    /// The client with this address.
    #[must_use]
    pub fn of(address: Option<IpAddr>) -> Self {
        match address.map(|address| address.to_canonical()) {
            None => Self::None,
            Some(IpAddr::V4(address)) => Self::V4(address.octets()),
            Some(IpAddr::V6(address)) => {
                Self::V6(address.octets().first_chunk().copied().unwrap_or_default())
            }
        }
    }

    /// As bytes, which differ for each client.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8] {
        match self {
            Self::None => &[],
            Self::V4(bytes) => bytes,
            Self::V6(bytes) => bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_an_ipv4_address_or_an_ipv6_network() {
        let of = |text: &str| ClientNetwork::of(Some(text.parse().unwrap()));
        assert_eq!(of("2001:db8:1:2::1"), of("2001:db8:1:2:ffff:ffff:ffff:ffff"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
        assert_ne!(ClientNetwork::of(None), of("::"));
    }

    #[test]
    fn their_bytes_tell_clients_apart() {
        let of = |text: &str| ClientNetwork::of(Some(text.parse().unwrap()));
        assert_eq!(of("192.0.2.1").as_bytes(), [192, 0, 2, 1]);
        assert_eq!(
            of("2001:db8:1:2::1").as_bytes(),
            [0x20, 0x01, 0x0d, 0xb8, 0, 1, 0, 2]
        );
        assert!(ClientNetwork::None.as_bytes().is_empty());
    }
}
