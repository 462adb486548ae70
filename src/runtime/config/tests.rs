//! Tests of the rules of a server's configuration.

use super::*;

fn new() -> ServerConfig {
    let members = [(NodeId(1), ([127, 0, 0, 1], 1).into())];
    ServerConfig::new("directory", ClusterId(7), NodeId(1), members).expect("it is listed")
}

#[test]
fn the_core_admits_every_request_that_the_service_and_the_handle_admit() {
    assert_eq!(new().check(), Ok(()));
    for change in [
        |config: &mut ServerConfig| config.replica.raft.reads_max -= 1,
        |config: &mut ServerConfig| config.replica.raft.all_live_max -= 1,
        |config: &mut ServerConfig| config.service.requests_max += 1,
        |config: &mut ServerConfig| config.requests_max += 1,
    ] {
        let mut config = new();
        change(&mut config);
        let result = config.check();
        assert!(matches!(result, Err(ServerConfigError::BelowRequests { .. })), "{result:?}");
    }
}

type Change = fn(&mut ServerConfig);

#[test]
fn an_error_names_the_path_of_the_field_its_value_and_its_bound() {
    let changes: [(Change, [&str; 3]); 6] = [
        (|it| it.replica.raft.reads_max = 17, ["raft.reads_max is 17,", " are ", "21504"]),
        (|it| it.network.retry_max = Duration::ZERO, ["network.retry_max is zero", "", ""]),
        (
            |it| it.network.retry_max = Duration::from_millis(7),
            ["network.retry_max is 7ms:", "network.retry_min", "20ms"],
        ),
        (
            |it| it.network.keepalive_timeout = Duration::from_millis(7),
            ["network.keepalive_timeout is 7ms:", "network.keepalive_interval", "500ms"],
        ),
        (|it| it.recording_bytes = 7, ["recording_bytes is 7:", "at least ", "1048576"]),
        (
            |it| it.service.requests_kib_max = 7,
            ["service.requests_kib_max is 7,", "1024 KiB", "raft.command_bytes_max"],
        ),
    ];
    for (change, parts) in changes {
        let mut config = new();
        change(&mut config);
        let error = config.check().expect_err("it is out of its bounds").to_string();
        assert!(parts.iter().all(|part| error.contains(part)), "{error}");
    }
}

#[test]
fn the_service_has_room_for_the_longest_command() {
    let with = |all, origin, forwards| {
        let mut config = new();
        config.service.requests_kib_max = all;
        config.service.requests_kib_per_origin_max = origin;
        config.service.forwards = forwards;
        config.check()
    };
    assert_eq!(with(1 << 10, 1 << 10, false), Ok(()));
    assert_eq!(with(4 << 10, 4 << 10, true), Ok(()));
    let kib = 1 << 10;
    let field = "service.requests_kib_max";
    let below = |field, bound, kib| Err(ServerConfigError::BelowCommand { field, bound, kib });
    assert_eq!(with(1023, kib as u32, false), below(field, 1023, kib));
    let field = "service.requests_kib_per_origin_max";
    assert_eq!(with(4096, 1023, false), below(field, 1023, kib));
    assert_eq!(with(4096, 4095, true), below(field, 4095, 4 << 10));
}

#[test]
fn one_message_can_carry_the_longest_entries() {
    let bytes_max = (8 << 20) - (1 << 10);
    let rejected = |field, max, change: fn(&mut ServerConfig)| {
        let mut config = new();
        config.service.requests_kib_max = 1 << 20;
        config.service.requests_kib_per_origin_max = 1 << 20;
        config.replica.storage.command_bytes_max = 8 << 20;
        config.replica.storage.flush_bytes_max = 16 << 20;
        config.replica.storage.read_bytes_max = 16 << 20;
        change(&mut config);
        match config.check() {
            Err(ServerConfigError::AboveWire { field: named, bound, max: found }) => {
                assert_eq!((named, found), (field, max));
                assert!(bound > max);
            }
            other => panic!("{other:?}"),
        }
    };
    rejected("raft.message_entries_max", 4096, |config| {
        config.replica.raft.message_entries_max = 4097;
    });
    rejected("raft.message_bytes_max", bytes_max, |config| {
        config.replica.raft.message_bytes_max = 8 << 20;
    });
    rejected("raft.command_bytes_max", bytes_max - 32, |config| {
        config.replica.raft.command_bytes_max = (8 << 20) - (1 << 10);
        config.replica.raft.message_bytes_max = (8 << 20) - (1 << 10);
    });
}

#[test]
fn a_duration_longer_than_a_year_is_rejected() {
    assert_eq!(new().check(), Ok(()));
    let changes: [fn(&mut ServerConfig); 10] = [
        |config| config.network.handshake_timeout = Duration::MAX,
        |config| config.network.keepalive_interval = Duration::MAX,
        |config| config.network.keepalive_timeout = Duration::MAX,
        |config| config.network.frame_timeout = Duration::MAX,
        |config| config.network.idle_max = Duration::MAX,
        |config| config.network.retry_min = Duration::MAX,
        |config| config.network.retry_max = Duration::MAX,
        |config| config.service.stall_max = Duration::MAX,
        |config| config.service.idle_max = Duration::MAX,
        |config| config.service.drain_max = Duration::MAX,
    ];
    for (number, change) in changes.into_iter().enumerate() {
        let mut config = new();
        change(&mut config);
        let result = config.check();
        assert!(matches!(result, Err(ServerConfigError::TooLong(..))), "{number}: {result:?}");
    }
}
