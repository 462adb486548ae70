//! Nodes that speak TLS: who is let in, and who is not.

use std::fs;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use quorate::runtime::certs::{Authority, CertsError, Directory};
use quorate::runtime::{
    Client, ClientError, Principal, Refusal, Rejection, Role, Server, ServerConfig, ServerError,
    TlsConfig,
};
use quorate::storage::ClusterId;
use quorate::types::{Acknowledge, Body, Change, NodeId, ReadLevel};
use quorate::wire::{Denial, Frame};
use rcgen::{CertificateParams, DistinguishedName, DnType, Issuer, KeyPair, SanType};
use rustls::crypto::ring::default_provider;
use rustls::pki_types::{ServerName, UnixTime};
use rustls::{ClientConfig, RootCertStore};
use tempfile::TempDir;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::addresses::free_address;
use crate::cluster::{CLUSTER, Cluster, Lines, eventually, refusals, refused};
use crate::gullible::gullible;
use crate::raw::{Raw, hello, message};

const NODE: fn(u64) -> Principal = |id| Principal::Node(NodeId(id));

/// Connects with the certificate, or with none.
async fn call(address: SocketAddr, own: Option<&TlsConfig>) -> Raw<TlsStream<TcpStream>> {
    let tcp = TcpStream::connect(address).await.expect("it listens");
    let name = ServerName::try_from("anybody").expect("it is a name");
    let connected = TlsConnector::from(Arc::new(gullible(own))).connect(name, tcp).await;
    Raw::new(connected.expect("the server shows its certificate first"))
}

/// One node that speaks TLS.
struct Node {
    cluster: Cluster,
    address: SocketAddr,
}

impl Node {
    async fn start() -> Node {
        let cluster = Cluster::start_safe(1).await;
        let address = cluster.servers[&NodeId(1)].address();
        Node { cluster, address }
    }

    fn certs(&self) -> Directory {
        self.cluster.certs()
    }

    fn issue(&self, principal: &Principal) -> TlsConfig {
        self.certs().issue(CLUSTER, principal, 1).expect("there is room")
    }

    /// Whoever has this certificate and says this is refused for that reason, and no other.
    async fn refuses(&self, own: Option<&TlsConfig>, says: &[u8], why: Refusal) {
        let mut raw = call(self.address, own).await;
        raw.say(says).await;
        raw.hear_to_the_end().await;
        self.refused(why).await;
    }

    async fn refused(&self, why: Refusal) {
        let handle = self.cluster.handle(NodeId(1));
        refused(&handle, why).await;
        let all: u64 = handle.refusals().into_iter().map(|(_, count)| count).sum();
        assert_eq!(all, refusals(&handle, why), "{:?}", handle.refusals());
        self.cluster.add("it serves").await;
    }
}

/// A certificate with these names, whatever they are: no authority would make it by itself.
fn forge(node: &Node, by: &Authority, uris: &[String]) -> TlsConfig {
    forge_until(node, by, uris, None)
}

/// The same, which lasts so long from now.
fn forge_until(node: &Node, by: &Authority, uris: &[String], lasts: Option<Duration>) -> TlsConfig {
    let name = |name: &str| {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        params
    };
    let key = KeyPair::generate().expect("it can be made");
    let authority = name(&by.name());
    let vouches = KeyPair::from_pem(&by.key()).expect("it is PEM");
    let mut params = name("somebody");
    let uri = |uri: &String| SanType::URI(uri.as_str().try_into().expect("it is ASCII"));
    params.subject_alt_names = uris.iter().map(uri).collect();
    if let Some(lasts) = lasts {
        params.not_after = rcgen::date_time_ymd(1970, 1, 1) + now() + lasts;
    }
    let issuer = Issuer::from_params(&authority, vouches);
    let certificate = params.signed_by(&key, &issuer).expect("it can be made");
    let mut config = node.certs().config(&NODE(2));
    config.certificate.set_extension("forged.pem");
    config.key.set_extension("forged.key");
    fs::write(&config.certificate, certificate.pem()).expect("there is room");
    fs::write(&config.key, key.serialize_pem()).expect("there is room");
    config
}

/// Since 1970.
fn now() -> Duration {
    Duration::from_secs(UnixTime::now().as_secs())
}

