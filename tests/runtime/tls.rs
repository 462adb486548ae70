//! TLS between nodes and with clients: which certificates are accepted and rejected.

use std::fs;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use quorate::runtime::certs::{Authority, CertsError, Directory};
use quorate::runtime::{
    Client, ClientError, ConnectionRejectReason, Principal, RejectCause, Role, Server,
    ServerConfig, ServerError, TlsConfig,
};
use quorate::storage::ClusterId;
use quorate::types::{Acknowledge, Body, Change, Index, NodeId, ReadLevel};
use quorate::wire::{Frame, ServiceRejectReason};
use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, Issuer, KeyPair, SanType,
};
use rustls::crypto::ring::default_provider;
use rustls::pki_types::{ServerName, UnixTime};
use rustls::{ClientConfig, RootCertStore};
use tempfile::TempDir;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::accept_any_server::client_config;
use crate::addresses::free_address;
use crate::cluster::{CLUSTER, Cluster, Lines, eventually, rejected_count, wait_rejected};
use crate::raw::{Raw, hello, message};

const NODE: fn(u64) -> Principal = |id| Principal::Node(NodeId(id));

/// Connects with the certificate, or without one.
pub(crate) async fn connect(
    address: SocketAddr,
    tls_files: Option<&TlsConfig>,
) -> Raw<TlsStream<TcpStream>> {
    let tcp = TcpStream::connect(address).await.expect("the node listens");
    let name = ServerName::try_from("any-host").expect("the name is valid");
    let connected = TlsConnector::from(Arc::new(client_config(tls_files))).connect(name, tcp).await;
    Raw::new(connected.expect("the server sends its certificate first"))
}

/// A single node with TLS.
struct Node {
    cluster: Cluster,
    address: SocketAddr,
}

impl Node {
    async fn start() -> Node {
        let cluster = Cluster::start_with_tls(1).await;
        let address = cluster.servers[&NodeId(1)].address();
        Node { cluster, address }
    }

    fn certs(&self) -> Directory {
        self.cluster.certs()
    }

    fn issue(&self, principal: &Principal) -> TlsConfig {
        self.certs().issue(CLUSTER, principal, 1).expect("the directory is writable")
    }

    /// Connects with this certificate, writes these bytes, and expects a rejection for this reason
    /// only.
    async fn refuses(
        &self,
        tls_files: Option<&TlsConfig>,
        bytes: &[u8],
        reason: ConnectionRejectReason,
    ) {
        let mut raw = connect(self.address, tls_files).await;
        raw.write(bytes).await;
        raw.read_to_end().await;
        self.wait_rejected(reason).await;
    }

    async fn wait_rejected(&self, reason: ConnectionRejectReason) {
        let handle = self.cluster.handle(NodeId(1));
        wait_rejected(&handle, reason).await;
        let all: u64 = handle.rejected_connections().into_iter().map(|(_, count)| count).sum();
        assert_eq!(all, rejected_count(&handle, reason), "{:?}", handle.rejected_connections());
        self.cluster.add("the node serves").await;
    }
}

/// Issues a certificate with any URIs, which the `certs` module would not issue.
fn issue_any(node: &Node, by: &Authority, uris: &[String]) -> TlsConfig {
    issue_any_until(node, by, uris, None)
}

/// Issues a certificate with any URIs that expires after `lasts`.
fn issue_any_until(
    node: &Node,
    by: &Authority,
    uris: &[String],
    lasts: Option<Duration>,
) -> TlsConfig {
    issue_changed(node, by, uris, |params| {
        if let Some(lasts) = lasts {
            params.not_after = rcgen::date_time_ymd(1970, 1, 1) + now() + lasts;
        }
    })
}

