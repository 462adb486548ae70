//! Values of flags and settings: clusters, nodes and their addresses, principals, numbers, times,
//! sizes and read levels.

use std::fmt;
use std::marker::PhantomData;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use quorate::runtime::{PRINCIPAL_NAME_BYTES_MAX, Principal};
use quorate::storage::ClusterId;
use quorate::types::{NodeId, ReadLevel, parse_bytes, parse_duration, parse_number};
use serde::de::{Deserialize, Deserializer, Visitor};

/// Implements `Deserialize` for types that the settings file and the command line write as the same
/// text. An invalid value is an error of the parser of the file, which reports its line.
macro_rules! from_text {
    ($($name:ident),*) => {$(
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<$name, D::Error> {
                from.deserialize_str(Text(PhantomData))
            }
        }
    )*};
}

struct Text<T>(PhantomData<T>);

impl<T: FromStr<Err = String>> Visitor<'_> for Text<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text in quotes")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }
}

from_text!(Cluster, NodeAddress, Span, Bytes, ListenAddress);

/// A cluster: its id in 32 hexadecimal digits, or a name, whose hash is the id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cluster(pub(crate) ClusterId);

/// A node's id and address: `4=10.0.0.4:7100`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NodeAddress {
    pub(crate) id: NodeId,
    pub(crate) address: SocketAddr,
}

/// The address at which a client reaches a node: `10.0.0.4:7100`, or a host name in place of the
/// IP address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ServerAddress(pub(crate) String);

/// An address to listen on, or a port on the loopback address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ListenAddress(pub(crate) SocketAddr);

/// A time: `200us`, `300ms`, `2s`, `5m`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span(pub(crate) Duration);

/// A size: `4096`, `64KiB`, `16MiB`, `1GiB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bytes(pub(crate) u64);

/// The consistency of a read: `linearizable`, `lease`, `replica`, `local`, or a staleness bound:
/// `2s`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Consistency(pub(crate) ReadLevel);

/// The identity of a client's certificate: `client/NAME` or `admin/NAME`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ClientPrincipal(pub(crate) Principal);

impl FromStr for Cluster {
    type Err = String;

    fn from_str(text: &str) -> Result<Cluster, String> {
        if text.is_empty() {
            return Err("the cluster name is empty".to_owned());
        }
        if text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            let id = u128::from_str_radix(text, 16).map_err(|error| error.to_string())?;
            return Ok(Cluster(ClusterId(id)));
        }
        let hash = blake3::hash(text.as_bytes());
        let first = hash.as_bytes().first_chunk().expect("a hash has 32 bytes");
        Ok(Cluster(ClusterId(u128::from_be_bytes(*first))))
    }
}

impl FromStr for ServerAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<ServerAddress, String> {
        if let Some((id, address)) = text.split_once('=') {
            return Err(format!(
                "`{text}` is an entry of `--members`, with the id {id} of the node: `--nodes` \
                 takes only its address, {address}"
            ));
        }
        if text.contains('/') {
            return Err(format!(
                "`{text}` is a URL or a path: write HOST:PORT, like 127.0.0.1:7101"
            ));
        }
        match text.rsplit_once(':') {
            Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok() => {
                Ok(ServerAddress(text.to_owned()))
            }
            _ => Err(format!("`{text}` is not HOST:PORT, like 127.0.0.1:7101")),
        }
    }
}

impl FromStr for NodeAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<NodeAddress, String> {
        let (id, address) = text.split_once('=').ok_or_else(|| {
            format!("`{text}` has no id of a node: write ID=ADDRESS:PORT, like 1=127.0.0.1:7101")
        })?;
        let id = parse_node_id(id)?;
        let address = address.trim().parse();
        let address = address.map_err(|_| {
            format!("`{text}`: the address must be an IP address and a port, like 127.0.0.1:7101")
        })?;
        Ok(NodeAddress { id, address })
    }
}

impl fmt::Display for NodeAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.id.0, self.address)
    }
}

impl FromStr for Consistency {
    type Err = String;

    fn from_str(text: &str) -> Result<Consistency, String> {
        Ok(Consistency(match text {
            "linearizable" => ReadLevel::Linearizable,
            "lease" => ReadLevel::Lease,
            "replica" => ReadLevel::Replica,
            "local" => ReadLevel::Local,
            _ => {
                let span: Result<Span, String> = text.parse();
                let error = |_| {
                    format!("`{text}` is not linearizable, lease, replica, local or a time like 2s")
                };
                ReadLevel::Bounded(span.map_err(error)?.0)
            }
        }))
    }
}

impl FromStr for ListenAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<ListenAddress, String> {
        let port = text.parse::<u16>().map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
        let address = port.ok().or_else(|| text.parse().ok()).map(ListenAddress);
        address.ok_or_else(|| format!("`{text}` is not an address like 127.0.0.1:9100 or a port"))
    }
}

impl FromStr for ClientPrincipal {
    type Err = String;

    fn from_str(text: &str) -> Result<ClientPrincipal, String> {
        match text.split_once('/') {
            Some(("client", name)) => parse_client(name).map(ClientPrincipal),
            Some(("admin", name)) => parse_admin(name).map(ClientPrincipal),
            _ => Err(format!("`{text}` is not client/NAME or admin/NAME")),
        }
    }
}

/// Returns a parser of whole numbers within these bounds, which are those of the type or narrower.
pub(crate) fn number<T: TryFrom<u64>>(
    bounds: RangeInclusive<u64>,
) -> impl Fn(&str) -> Result<T, String> + Clone {
    move |text| {
        let number = parse_number(text, bounds.clone())?;
        Ok(T::try_from(number).ok().expect("the type holds the numbers within the bounds"))
    }
}