#[tokio::test]
async fn a_node_with_its_own_certificate_is_heard() {
    let node = Node::start().await;
    let own = node.issue(&NODE(2));
    let mut peer = call(node.address, Some(&own)).await;
    peer.say(&hello(2, 1)).await;
    assert!(matches!(peer.hear().await, Some(Frame::Hello(_))));
    assert_eq!(peer.hear().await, Some(Frame::Pulse));
}

#[tokio::test]
async fn a_certificate_speaks_for_one_node() {
    let node = Node::start().await;
    let own = node.issue(&NODE(2));
    node.refuses(Some(&own), &hello(3, 1), Refusal::Identity).await;
}

#[tokio::test]
async fn nobody_votes_for_another_through_tls_either() {
    let node = Node::start().await;
    let mut liar = call(node.address, Some(&node.issue(&NODE(2)))).await;
    liar.say(&hello(2, 1)).await;
    liar.send(&message(3, 1, Body::RequestVoteReply { granted: true })).await;
    liar.hear_to_the_end().await;
    node.refused(Refusal::Sender).await;
}

#[tokio::test]
async fn users_are_no_nodes() {
    let node = Node::start().await;
    for user in [Principal::client("app"), Principal::admin("root")].into_iter().flatten() {
        let own = node.issue(&user);
        node.refuses(Some(&own), &hello(2, 1), Refusal::Role).await;
    }
}

#[tokio::test]
async fn an_authority_vouches_for_its_own_role_alone() {
    let node = Node::start().await;
    for role in [Role::Client, Role::Admin] {
        let authority = node.certs().authority(role).expect("it is there");
        let own = forge(&node, &authority, &[NODE(2).uri(CLUSTER)]);
        node.refuses(Some(&own), &hello(2, 1), Refusal::Untrusted).await;
    }
    let authority = node.certs().authority(Role::Node).expect("it is there");
    let right = forge(&node, &authority, &[NODE(2).uri(CLUSTER)]);
    let mut peer = call(node.address, Some(&right)).await;
    peer.say(&hello(2, 1)).await;
    assert!(peer.hear().await.is_some(), "it is the authority that was wrong");
}

#[test]
fn nobody_takes_the_place_of_an_authority() {
    let root = TempDir::new().expect("there is room");
    let directory = Directory::open(root.path()).expect("there is room");
    let before = directory.authority(Role::Client).expect("it is made").key();
    let named = Principal::client("authority").expect("it is a name");
    let told = directory.issue(CLUSTER, &named, 1);
    assert!(matches!(told, Err(CertsError::Reserved)), "{told:?}");
    assert_eq!(directory.authority(Role::Client).expect("it is there").key(), before);
}

#[tokio::test]
async fn an_authority_that_nobody_knows_vouches_for_nobody() {
    let node = Node::start().await;
    let authority = Authority::new(Role::Node).expect("it can be made");
    let own = forge(&node, &authority, &[NODE(2).uri(CLUSTER)]);
    node.refuses(Some(&own), &hello(2, 1), Refusal::Untrusted).await;
}

#[tokio::test]
async fn a_certificate_names_one_principal() {
    let node = Node::start().await;
    let authority = node.certs().authority(Role::Node).expect("it is there");
    let two = [NODE(2).uri(CLUSTER), NODE(3).uri(CLUSTER)];
    let other = ["https://quorate.example/node/2".to_owned()];
    for uris in [&[][..], &two, &other] {
        let own = forge(&node, &authority, uris);
        node.refuses(Some(&own), &hello(2, 1), Refusal::Nameless).await;
    }
}

#[tokio::test]
async fn a_certificate_that_is_over_does_not_count() {
    let node = Node::start().await;
    let own = node.certs().issue(CLUSTER, &NODE(2), 0).expect("it can be made");
    node.refuses(Some(&own), &hello(2, 1), Refusal::Expired).await;
}

#[tokio::test]
async fn a_certificate_that_runs_out_ends_its_connections() {
    let node = Node::start().await;
    let authority = node.certs().authority(Role::Node).expect("it is there");
    // On a machine that has much else to do a second time takes longer than it lasts.
    for seconds in [2, 6, 18] {
        let lasts = Some(Duration::from_secs(seconds));
        let own = forge_until(&node, &authority, &[NODE(2).uri(CLUSTER)], lasts);
        let mut peer = call(node.address, Some(&own)).await;
        peer.say(&hello(2, 1)).await;
        if let Some(frame) = peer.hear().await {
            assert!(matches!(frame, Frame::Hello(_)), "it counts: {frame:?}");
            peer.pulse_to_the_end().await;
            return node.refused(Refusal::Expired).await;
        }
    }
    panic!("it never counts");
}