/// Issues a certificate with any URIs and the usages of a node, changed by `change`.
fn issue_changed(
    node: &Node,
    by: &Authority,
    uris: &[String],
    change: impl FnOnce(&mut CertificateParams),
) -> TlsConfig {
    let name = |name: &str| {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        params
    };
    let key = KeyPair::generate().expect("it can be generated");
    let authority = name(&by.name());
    let authority_key = KeyPair::from_pem(&by.key()).expect("the key is PEM");
    let mut params = name("any principal");
    let uri = |uri: &String| SanType::URI(uri.as_str().try_into().expect("the URI is ASCII"));
    params.subject_alt_names = uris.iter().map(uri).collect();
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth];
    change(&mut params);
    let issuer = Issuer::from_params(&authority, authority_key);
    let certificate = params.signed_by(&key, &issuer).expect("it can be generated");
    let mut config = node.certs().config(&NODE(2));
    config.certificate.set_extension("forged.pem");
    config.key.set_extension("forged.key");
    fs::write(&config.certificate, certificate.pem()).expect("the directory is writable");
    fs::write(&config.key, key.serialize_pem()).expect("the directory is writable");
    config
}

/// Returns the time since 1970.
fn now() -> Duration {
    Duration::from_secs(UnixTime::now().as_secs())
}

#[tokio::test]
async fn a_node_with_its_own_certificate_is_accepted() {
    let node = Node::start().await;
    let tls_files = node.issue(&NODE(2));
    let mut peer = connect(node.address, Some(&tls_files)).await;
    peer.write(&hello(2, 1)).await;
    assert!(matches!(peer.read_frame().await, Some(Frame::Hello(_))));
    assert_eq!(peer.read_frame().await, Some(Frame::Keepalive));
}

#[tokio::test]
async fn a_certificate_is_valid_for_one_node_only() {
    let node = Node::start().await;
    let tls_files = node.issue(&NODE(2));
    node.refuses(Some(&tls_files), &hello(3, 1), ConnectionRejectReason::IdentityMismatch).await;
}

#[tokio::test]
async fn a_packet_in_the_name_of_another_node_is_rejected_over_tls() {
    let node = Node::start().await;
    let mut peer = connect(node.address, Some(&node.issue(&NODE(2)))).await;
    peer.write(&hello(2, 1)).await;
    peer.send(&message(3, 1, Body::RequestVoteReply { granted: true, committed: Index::ZERO }))
        .await;
    peer.read_to_end().await;
    node.wait_rejected(ConnectionRejectReason::WrongSender).await;
}

#[tokio::test]
async fn clients_cannot_connect_as_nodes() {
    let node = Node::start().await;
    for user in [Principal::client("app"), Principal::admin("root")].into_iter().flatten() {
        let tls_files = node.issue(&user);
        node.refuses(Some(&tls_files), &hello(2, 1), ConnectionRejectReason::RoleNotAllowed).await;
    }
}

#[tokio::test]
async fn an_authority_is_trusted_for_its_own_role_only() {
    let node = Node::start().await;
    for role in [Role::Client, Role::Admin] {
        let authority = node.certs().authority(role).expect("it exists");
        let tls_files = issue_any(&node, &authority, &[NODE(2).uri(CLUSTER)]);
        node.refuses(Some(&tls_files), &hello(2, 1), ConnectionRejectReason::CertificateUntrusted)
            .await;
    }
    let authority = node.certs().authority(Role::Node).expect("it exists");
    let right = issue_any(&node, &authority, &[NODE(2).uri(CLUSTER)]);
    let mut peer = connect(node.address, Some(&right)).await;
    peer.write(&hello(2, 1)).await;
    assert!(peer.read_frame().await.is_some(), "the right authority is accepted");
}

#[test]
fn the_name_of_an_authority_is_reserved() {
    let root = TempDir::new().expect("the directory is writable");
    let directory = Directory::open(root.path()).expect("the directory is writable");
    let before = directory.authority(Role::Client).expect("it is generated").key();
    let named = Principal::client("authority").expect("the name is valid");
    let issued = directory.issue(CLUSTER, &named, 1);
    assert!(matches!(issued, Err(CertsError::ReservedName)), "{issued:?}");
    assert_eq!(directory.authority(Role::Client).expect("it exists").key(), before);
}

