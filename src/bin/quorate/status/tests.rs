//! Tests of the status of a cluster.

use std::time::Duration;

use quorate::raft::{Config, Raft};
use quorate::types::{
    Comparisons, EntryId, Index, Instant, MachineVersion, QuotaUsage, Restored, RoleName, Status,
    Term,
};

use super::*;

/// Returns the status of three members that follow node 1, changed by `change`.
fn cluster(change: impl FnOnce(&mut [Report])) -> ClusterStatus {
    let membership = Membership::new([1, 2, 3].map(NodeId));
    let report = |id: u64| {
        let restored = Restored::fresh(membership.clone());
        let raft = Raft::new(Config::new(NodeId(id)), restored, 7, Instant::ZERO);
        let status = Status {
            role: if id == 1 { RoleName::Leader } else { RoleName::Follower },
            term: Term(3),
            leader: Some(NodeId(1)),
            ..raft.expect("a valid start").status()
        };
        let (membership, peers) = (membership.clone(), Vec::new());
        let (comparisons, lease) = (Comparisons::default(), Duration::ZERO);
        let verification = StateVerification::Consistent;
        let usage = MachineUsage::default();
        let role_changes = Vec::new();
        let (version_max, version_required) = (MachineVersion::FIRST, None);
        Report {
            status,
            peers,
            membership,
            verification,
            comparisons,
            lease,
            usage,
            version_max,
            version_required,
            role_changes,
        }
    };
    let mut reports = [1, 2, 3].map(report);
    change(&mut reports);
    let rows = reports.into_iter().map(|report| {
        let member = Member::new(report.status.id);
        MemberStatus { member, kind: "voter", report: Ok(report) }
    });
    let (cluster, rows) = (ClusterId(1), rows.collect());
    ClusterStatus { cluster, rows, membership, is_stalled: false }
}

#[test]
fn a_leader_that_commits_nothing_is_an_obstacle() {
    let of_leader = |last, committed, term| {
        let status = cluster(|reports| {
            let status = &mut reports[0].status;
            status.last = EntryId::new(Term(3), Index(last));
            (status.committed, status.term) = (Index(committed), Term(term));
        });
        status.leader().expect("node 1 leads").clone()
    };
    let before = of_leader(7, 5, 3);
    assert!(is_stalled(&before, &before));
    assert!(is_stalled(&before, &of_leader(9, 5, 3)));
    assert!(!is_stalled(&before, &of_leader(9, 6, 3)), "an entry was committed");
    assert!(!is_stalled(&before, &of_leader(7, 5, 4)), "it was elected again");
    assert!(!is_stalled(&before, &of_leader(5, 5, 3)), "there is nothing to commit");
    let stalled = ClusterStatus { is_stalled: true, ..cluster(|_| ()) };
    assert!(!stalled.is_healthy());
    assert!(stalled.text().contains("no entry was committed for over 5 s"));
}

#[test]
fn json_has_the_warnings_and_the_usage_that_the_text_has() {
    let status = cluster(|reports| {
        reports[1].verification = StateVerification::Quarantined;
        reports[2].status.disk_full = true;
        reports[2].verification = StateVerification::TooOld;
        let usage = &mut reports[0].usage;
        (usage.sessions, usage.bounds.sessions_max, usage.version.user) = (4, 5, 6);
    });
    let (text, json) = (status.text(), status.json());
    let verifications = [0, 1, 2].map(|place| &json["nodes"][place]["verification"]);
    assert_eq!(verifications, ["consistent", "quarantined", "too_old"]);
    let warnings: Vec<&str> =
        json["warnings"].as_array().expect("a list").iter().filter_map(Value::as_str).collect();
    assert!(!warnings.is_empty() && text.ends_with(&(warnings.join("\n") + "\n")), "{json}");
    for part in ["n2: in quarantine: its state", "n3: the disk is full", "n3: its build is too old"]
    {
        assert!(warnings.iter().any(|warning| warning.starts_with(part)), "{part}: {text}");
    }
    assert!(text.contains("sessions: 4 of 5\nversion: 6"), "{text}");
    assert_eq!((&json["sessions"], &json["sessions_max"]), (&4.into(), &5.into()));
    assert_eq!(json["version"]["user"], 6);
}

