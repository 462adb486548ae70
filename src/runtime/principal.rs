//! Principals: the nodes, clients and administrators that certificates name.

use std::sync::Arc;

use crate::machine::Proposer;
use crate::storage::ClusterId;
use crate::types::NodeId;
use crate::types::text::texts;

/// The identity that a certificate proves.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Principal {
    /// A node of the cluster. As a client it may request the reports of other nodes, and, if nodes
    /// forward proposals, forward those of its own clients; nothing else.
    Node(NodeId),
    /// A client: may propose commands, read, and request reports.
    Client(Arc<str>),
    /// An administrator: may send every request.
    Admin(Arc<str>),
}

/// The role of a principal in a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, strum::Display)]
#[strum(serialize_all = "lowercase")]
pub enum Role {
    /// A node of the cluster.
    Node,
    /// A client, which may propose commands, read, and request reports.
    Client,
    /// An administrator, which may send every request.
    Admin,
}

impl Role {
    /// Every role, in the order of the variants.
    pub const ALL: [Role; 3] = [Role::Node, Role::Client, Role::Admin];
}

/// The longest name of a client or an administrator, in bytes.
pub const PRINCIPAL_NAME_BYTES_MAX: usize = Proposer::NAME_BYTES_MAX;

impl Principal {
    /// Returns the role of the principal.
    #[must_use]
    pub fn role(&self) -> Role {
        match self {
            Principal::Node(_) => Role::Node,
            Principal::Client(_) => Role::Client,
            Principal::Admin(_) => Role::Admin,
        }
    }

    /// Returns the proposer of the principal's own commands; `None` for a node, which proposes only
    /// for its clients.
    #[must_use]
    pub fn proposer(&self) -> Option<Proposer<'_>> {
        match self {
            Principal::Node(_) => None,
            Principal::Client(name) => Some(Proposer::Client(name)),
            Principal::Admin(name) => Some(Proposer::Admin(name)),
        }
    }

    /// Returns the URI that names the principal in a certificate.
    ///
    /// ```
    /// use quorate::runtime::Principal;
    /// use quorate::storage::ClusterId;
    /// use quorate::types::NodeId;
    ///
    /// let uri = Principal::Node(NodeId(3)).uri(ClusterId(0xc1));
    /// assert_eq!(uri, "quorate://000000000000000000000000000000c1/node/3");
    /// assert_eq!(Principal::from_uri(&uri), Some((ClusterId(0xc1), Principal::Node(NodeId(3)))));
    /// ```
    #[must_use]
    pub fn uri(&self, cluster: ClusterId) -> String {
        match self {
            Principal::Node(id) => format!("quorate://{cluster}/node/{}", id.0),
            Principal::Client(name) | Principal::Admin(name) => {
                format!("quorate://{cluster}/{}/{name}", self.role())
            }
        }
    }

    /// Returns the cluster and the principal that a URI names. Each principal has exactly one URI:
    /// any other spelling returns `None`.
    #[must_use]
    pub fn from_uri(uri: &str) -> Option<(ClusterId, Principal)> {
        let mut parts = uri.strip_prefix("quorate://")?.split('/');
        let (cluster, role, name) = (parts.next()?, parts.next()?, parts.next()?);
        let cluster = ClusterId(u128::from_str_radix(cluster, 16).ok()?);
        let principal = match role {
            "node" => Principal::Node(NodeId(name.parse().ok()?)),
            "client" => Principal::client(name)?,
            "admin" => Principal::admin(name)?,
            _ => return None,
        };
        (parts.next().is_none() && principal.uri(cluster) == uri).then_some((cluster, principal))
    }

    /// Returns the client of that name; `None` if the name is empty, longer than
    /// [`PRINCIPAL_NAME_BYTES_MAX`], or has characters other than ASCII letters and digits, `-`,
    /// `_` and `.`.
    #[must_use]
    pub fn client(name: &str) -> Option<Principal> {
        Proposer::is_name(name).then(|| Principal::Client(name.into()))
    }

    /// Returns the administrator of that name, by the rules of [`Principal::client`].
    #[must_use]
    pub fn admin(name: &str) -> Option<Principal> {
        Proposer::is_name(name).then(|| Principal::Admin(name.into()))
    }
}

texts! {
    Principal:
    Self::Node(id) => "node {id}";
    Self::Client(name) => "client {name}";
    Self::Admin(name) => "admin {name}";
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLUSTER: &str = "000000000000000000000000000000c1";

    #[test]
    fn a_uri_names_one_principal() {
        let name = "a".repeat(PRINCIPAL_NAME_BYTES_MAX);
        let principals = [Principal::client("app-1.x_y"), Principal::admin(&name)];
        for principal in principals.into_iter().flatten().chain([Principal::Node(NodeId(7))]) {
            let uri = principal.uri(ClusterId(0xc1));
            assert_eq!(Principal::from_uri(&uri), Some((ClusterId(0xc1), principal)), "{uri}");
        }
    }

    #[test]
    fn any_other_uri_names_no_principal() {
        let long = "a".repeat(PRINCIPAL_NAME_BYTES_MAX + 1);
        let ends = [
            "/node/",
            "/node/01",
            "/node/+1",
            "/node/1/",
            "/node/1/2",
            "/node/x",
            "/Node/1",
            "/other/x",
            "/client/",
            "/client/a b",
            "/client/ä",
            "/node",
            "",
            "/node/1?x",
            "//node/1",
            &format!("/client/{long}"),
        ];
        for end in ends {
            let uri = format!("quorate://{CLUSTER}{end}");
            assert_eq!(Principal::from_uri(&uri), None, "{uri}");
        }
        for start in ["", "http://", "QUORATE://"] {
            assert_eq!(Principal::from_uri(&format!("{start}{CLUSTER}/node/1")), None, "{start}");
        }
        for cluster in
            ["c1", "000000000000000000000000000000C1", "+00000000000000000000000000000c1"]
        {
            assert_eq!(Principal::from_uri(&format!("quorate://{cluster}/node/1")), None);
        }
    }
}