#[tokio::test]
async fn a_certificate_of_an_unknown_authority_is_rejected() {
    let node = Node::start().await;
    let authority = Authority::new(Role::Node).expect("it can be generated");
    let tls_files = issue_any(&node, &authority, &[NODE(2).uri(CLUSTER)]);
    node.refuses(Some(&tls_files), &hello(2, 1), ConnectionRejectReason::CertificateUntrusted)
        .await;
}

#[tokio::test]
async fn a_certificate_needs_the_extended_key_usage_of_its_end() {
    let node = Node::start().await;
    let authority = node.certs().authority(Role::Node).expect("it exists");
    for usages in [vec![], vec![ExtendedKeyUsagePurpose::ServerAuth]] {
        let tls_files = issue_changed(&node, &authority, &[NODE(2).uri(CLUSTER)], |params| {
            params.extended_key_usages = usages;
        });
        node.refuses(Some(&tls_files), &hello(2, 1), ConnectionRejectReason::CertificateUntrusted)
            .await;
    }
    let authority = node.certs().authority(Role::Admin).expect("it exists");
    let admin = Principal::admin("ops").expect("the name is valid").uri(CLUSTER);
    let tls_files = issue_changed(&node, &authority, &[admin], |params| {
        params.extended_key_usages = Vec::new();
    });
    node.refuses(Some(&tls_files), &hello(2, 1), ConnectionRejectReason::CertificateUntrusted)
        .await;
}

#[tokio::test]
async fn a_node_does_not_start_without_the_extended_key_usages_of_both_ends() {
    let node = Node::start().await;
    let authority = node.certs().authority(Role::Node).expect("it exists");
    for usages in [vec![], vec![ExtendedKeyUsagePurpose::ClientAuth]] {
        let tls_files = issue_changed(&node, &authority, &[NODE(2).uri(CLUSTER)], |params| {
            params.extended_key_usages = usages;
        });
        let config = node.cluster.joining(NodeId(2));
        let config = ServerConfig { tls: Some(tls_files), ..config };
        let error = Server::start(config, Lines::default()).await.expect_err("it is not usable");
        let text = error.to_string();
        assert!(text.contains("other nodes will reject the certificate"), "{text}");
        assert!(text.contains("and that of a node also serverAuth"), "{text}");
    }
}

#[tokio::test]
async fn a_certificate_must_name_exactly_one_principal() {
    let node = Node::start().await;
    let authority = node.certs().authority(Role::Node).expect("it exists");
    let two = [NODE(2).uri(CLUSTER), NODE(3).uri(CLUSTER)];
    let other = ["https://quorate.example/node/2".to_owned()];
    for uris in [&[][..], &two, &other] {
        let tls_files = issue_any(&node, &authority, uris);
        node.refuses(Some(&tls_files), &hello(2, 1), ConnectionRejectReason::NoPrincipal).await;
    }
}

#[tokio::test]
async fn an_expired_certificate_is_rejected() {
    let node = Node::start().await;
    let tls_files = node.certs().issue(CLUSTER, &NODE(2), 0).expect("it can be generated");
    node.refuses(Some(&tls_files), &hello(2, 1), ConnectionRejectReason::CertificateExpired).await;
}

#[tokio::test]
async fn a_certificate_that_expires_ends_its_connections() {
    let node = Node::start().await;
    let authority = node.certs().authority(Role::Node).expect("it exists");
    // On a loaded machine the handshake may take longer than a short validity.
    for seconds in [2, 6, 18] {
        let lasts = Some(Duration::from_secs(seconds));
        let tls_files = issue_any_until(&node, &authority, &[NODE(2).uri(CLUSTER)], lasts);
        let mut peer = connect(node.address, Some(&tls_files)).await;
        peer.write(&hello(2, 1)).await;
        if let Some(frame) = peer.read_frame().await {
            assert!(matches!(frame, Frame::Hello(_)), "the node accepts it: {frame:?}");
            peer.send_keepalives_to_end().await;
            return node.wait_rejected(ConnectionRejectReason::CertificateExpired).await;
        }
    }
    panic!("the certificate was never valid");
}