#[tokio::test]
async fn a_certificate_of_another_cluster_does_not_count() {
    let node = Node::start().await;
    let other = ClusterId(CLUSTER.0 + 1);
    let own = node.certs().issue(other, &NODE(2), 1).expect("it can be made");
    node.refuses(Some(&own), &hello(2, 1), Refusal::Cluster).await;
}

#[tokio::test]
async fn without_a_certificate_nobody_is_heard() {
    let node = Node::start().await;
    node.refuses(None, &hello(2, 1), Refusal::NoCertificate).await;
}

#[tokio::test]
async fn nothing_is_heard_in_the_clear() {
    let node = Node::start().await;
    let mut plain = Raw::call(node.address).await;
    plain.say(&hello(2, 1)).await;
    // What it gets is an alert.
    let mut alert = Vec::new();
    let _ = plain.stream.read_to_end(&mut alert).await;
    node.refused(Refusal::NotTls).await;
}

#[tokio::test]
async fn older_versions_of_tls_are_not_spoken() {
    // A hello of TLS 1.2: two suites, and the extensions that every client of the day has.
    let extensions: &[&[u8]] = &[
        &[0x00, 0x0a, 0x00, 0x04, 0x00, 0x02, 0x00, 0x1d],
        &[0x00, 0x0b, 0x00, 0x02, 0x01, 0x00],
        &[0x00, 0x0d, 0x00, 0x06, 0x00, 0x04, 0x04, 0x03, 0x08, 0x04],
    ];
    let extensions = extensions.concat();
    let mut body = vec![0x03, 0x03];
    body.extend([7; 32]);
    body.extend([0x00, 0x00, 0x04, 0xc0, 0x2b, 0xc0, 0x2f, 0x01, 0x00]);
    body.extend([0x00, u8::try_from(extensions.len()).expect("it is short")]);
    body.extend(extensions);
    let length = u8::try_from(body.len()).expect("it is short");
    let mut bytes = vec![0x16, 0x03, 0x01, 0x00, length + 4, 0x01, 0x00, 0x00, length];
    bytes.extend(body);

    let node = Node::start().await;
    let mut old = Raw::call(node.address).await;
    old.say(&bytes).await;
    let mut alert = Vec::new();
    let _ = old.stream.read_to_end(&mut alert).await;
    node.refused(Refusal::TlsVersion).await;
}

#[tokio::test]
async fn who_is_called_must_answer_as_itself() {
    // Node 3 listens where node 2 should.
    let mut cluster = Cluster::start_safe(1).await;
    let third = cluster.joining(NodeId(3));
    let address = third.listen;
    cluster.servers.insert(NodeId(3), Server::start(third, Lines::default()).await.expect("new"));
    let members = [(NodeId(1), free_address()), (NodeId(2), address)];
    let root = TempDir::new().expect("there is room");
    let config = ServerConfig::new(root.path(), CLUSTER, NodeId(1), members);
    let mut config = config.expect("it is a member");
    config.tls = Some(cluster.certs().config(&NODE(1)));
    let server = Server::start(config, Lines::default()).await.expect("it is new");
    refused(&server.handle(), Refusal::Identity).await;
}

#[tokio::test]
async fn a_file_that_is_wrong_is_named() {
    let cluster = Cluster::start_safe(1).await;
    let (id, certs) = (NodeId(2), cluster.certs());
    let authority = certs.config(&NODE(1)).nodes;
    let other = certs.issue(CLUSTER, &NODE(3), 1).expect("there is room");
    let told = async |change: fn(&mut TlsConfig, &TlsConfig)| {
        let mut config = cluster.joining(id);
        change(config.tls.as_mut().expect("it is safe"), &other);
        match Server::start(config, Lines::default()).await {
            Err(ServerError::Tls(error)) => error.to_string(),
            other => panic!("{other:?}"),
        }
    };
    let missing = told(|config, _| config.nodes = config.nodes.with_extension("gone")).await;
    assert!(missing.contains("node-authority.gone: No such file"), "{missing}");
    let swapped = told(|config, _| config.certificate = config.key.clone()).await;
    assert!(swapped.contains("node-2.key: there is no certificate in it"), "{swapped}");
    let key = told(|config, other| config.key = other.key.clone()).await;
    assert!(key.contains("node-3.key: not the key of"), "{key}");
    let named = told(|config, other| *config = other.clone()).await;
    assert!(named.contains("node-3.pem: it is for quorate://"), "{named}");
    let roots = told(|config, _| config.nodes = config.clients.clone().expect("it is there")).await;
    assert!(roots.contains("node-2.pem: no other node will take it"), "{roots}");
    assert!(fs::metadata(authority).is_ok());
}

