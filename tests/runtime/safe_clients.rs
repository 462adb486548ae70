//! Clients with certificates: who may do what.

use quorate::runtime::{Client, ClientConfig, ClientError, Principal, Rejection};
use quorate::types::{Change, NodeId, ReadLevel};
use quorate::wire::Denial;

use crate::clients::{config_of, text};
use crate::cluster::{CLUSTER, Cluster};

fn config(cluster: &Cluster, principal: Option<Principal>) -> ClientConfig {
    let principal = principal.expect("it is a name");
    let issued = cluster.certs().issue(CLUSTER, &principal, 1).expect("there is room");
    ClientConfig { tls: Some(issued), ..config_of(cluster, 1..=cluster.servers.len() as u64) }
}

fn client(cluster: &Cluster, principal: Option<Principal>) -> Client {
    Client::new(config(cluster, principal)).expect("the configuration makes sense")
}

#[tokio::test]
async fn a_client_proposes_and_reads_and_an_administrator_does_everything() {
    let cluster = Cluster::start_safe(3).await;
    let user = client(&cluster, Principal::client("app"));
    user.propose(b"one").await.expect("it may");
    let read = user.read(ReadLevel::Linearizable, b"").await.expect("it may");
    assert_eq!(text(&read.answer), "one\n");
    let address = cluster.address(NodeId(1)).to_string();
    user.report(&address).await.expect("it may");
    let denied = ClientError::Rejected(Rejection::Denied(Denial::NotAllowed));
    assert_eq!(user.transfer(None).await, Err(denied.clone()));
    assert_eq!(user.snapshot(&address).await, Err(denied.clone()));
    assert_eq!(user.campaign(&address).await, Err(denied.clone()));
    assert_eq!(user.give_up_change().await, Err(denied.clone()));
    let change = Change::new().priority(NodeId(1), 7);
    assert_eq!(user.change_membership(change.clone()).await, Err(denied.clone()));
    assert!(denied.to_string().ends_with("use an administrator's certificate"), "{denied}");

    let admin = client(&cluster, Principal::admin("ops"));
    admin.propose(b"two").await.expect("it may");
    admin.change_membership(change).await.expect("it may");
    admin.snapshot(&address).await.expect("it may");
    admin.transfer(None).await.expect("the others keep up");
}

#[tokio::test]
async fn a_certificate_of_another_cluster_is_noticed_at_the_start() {
    let cluster = Cluster::start_safe(1).await;
    let mut config = config(&cluster, Principal::client("app"));
    config.cluster.0 += 1;
    let error = Client::new(config).expect_err("it is of another cluster").to_string();
    assert!(error.contains("use one of the cluster meant"), "{error}");
}