#[tokio::test]
async fn a_certificate_of_another_cluster_is_rejected() {
    let node = Node::start().await;
    let other = ClusterId(CLUSTER.0 + 1);
    let tls_files = node.certs().issue(other, &NODE(2), 1).expect("it can be generated");
    node.refuses(Some(&tls_files), &hello(2, 1), ConnectionRejectReason::OtherCluster).await;
}

#[tokio::test]
async fn a_connection_without_a_certificate_is_rejected() {
    let node = Node::start().await;
    node.refuses(None, &hello(2, 1), ConnectionRejectReason::NoCertificate).await;
}

#[tokio::test]
async fn plaintext_is_rejected_by_a_tls_node() {
    let node = Node::start().await;
    let mut client = Raw::connect(node.address).await;
    client.write(&hello(2, 1)).await;
    // The node replies with a TLS alert.
    let mut alert = Vec::new();
    let _ = client.stream.read_to_end(&mut alert).await;
    node.wait_rejected(ConnectionRejectReason::NotTls).await;
}

#[tokio::test]
async fn older_versions_of_tls_are_rejected() {
    // A client hello of TLS 1.2: two cipher suites, and the usual extensions.
    let extensions: &[&[u8]] = &[
        &[0x00, 0x0a, 0x00, 0x04, 0x00, 0x02, 0x00, 0x1d],
        &[0x00, 0x0b, 0x00, 0x02, 0x01, 0x00],
        &[0x00, 0x0d, 0x00, 0x06, 0x00, 0x04, 0x04, 0x03, 0x08, 0x04],
    ];
    let extensions = extensions.concat();
    let mut body = vec![0x03, 0x03];
    body.extend([7; 32]);
    body.extend([0x00, 0x00, 0x04, 0xc0, 0x2b, 0xc0, 0x2f, 0x01, 0x00]);
    body.extend([0x00, u8::try_from(extensions.len()).expect("the value is short")]);
    body.extend(extensions);
    let length = u8::try_from(body.len()).expect("the value is short");
    let mut bytes = vec![0x16, 0x03, 0x01, 0x00, length + 4, 0x01, 0x00, 0x00, length];
    bytes.extend(body);

    let node = Node::start().await;
    let mut old = Raw::connect(node.address).await;
    old.write(&bytes).await;
    let mut alert = Vec::new();
    let _ = old.stream.read_to_end(&mut alert).await;
    node.wait_rejected(ConnectionRejectReason::UnsupportedTls).await;
}

#[tokio::test]
async fn a_called_node_must_have_the_expected_identity() {
    // Node 3 listens at the address of node 2.
    let mut cluster = Cluster::start_with_tls(1).await;
    let third = cluster.joining(NodeId(3));
    let address = third.listen;
    cluster.servers.insert(
        NodeId(3),
        Server::start(third, Lines::default()).await.expect("the directory is new"),
    );
    let members = [(NodeId(1), free_address()), (NodeId(2), address)];
    let root = TempDir::new().expect("the directory is writable");
    let config = ServerConfig::new(root.path(), CLUSTER, NodeId(1), members);
    let mut config = config.expect("the node is a member");
    config.tls = Some(cluster.certs().config(&NODE(1)));
    let server = Server::start(config, Lines::default()).await.expect("the directory is new");
    wait_rejected(&server.handle(), ConnectionRejectReason::IdentityMismatch).await;
}

