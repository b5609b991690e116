//! Networks of trusted proxies.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// A network in CIDR notation, such as `10.0.0.0/8` or `fd00::/8`; a single address is a network of one.
///
/// An IPv4 address written as an IPv6 one (`::ffff:10.0.0.1`) counts as the IPv4 address, because a
/// dual-stack listener reports its IPv4 peers in that form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    addr: IpAddr,
    prefix: u8,
}

impl Network {
    /// The lowest address of the network.
    #[must_use]
    pub const fn addr(&self) -> IpAddr {
        self.addr
    }

    /// How many leading bits are fixed: 0 to 32 for IPv4, 0 to 128 for IPv6.
    #[must_use]
    pub const fn prefix(&self) -> u8 {
        self.prefix
    }

    /// Whether the address lies in this network. IPv4 addresses are never in an IPv6 network.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.addr, address.to_canonical()) {
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
            (_, address) => lowest(address, self.prefix) == self.addr,
        }
    }
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let written: IpAddr = address
            .parse()
            .map_err(|_| "is not an IP address or network".to_owned())?;
        let longest = if written.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            None => longest,
            Some(digits) => Some(digits)
                .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))
                .and_then(|digits| digits.parse().ok())
                .filter(|prefix| *prefix <= longest)
                .ok_or_else(|| format!("needs a prefix length from 0 to {longest}"))?,
        };
        // Bits behind the prefix mean that address or prefix is a slip, and guessing which would
        // decide whom the server believes.
        let start = lowest(written, prefix);
        if start != written {
            return Err(format!("has bits behind its prefix; write {start}/{prefix}"));
        }
        let addr = written.to_canonical();
        let prefix = if addr.is_ipv4() && written.is_ipv6() {
            prefix.saturating_sub(96)
        } else {
            prefix
        };
        Ok(Self { addr, prefix })
    }
}

impl fmt::Display for Network {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}/{}", self.addr, self.prefix)
    }
}

/// The address with every bit behind the prefix cleared.
fn lowest(address: IpAddr, prefix: u8) -> IpAddr {
    // A shift by the whole width is no shift to Rust, but an empty mask to us.
    match address {
        IpAddr::V4(address) => {
            let shift = 32_u32.saturating_sub(u32::from(prefix));
            let mask = u32::MAX.checked_shl(shift).unwrap_or(0);
            Ipv4Addr::from_bits(address.to_bits() & mask).into()
        }
        IpAddr::V6(address) => {
            let shift = 128_u32.saturating_sub(u32::from(prefix));
            let mask = u128::MAX.checked_shl(shift).unwrap_or(0);
            Ipv6Addr::from_bits(address.to_bits() & mask).into()
        }
    }
}