#[tokio::test]
async fn authorities_are_replaced_while_the_cluster_runs() {
    let cluster = Cluster::start_safe(3).await;
    cluster.add("before").await;
    let ids = [1, 2, 3].map(NodeId);
    let old = cluster.certs().issue(CLUSTER, &NODE(4), 1).expect("there is room");
    let mut outsider = call(cluster.servers[&ids[0]].address(), Some(&old)).await;
    outsider.say(&hello(4, 1)).await;
    assert!(outsider.hear().await.is_some());
    let reload = || {
        for id in ids {
            cluster.handle(id).reload_tls().expect("the files are right");
        }
    };

    // First all trust both, then each gets a certificate of the new one, then the old one goes.
    let files = cluster.certs().config(&NODE(1));
    let before = fs::read_to_string(&files.nodes).expect("it is there");
    let new = Authority::new(Role::Node).expect("it can be made");
    fs::write(&files.nodes, before + new.certificate()).expect("there is room");
    reload();
    for id in ids {
        let config = cluster.certs().config(&Principal::Node(id));
        let issued = new.issue(CLUSTER, &Principal::Node(id), 1).expect("it can be made");
        fs::write(&config.certificate, issued.certificate).expect("there is room");
        fs::write(&config.key, issued.key).expect("there is room");
    }
    reload();
    cluster.add("meanwhile").await;
    fs::write(&files.nodes, new.certificate()).expect("there is room");
    reload();
    outsider.pulse_to_the_end().await;
    refused(&cluster.handle(ids[0]), Refusal::Untrusted).await;
    eventually("all goes on", async || cluster.add("after").await >= 3).await;
}

#[tokio::test]
async fn a_certificate_that_was_taken_back_ends_its_connections() {
    let node = Node::start().await;
    let handle = node.cluster.handle(NodeId(1));
    let lost = node.issue(&NODE(2));
    let mut peer = call(node.address, Some(&lost)).await;
    peer.say(&hello(2, 1)).await;
    let kept = node.certs().issue(CLUSTER, &NODE(3), 1).expect("there is room");
    let mut other = call(node.address, Some(&kept)).await;
    other.say(&hello(3, 1)).await;
    assert!(peer.hear().await.is_some() && other.hear().await.is_some());

    let certificate = fs::read_to_string(&lost.certificate).expect("it is there");
    let authority = node.certs().authority(Role::Node).expect("it is there");
    let list = authority.revoke(&[&certificate]).expect("it can be made");
    fs::write(node.cluster.revoked(), list).expect("there is room");
    handle.reload_tls().expect("the files are right");
    peer.pulse_to_the_end().await;
    node.refused(Refusal::Untrusted).await;
    let before = refusals(&handle, Refusal::Untrusted);
    let mut again = call(node.address, Some(&lost)).await;
    again.say(&hello(2, 1)).await;
    again.hear_to_the_end().await;
    eventually("it stays out", async || refusals(&handle, Refusal::Untrusted) > before).await;
    assert_eq!(other.hear().await, Some(Frame::Pulse));
}

#[tokio::test]
async fn what_cannot_be_read_again_changes_nothing() {
    let node = Node::start().await;
    let files = node.certs().config(&NODE(1));
    fs::write(&files.certificate, "nothing").expect("there is room");
    let error = node.cluster.handle(NodeId(1)).reload_tls().expect_err("it is no certificate");
    assert_eq!(error.file(), files.certificate);
    let mut peer = call(node.address, Some(&node.issue(&NODE(2)))).await;
    peer.say(&hello(2, 1)).await;
    assert!(matches!(peer.hear().await, Some(Frame::Hello(_))));
}