#[tokio::test]
async fn an_error_names_the_invalid_tls_file() {
    let mut cluster = Cluster::start_with_tls(1).await;
    let (id, certs) = (NodeId(2), cluster.certs());
    let other = certs.issue(CLUSTER, &NODE(3), 1).expect("the directory is writable");
    let start_error = async |change: fn(&mut TlsConfig, &TlsConfig)| {
        let mut config = cluster.joining(id);
        change(config.tls.as_mut().expect("the node uses TLS"), &other);
        match Server::start(config, Lines::default()).await {
            Err(ServerError::Tls(error)) => error.to_string(),
            other => panic!("{other:?}"),
        }
    };
    let missing = start_error(|config, _| {
        config.node_authorities = config.node_authorities.with_extension("gone")
    })
    .await;
    assert!(
        missing.contains("node-authority.gone: cannot read the file: No such file"),
        "{missing}"
    );
    let swapped = start_error(|config, _| config.certificate = config.key.clone()).await;
    assert!(
        swapped.contains("node-2.key: the file contains no certificate in PEM format"),
        "{swapped}"
    );
    let key = start_error(|config, other| config.key = other.key.clone()).await;
    assert!(key.contains("node-3.key: the private key does not match"), "{key}");
    let named = start_error(|config, other| *config = other.clone()).await;
    assert!(named.contains("node-3.pem: the certificate names quorate://"), "{named}");
    let roots = start_error(|config, _| {
        config.node_authorities = config.client_authorities.clone().expect("it exists")
    })
    .await;
    assert!(roots.contains("node-2.pem: other nodes will reject the certificate"), "{roots}");
    let valid = Server::start(cluster.joining(id), Lines::default()).await;
    cluster.servers.insert(id, valid.expect("without these changes the files are valid"));
}

#[tokio::test]
async fn authorities_are_replaced_while_the_cluster_runs() {
    let cluster = Cluster::start_with_tls(3).await;
    cluster.add("before").await;
    let ids = [1, 2, 3].map(NodeId);
    let old = cluster.certs().issue(CLUSTER, &NODE(4), 1).expect("the directory is writable");
    let mut peer = connect(cluster.servers[&ids[0]].address(), Some(&old)).await;
    peer.write(&hello(4, 1)).await;
    assert!(peer.read_frame().await.is_some());
    let reload = || {
        for id in ids {
            cluster.handle(id).reload_tls().expect("the files are valid");
        }
    };

    // First all nodes trust both authorities, then they get new certificates, then they trust only
    // the new authority.
    let files = cluster.certs().config(&NODE(1));
    let before = fs::read_to_string(&files.node_authorities).expect("the file exists");
    let new = Authority::new(Role::Node).expect("it can be generated");
    fs::write(&files.node_authorities, before + new.certificate())
        .expect("the directory is writable");
    reload();
    for id in ids {
        let config = cluster.certs().config(&Principal::Node(id));
        let issued = new.issue(CLUSTER, &Principal::Node(id), 1).expect("it can be generated");
        fs::write(&config.certificate, issued.certificate).expect("the directory is writable");
        fs::write(&config.key, issued.key).expect("the directory is writable");
    }
    reload();
    cluster.add("meanwhile").await;
    fs::write(&files.node_authorities, new.certificate()).expect("the directory is writable");
    reload();
    peer.send_keepalives_to_end().await;
    wait_rejected(&cluster.handle(ids[0]), ConnectionRejectReason::CertificateUntrusted).await;
    eventually("the cluster continues", async || cluster.add("after").await >= 3).await;
}