/// Parses a time that is longer than zero.
pub(crate) fn positive_span(text: &str) -> Result<Span, String> {
    let span: Span = text.parse()?;
    match span.0.is_zero() {
        true => Err(format!("`{text}` is zero: write a longer time, like 10s")),
        false => Ok(span),
    }
}

/// The numbers of 32 bits that may be a count.
pub(crate) const COUNTS: RangeInclusive<u64> = 1..=u32::MAX as u64;

/// Parses the id of a node as a number.
pub(crate) fn parse_id(text: &str) -> Result<u64, String> {
    parse_node_id(text).map(|id| id.0)
}

/// Parses the id of a node.
pub(crate) fn parse_node_id(text: &str) -> Result<NodeId, String> {
    let id = text.trim().parse().ok().filter(|id| *id > 0).map(NodeId);
    id.ok_or_else(|| format!("`{text}` is not the id of a node, which is a number from 1"))
}

/// Parses the name of a client.
pub(crate) fn parse_client(name: &str) -> Result<Principal, String> {
    Principal::client(name).ok_or_else(|| invalid_name(name))
}

/// Parses the name of an administrator.
pub(crate) fn parse_admin(name: &str) -> Result<Principal, String> {
    Principal::admin(name).ok_or_else(|| invalid_name(name))
}

fn invalid_name(name: &str) -> String {
    format!(
        "`{name}` is not a name: use 1 to {PRINCIPAL_NAME_BYTES_MAX} ASCII letters, digits, `-`, \
         `_` and `.`"
    )
}

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Span, String> {
        let span = parse_duration(text).map(Span);
        span.ok_or_else(|| format!("`{text}` is not a time like 200us, 300ms, 1.5s, 5m, 12h or 7d"))
    }
}

impl FromStr for Bytes {
    type Err = String;

    fn from_str(text: &str) -> Result<Bytes, String> {
        let bytes = parse_bytes(text).map(Bytes);
        bytes.ok_or_else(|| format!("`{text}` is not a size like 4096, 64KiB, 16MiB or 1GiB"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_parsed() {
        assert_eq!("300ms".parse(), Ok(Span(Duration::from_millis(300))));
        assert_eq!("200us".parse(), Ok(Span(Duration::from_micros(200))));
        assert_eq!("5min".parse(), Ok(Span(Duration::from_secs(300))));
        assert_eq!("64 KiB".parse(), Ok(Bytes(65536)));
        let node: NodeAddress = "4=127.0.0.1:7104".parse().expect("a node and its address");
        assert_eq!((node.id, node.to_string()), (NodeId(4), "4=127.0.0.1:7104".to_owned()));
    }

    #[test]
    fn a_port_without_an_address_is_on_loopback() {
        assert_eq!("9100".parse(), Ok(ListenAddress(([127, 0, 0, 1], 9100).into())));
        assert_eq!("0.0.0.0:9100".parse(), Ok(ListenAddress(([0, 0, 0, 0], 9100).into())));
        assert!(
            "65536"
                .parse::<ListenAddress>()
                .expect_err("a port is at most 65535")
                .contains("`65536`")
        );
    }

    #[test]
    fn an_error_quotes_the_invalid_value() {
        for text in ["", "ms", "3", "3w", "99999999999999999999s"] {
            let error = text.parse::<Span>().expect_err(text);
            assert!(error.contains(&format!("`{text}`")), "{error}");
        }
        for text in ["", "3MB", "KiB", "99999999999GiB"] {
            let error = text.parse::<Bytes>().expect_err(text);
            assert!(error.contains(&format!("`{text}`")), "{error}");
        }
        for text in ["127.0.0.1:1", "0=127.0.0.1:1", "x=127.0.0.1:1", "1=localhost"] {
            let error = text.parse::<NodeAddress>().expect_err(text);
            let invalid = text.strip_suffix("=127.0.0.1:1").unwrap_or(text);
            assert!(error.contains(&format!("`{invalid}`")), "{error}");
        }
        for text in ["1=127.0.0.1:1", "localhost", ":7101", "localhost:99999"] {
            let error = text.parse::<ServerAddress>().expect_err(text);
            assert!(error.contains(&format!("`{text}`")), "{error}");
        }
        assert!("node-1.example:7101".parse::<ServerAddress>().is_ok());
    }

    #[test]
    fn the_name_of_a_client_is_one_that_a_certificate_may_have() {
        let app: ClientPrincipal = "client/app-1.x_y".parse().expect("a valid name");
        assert_eq!(Some(app.0), Principal::client("app-1.x_y"));
        let long = "a".repeat(PRINCIPAL_NAME_BYTES_MAX + 1);
        for name in ["", "../ops", "a b", "ä", &long] {
            let error = parse_client(name).expect_err(name);
            assert!(error.contains(&format!("`{name}` is not a name: use 1 to 64 ASCII")));
            assert_eq!(parse_admin(name), Err(error.clone()));
            assert_eq!(format!("admin/{name}").parse::<ClientPrincipal>(), Err(error));
        }
    }

    #[test]
    fn a_cluster_has_a_name_or_an_id() {
        let id: Cluster = "000000000000000000000000000000ff".parse().expect("a valid id");
        assert_eq!(id.0, ClusterId(255));
        assert_eq!("orders".parse::<Cluster>(), "orders".parse());
        assert_ne!("orders".parse::<Cluster>(), "Orders".parse());
        assert!("".parse::<Cluster>().is_err());
    }
}