#[tokio::test]
async fn a_handshake_that_breaks_off_is_counted() {
    let node = Node::start().await;
    // It trusts nobody, and says so.
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("it is spoken here")
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    let tcp = TcpStream::connect(node.address).await.expect("it listens");
    let name = ServerName::try_from("anybody").expect("it is a name");
    let connected = TlsConnector::from(Arc::new(config)).connect(name, tcp).await;
    assert!(connected.is_err(), "it trusts nobody");
    node.refused(Refusal::Tls).await;
}

#[tokio::test]
async fn users_do_what_their_role_allows() {
    let node = Node::start().await;
    let address = node.address.to_string();
    let client = |principal: &Principal| {
        let mut config = quorate::runtime::ClientConfig::new(CLUSTER, [address.clone()]);
        config.tls = Some(node.issue(principal));
        Client::new(config).expect("the configuration makes sense")
    };
    let app = client(&Principal::client("app").expect("it is a name"));
    let admin = client(&Principal::admin("root").expect("it is a name"));
    app.propose(b"of the app").await.expect("it may propose");
    let refused = app.campaign(&address).await.expect_err("it may do no more");
    assert!(matches!(refused, ClientError::Rejected(_)), "{refused}");
    admin.propose(b"of the administrator").await.expect("it may propose");
    admin.campaign(&address).await.expect("it may do everything");
}

#[tokio::test]
async fn a_node_may_ask_how_others_are_and_nothing_else() {
    let node = Node::start().await;
    let address = node.address.to_string();
    let mut config = quorate::runtime::ClientConfig::new(CLUSTER, [address.clone()]);
    config.tls = Some(node.issue(&NODE(2)));
    let client = Client::new(config).expect("the configuration makes sense");
    let report = client.report(&address).await.expect("it may");
    assert_eq!(report.status.id, NodeId(1));
    let denied = Some(ClientError::Rejected(Rejection::Denied(Denial::NotAllowed)));
    assert_eq!(client.propose(b"a").await.err(), denied);
    assert_eq!(client.propose_at_most_once(b"a", Acknowledge::Quorum).await.err(), denied);
    for level in [ReadLevel::Linearizable, ReadLevel::Local] {
        assert_eq!(client.read(level, b"").await.err(), denied);
    }
    let change = Change::new().voter(NodeId(2));
    assert_eq!(client.change_membership(change).await.err(), denied);
    assert_eq!(client.give_up_change().await.err(), denied);
    assert_eq!(client.transfer(None).await.err(), denied);
    assert_eq!(client.campaign(&address).await.err(), denied);
    assert_eq!(client.snapshot(&address).await.err(), denied);
    assert_eq!(node.cluster.read(NodeId(1)).await, "", "nothing came of it");
    // A node that was taken back does not learn that either.
    let certificate = fs::read_to_string(node.certs().config(&NODE(2)).certificate);
    let authority = node.certs().authority(Role::Node).expect("it is there");
    let list = authority.revoke(&[&certificate.expect("it is there")]).expect("it can be made");
    fs::write(node.cluster.revoked(), list).expect("there is room");
    node.cluster.handle(NodeId(1)).reload_tls().expect("the files are right");
    let late = client.with_deadline(Duration::from_millis(300));
    late.report(&address).await.expect_err("it is let in no more");
    refused(&node.cluster.handle(NodeId(1)), Refusal::Untrusted).await;
}

#[tokio::test]
async fn a_client_reads_its_files_again() {
    let node = Node::start().await;
    let address = node.address.to_string();
    let mut config = quorate::runtime::ClientConfig::new(CLUSTER, [address.clone()]);
    let files = node.issue(&Principal::client("app").expect("it is a name"));
    config.tls = Some(files.clone());
    let client = Client::new(config).expect("the configuration makes sense");
    client.report(&address).await.expect("it is let in");
    let trusted = fs::read_to_string(&files.nodes).expect("it is there");
    fs::write(&files.nodes, "nothing").expect("there is room");
    let error = client.reload_tls().expect_err("it is no certificate");
    assert_eq!(error.file(), files.nodes);
    client.report(&address).await.expect("nothing has changed");
    let other = Authority::new(Role::Node).expect("it can be made");
    fs::write(&files.nodes, other.certificate()).expect("there is room");
    client.reload_tls().expect("the files are right");
    let late = client.with_deadline(Duration::from_millis(300));
    late.report(&address).await.expect_err("the node is not trusted any more");
    fs::write(&files.nodes, trusted).expect("there is room");
    client.reload_tls().expect("the files are right");
    client.report(&address).await.expect("the node is trusted again");
}