#[tokio::test]
async fn a_revoked_certificate_ends_its_connections() {
    let node = Node::start().await;
    let handle = node.cluster.handle(NodeId(1));
    let revoked_files = node.issue(&NODE(2));
    let mut peer = connect(node.address, Some(&revoked_files)).await;
    peer.write(&hello(2, 1)).await;
    let valid_files = node.certs().issue(CLUSTER, &NODE(3), 1).expect("the directory is writable");
    let mut other = connect(node.address, Some(&valid_files)).await;
    other.write(&hello(3, 1)).await;
    assert!(peer.read_frame().await.is_some() && other.read_frame().await.is_some());

    let certificate = fs::read_to_string(&revoked_files.certificate).expect("the file exists");
    let authority = node.certs().authority(Role::Node).expect("it exists");
    let list = authority.revoke(&[&certificate]).expect("it can be generated");
    fs::write(node.cluster.revoked(), list).expect("the directory is writable");
    handle.reload_tls().expect("the files are valid");
    peer.send_keepalives_to_end().await;
    node.wait_rejected(ConnectionRejectReason::CertificateUntrusted).await;
    let before = rejected_count(&handle, ConnectionRejectReason::CertificateUntrusted);
    let mut again = connect(node.address, Some(&revoked_files)).await;
    again.write(&hello(2, 1)).await;
    again.read_to_end().await;
    eventually("the peer is rejected again", async || {
        rejected_count(&handle, ConnectionRejectReason::CertificateUntrusted) > before
    })
    .await;
    assert_eq!(other.read_frame().await, Some(Frame::Keepalive));
}

#[tokio::test]
async fn a_failed_reload_keeps_the_old_files() {
    let node = Node::start().await;
    let files = node.certs().config(&NODE(1));
    fs::write(&files.certificate, "nothing").expect("the directory is writable");
    let error =
        node.cluster.handle(NodeId(1)).reload_tls().expect_err("the file is not a certificate");
    assert_eq!(error.file(), files.certificate);
    let mut peer = connect(node.address, Some(&node.issue(&NODE(2)))).await;
    peer.write(&hello(2, 1)).await;
    assert!(matches!(peer.read_frame().await, Some(Frame::Hello(_))));
}

#[tokio::test]
async fn a_check_of_the_port_of_a_tls_node_is_counted_apart_from_other_protocols() {
    let node = Node::start().await;
    drop(Raw::connect(node.address).await);
    node.wait_rejected(ConnectionRejectReason::ClosedWithoutBytes).await;
}

#[tokio::test]
async fn an_aborted_tls_handshake_is_counted() {
    let node = Node::start().await;
    // The client trusts no authority, and aborts the handshake.
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("the version is supported")
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    let tcp = TcpStream::connect(node.address).await.expect("the node listens");
    let name = ServerName::try_from("any-host").expect("the name is valid");
    let connected = TlsConnector::from(Arc::new(config)).connect(name, tcp).await;
    assert!(connected.is_err(), "the client trusts no authority");
    node.wait_rejected(ConnectionRejectReason::CertificateRejected).await;
}

#[tokio::test]
async fn a_record_that_cannot_be_decrypted_is_counted_after_the_handshake() {
    let node = Node::start().await;
    let mut peer = connect(node.address, Some(&node.issue(&NODE(2)))).await;
    peer.write(&hello(2, 1)).await;
    assert!(matches!(peer.read_frame().await, Some(Frame::Hello(_))));
    let record = [[0x17, 3, 3, 0, 32].as_slice(), &[7; 32]].concat();
    let sent = peer.stream.get_mut().0.write_all(&record).await;
    sent.expect("the connection is open");
    node.wait_rejected(ConnectionRejectReason::TlsFailed).await;
}

#[tokio::test]
async fn each_role_may_send_its_own_requests() {
    let node = Node::start().await;
    let address = node.address.to_string();
    let client = |principal: &Principal| {
        let mut config = quorate::runtime::ClientConfig::new(CLUSTER, [address.clone()]);
        config.tls = Some(node.issue(principal));
        Client::new(config).expect("the configuration is valid")
    };
    let app = client(&Principal::client("app").expect("the name is valid"));
    let admin = client(&Principal::admin("root").expect("the name is valid"));
    app.propose(b"of the app").await.expect("the role permits it");
    let error = app.campaign(&address).await.expect_err("the role does not permit it");
    assert!(matches!(error, ClientError::Rejected(_)), "{error}");
    admin.propose(b"of the administrator").await.expect("the role permits it");
    admin.campaign(&address).await.expect("the role permits it");
}

