//! The origin of a connection. Connections and requests are limited by origin, so that one client
//! or host cannot take the places of all others.

use std::net::{IpAddr, Ipv6Addr};

use crate::runtime::principal::{Principal, Role};
use crate::types::text::texts;

/// The remote of a connection as the limits count it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Origin {
    /// The principal that the certificate proves.
    Principal(Principal),
    /// Without a certificate, the address: an IPv4 address, or the /64 prefix of an IPv6 address.
    Address(IpAddr),
}

/// The number of an origin, which it has as long as it is connected. Requests that no remote sent
/// have the default number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct OriginNumber(pub(super) u64);

impl Origin {
    pub(super) fn new(principal: Option<&Principal>, from: IpAddr) -> Origin {
        match principal {
            Some(principal) => Origin::Principal(principal.clone()),
            None => Origin::Address(network_prefix(from)),
        }
    }

    /// Returns true for administrators and nodes, which have places reserved for them.
    pub(super) fn has_reserved_places(&self) -> bool {
        matches!(self, Origin::Principal(principal) if principal.role() != Role::Client)
    }
}

texts! {
    Origin:
    Self::Principal(principal) => "{principal}";
    Self::Address(address) => "{address}";
}

/// Returns the counted address: an IPv4 address unchanged, and of an IPv6 address the /64 prefix,
/// because one host may use all addresses with it.
pub(super) fn network_prefix(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
        version_4 => version_4,
    }
}
