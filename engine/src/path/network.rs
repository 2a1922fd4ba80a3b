//! The networks that addresses are generalised to.
//!
//! Not here: when there are too many addresses.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// The network of an address, by a fixed rule: /24 of an IPv4 address, /64 of an IPv6 address. An IPv4 address
/// written as IPv6 has its IPv4 network (`::ffff:10.0.3.0/120`): the /64 of all such is one and the same.
///
/// Written `10.0.3.0/24`, `2001:db8::/64`; parsing takes only that, and [`network`] of any address in it gives it back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Network(IpAddr);

/// A text that is no [`Network`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a network as profiles write it, such as `10.0.3.0/24` or `2001:db8::/64`")]
pub struct BadNetwork;

impl Network {
    /// The lowest address in it.
    pub fn base(self) -> IpAddr {
        self.0
    }
}

/// The network that `ip` is in.
pub fn network(ip: IpAddr) -> Network {
    let base = match ip {
        IpAddr::V4(v4) => Ipv4Addr::from_bits(v4.to_bits() & host_mask(32 - prefix_len(ip)) as u32).into(),
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & host_mask(128 - prefix_len(ip))).into(),
    };
    Network(base)
}

fn prefix_len(ip: IpAddr) -> u8 {
    match ip {
        IpAddr::V4(_) => 24,
        IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some() => 120,
        IpAddr::V6(_) => 64,
    }
}

/// All ones but for the last `host_bits`.
fn host_mask(host_bits: u8) -> u128 {
    u128::MAX << host_bits
}

/// Whether an address says what it is for and is never generalised: loopback or unspecified, also as IPv4 in IPv6.
pub fn keeps_address(ip: IpAddr) -> bool {
    let ip = ip.to_canonical();
    ip.is_loopback() || ip.is_unspecified()
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.0, prefix_len(self.0))
    }
}

impl FromStr for Network {
    type Err = BadNetwork;

    fn from_str(text: &str) -> Result<Self, BadNetwork> {
        let (base, _) = text.split_once('/').ok_or(BadNetwork)?;
        let parsed = network(base.parse().map_err(|_| BadNetwork)?);
        // Addresses have several spellings; only the one that identities are compared by will do.
        if parsed.to_string() != text {
            return Err(BadNetwork);
        }
        Ok(parsed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn addresses_have_networks() {
        for (ip, expect) in [
            ("10.0.3.7", "10.0.3.0/24"),
            ("255.255.255.255", "255.255.255.0/24"),
            ("2001:db8::1", "2001:db8::/64"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
            ("::ffff:10.0.3.7", "::ffff:10.0.3.0/120"),
        ] {
            assert_eq!(network(ip.parse().unwrap()).to_string(), expect);
        }
    }

    #[test]
    fn parses_only_what_it_writes() {
        for text in [
            "",
            "10.0.3.0",
            "10.0.3.7/24",
            "10.0.3.0/16",
            "10.0.3.0/",
            "2001:db8::1/64",
            "::ffff:10.0.3.0/64",
            "*",
            "10.0.3.0/+24",
            "2001:DB8::/64",
        ] {
            assert_eq!(text.parse::<Network>(), Err(BadNetwork), "{text}");
        }
    }

    #[test]
    fn telling_addresses_stay() {
        for (ip, expect) in [
            ("127.0.0.1", true),
            ("127.9.9.9", true),
            ("0.0.0.0", true),
            ("::1", true),
            ("::", true),
            ("::ffff:127.0.0.1", true),
            ("::ffff:0.0.0.0", true),
            ("10.0.0.1", false),
            ("::2", false),
            ("::ffff:10.0.0.1", false),
        ] {
            assert_eq!(keeps_address(ip.parse().unwrap()), expect, "{ip}");
        }
    }

    proptest! {
        #[test]
        fn a_network_survives_its_text(ip: IpAddr) {
            let net = network(ip);
            prop_assert_eq!(net.to_string().parse(), Ok(net));
            prop_assert_eq!(network(net.0), net);
        }

        #[test]
        fn a_mapped_network_survives_its_text(ip: Ipv4Addr) {
            let net = network(ip.to_ipv6_mapped().into());
            prop_assert_eq!(net.to_string().parse(), Ok(net));
            prop_assert_eq!(net.to_string(), format!("::ffff:{}/120", network(ip.into()).0));
        }
    }
}