#[test]
fn a_report_that_contradicts_itself_shows_no_lag() {
    let status = cluster(|reports| {
        reports[0].status.last = EntryId::new(Term(3), Index(4));
        reports[0].status.durable = Index(5);
    });
    let leader = status.leader().expect("node 1 leads").status.id;
    assert_eq!(status.lag(leader), Some(0));
}

#[test]
fn a_cluster_that_takes_writes_is_healthy() {
    assert!(cluster(|_| ()).is_healthy());
    assert!(cluster(|reports| reports[2].status.disk_full = true).is_healthy());
    let one_differs = |reports: &mut [Report]| {
        reports[2].verification = StateVerification::Quarantined;
    };
    assert!(cluster(one_differs).is_healthy());
}

#[test]
fn a_member_that_its_leader_does_not_hear_is_named_and_the_cluster_is_not_healthy() {
    let peer = PeerStatus {
        id: NodeId(3),
        probing: false,
        snapshot: None,
        disk_full: false,
        suspected: true,
        matched: Index::ZERO,
        next: Index(1),
        inflight_entries: 0,
        inflight_bytes: 0,
        version_max: None,
    };
    let status = cluster(|reports| reports[0].peers.push(peer));
    assert!(!status.is_healthy());
    assert!(status.text().contains("n3: does not answer its leader"), "{}", status.text());
    let heard = PeerStatus { suspected: false, ..peer };
    let status = cluster(|reports| reports[0].peers.push(heard));
    assert!(status.is_healthy());
    assert_eq!(
        [1, 2, 3].map(|id| status.answers_leader(NodeId(id))),
        [Some(true), None, Some(true)]
    );
    let without = cluster(|reports| {
        reports.iter_mut().for_each(|report| report.status.leader = None);
    });
    assert_eq!(without.answers_leader(NodeId(3)), None, "no leader says so");
}

#[test]
fn voters_that_only_their_leader_reaches_take_writes() {
    let of_peer = |id, suspected, disk_full| PeerStatus {
        id: NodeId(id),
        probing: false,
        snapshot: None,
        disk_full,
        suspected,
        matched: Index::ZERO,
        next: Index(1),
        inflight_entries: 0,
        inflight_bytes: 0,
        version_max: None,
    };
    for (suspected, disk_full, obstacle) in [
        (false, false, None),
        (true, false, Some("writes fail: no quorum of the voters follows the leader")),
        (false, true, Some("writes fail: no quorum of the voters has free space")),
    ] {
        let mut status = cluster(|reports| {
            reports[0].peers = [2, 3].map(|id| of_peer(id, suspected, disk_full)).into();
        });
        status.rows[1..].iter_mut().for_each(|row| row.report = Err("no route".to_owned()));
        assert_eq!(status.write_obstacles(), Vec::from_iter(obstacle));
        assert!(!status.is_healthy(), "the operator should know why they do not answer");
    }
}

#[test]
fn a_cluster_in_which_writes_cannot_succeed_is_not_healthy() {
    type Change = fn(&mut [Report]);
    let alarm = |reports: &mut [Report]| {
        let (used_bytes, bytes_max) = (68, 100);
        reports[0].usage.quota = Some(QuotaUsage { used_bytes, bytes_max, alarm: true });
    };
    let cases: [(&str, Change); 8] = [
        ("writes that grow the store fail: it has reached its quota", alarm),
        ("there is no leader", |reports| {
            reports.iter_mut().for_each(|report| report.status.leader = None);
        }),
        ("the disk of the leader is full", |reports| reports[0].status.disk_full = true),
        ("no quorum of the voters has free space", |reports| {
            reports[1..].iter_mut().for_each(|report| report.status.disk_full = true);
        }),
        ("no quorum of the voters follows the leader", |reports| {
            reports[1..].iter_mut().for_each(|report| report.status.leader = None);
        }),
        ("no quorum of the voters has the same state", |reports| {
            for report in &mut reports[1..] {
                report.verification = StateVerification::NoMajority;
            }
        }),
        ("the state of the node differs", |reports| {
            reports[0].verification = StateVerification::Quarantined;
        }),
        ("the build of the node is too old", |reports| {
            reports[0].verification = StateVerification::TooOld;
        }),
    ];
    for (expected, change) in cases {
        let status = cluster(change);
        assert!(!status.is_healthy(), "{expected}");
        let obstacles = status.write_obstacles();
        assert!(obstacles.iter().any(|text| text.contains(expected)), "{obstacles:?}");
        assert!(status.text().contains(expected), "the warning is printed");
    }
}