#[tokio::test]
async fn a_node_may_request_reports_and_nothing_else() {
    let node = Node::start().await;
    let address = node.address.to_string();
    let mut config = quorate::runtime::ClientConfig::new(CLUSTER, [address.clone()]);
    config.tls = Some(node.issue(&NODE(2)));
    let client = Client::new(config).expect("the configuration is valid");
    let report = client.report(&address).await.expect("the role permits it");
    assert_eq!(report.status.id, NodeId(1));
    let not_allowed =
        Some(ClientError::Rejected(RejectCause::Service(ServiceRejectReason::NotAllowed)));
    assert_eq!(client.propose(b"a").await.err(), not_allowed);
    assert_eq!(client.propose_at_most_once(b"a", Acknowledge::Quorum).await.err(), not_allowed);
    for level in [ReadLevel::Linearizable, ReadLevel::Local] {
        assert_eq!(client.read(level, b"").await.err(), not_allowed);
    }
    let change = Change::new().voter(NodeId(2));
    assert_eq!(client.change_membership(change).await.err(), not_allowed);
    assert_eq!(client.cancel_membership_change().await.err(), not_allowed);
    assert_eq!(client.transfer_leadership(None).await.err(), not_allowed);
    assert_eq!(client.campaign(&address).await.err(), not_allowed);
    assert_eq!(client.snapshot(&address).await.err(), not_allowed);
    assert_eq!(node.cluster.read(NodeId(1)).await, "", "no proposal was applied");
    // A node with a revoked certificate may not request reports either.
    let certificate = fs::read_to_string(node.certs().config(&NODE(2)).certificate);
    let authority = node.certs().authority(Role::Node).expect("it exists");
    let list = authority.revoke(&[&certificate.expect("it exists")]).expect("it can be generated");
    fs::write(node.cluster.revoked(), list).expect("the directory is writable");
    node.cluster.handle(NodeId(1)).reload_tls().expect("the files are valid");
    let late = client.with_deadline(Duration::from_millis(300));
    late.report(&address).await.expect_err("the client is rejected");
    wait_rejected(&node.cluster.handle(NodeId(1)), ConnectionRejectReason::CertificateUntrusted)
        .await;
}

#[tokio::test]
async fn a_client_reloads_its_tls_files() {
    let node = Node::start().await;
    let address = node.address.to_string();
    let mut config = quorate::runtime::ClientConfig::new(CLUSTER, [address.clone()]);
    let files = node.issue(&Principal::client("app").expect("the name is valid"));
    config.tls = Some(files.clone());
    let client = Client::new(config).expect("the configuration is valid");
    client.report(&address).await.expect("the client is accepted");
    let trusted = fs::read_to_string(&files.node_authorities).expect("the file exists");
    fs::write(&files.node_authorities, "nothing").expect("the directory is writable");
    let error = client.reload_tls().expect_err("the file is not a certificate");
    assert_eq!(error.file(), files.node_authorities);
    client.report(&address).await.expect("the old files are in use");
    let other = Authority::new(Role::Node).expect("it can be generated");
    fs::write(&files.node_authorities, other.certificate()).expect("the directory is writable");
    client.reload_tls().expect("the files are valid");
    let late = client.with_deadline(Duration::from_millis(300));
    late.report(&address).await.expect_err("the node is no longer trusted");
    fs::write(&files.node_authorities, trusted).expect("the directory is writable");
    client.reload_tls().expect("the files are valid");
    client.report(&address).await.expect("the node is trusted again");
    let principal = Principal::client("app").expect("the name is valid");
    node.certs().issue(ClusterId(9), &principal, 1).expect("the directory is writable");
    let error = client.reload_tls().expect_err("the certificate belongs to another cluster");
    assert_eq!(error.file(), files.certificate);
    client.report(&address).await.expect("the old files are in use");
}
