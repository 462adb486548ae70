//! Clients with certificates, and what their roles permit.

use quorate::runtime::{Client, ClientConfig, ClientError, Principal, RejectCause};
use quorate::types::{Change, NodeId, ReadLevel};
use quorate::wire::ServiceRejectReason;

use crate::clients::{config_of, text};
use crate::cluster::{CLUSTER, Cluster};

fn config(cluster: &Cluster, principal: Option<Principal>) -> ClientConfig {
    let principal = principal.expect("the name is valid");
    let issued = cluster.certs().issue(CLUSTER, &principal, 1).expect("the directory is writable");
    ClientConfig { tls: Some(issued), ..config_of(cluster, 1..=cluster.servers.len() as u64) }
}

fn client(cluster: &Cluster, principal: Option<Principal>) -> Client {
    Client::new(config(cluster, principal)).expect("the configuration is valid")
}

#[tokio::test]
async fn a_client_proposes_and_reads_and_an_administrator_may_do_everything() {
    let cluster = Cluster::start_with_tls(3).await;
    let user = client(&cluster, Principal::client("app"));
    user.propose(b"one").await.expect("the role permits it");
    let read = user.read(ReadLevel::Linearizable, b"").await.expect("the role permits it");
    assert_eq!(text(&read.answer), "one\n");
    let address = cluster.address(NodeId(1)).to_string();
    user.report(&address).await.expect("the role permits it");
    let not_allowed = ClientError::Rejected(RejectCause::Service(ServiceRejectReason::NotAllowed));
    assert_eq!(user.transfer_leadership(None).await, Err(not_allowed.clone()));
    assert_eq!(user.snapshot(&address).await, Err(not_allowed.clone()));
    assert_eq!(user.campaign(&address).await, Err(not_allowed.clone()));
    assert_eq!(user.cancel_membership_change().await, Err(not_allowed.clone()));
    let change = Change::new().priority(NodeId(1), 7);
    assert_eq!(user.change_membership(change.clone()).await, Err(not_allowed.clone()));
    assert!(
        not_allowed.to_string().ends_with("use an administrator's certificate"),
        "{not_allowed}"
    );

    let admin = client(&cluster, Principal::admin("ops"));
    admin.propose(b"two").await.expect("the role permits it");
    admin.change_membership(change).await.expect("the role permits it");
    admin.snapshot(&address).await.expect("the role permits it");
    admin.transfer_leadership(None).await.expect("the other voters are up to date");
}

#[tokio::test]
async fn a_client_certificate_of_another_cluster_is_rejected_at_the_start() {
    let cluster = Cluster::start_with_tls(1).await;
    let mut config = config(&cluster, Principal::client("app"));
    config.cluster.0 += 1;
    let error =
        Client::new(config).expect_err("the certificate belongs to another cluster").to_string();
    assert!(error.contains("use a certificate of the configured cluster"), "{error}");
}
