//! The settings of a node, from flags, environment variables and a file, in this order of
//! precedence; errors name the place of the setting.

use std::collections::BTreeMap;
use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::parser::ValueSource;
use clap::{ArgMatches, Args};
use quorate::storage::read_bounded_text;
use serde::Deserialize;
use toml::de::DeTable;

use crate::exit::{CommandError, CommandResult};
use crate::values::{Bytes, COUNTS, Cluster, ListenAddress, NodeAddress, Span, number, parse_id};

/// The maximum size of the configuration file, in bytes.
const FILE_BYTES_MAX: u64 = 1 << 20;

macro_rules! settings {
    ($($(#[$attribute:meta])* $field:ident: $kind:ty,)*) => {
        /// The settings of a node. Each can be set by a flag, by an environment variable QUORATE_…,
        /// and in the file by a key with the name of the flag.
        #[derive(Args, Clone, Debug, Default, Deserialize)]
        #[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
        pub(crate) struct Settings {
            $($(#[$attribute])* pub(crate) $field: Option<$kind>,)*
        }

        impl Settings {
            /// Takes settings that are missing from `file`, and returns their names.
            fn take_missing_from(&mut self, file: Settings) -> Vec<&'static str> {
                let mut taken = Vec::new();
                $(if self.$field.is_none() && file.$field.is_some() {
                    self.$field = file.$field;
                    taken.push(stringify!($field));
                })*
                taken
            }
        }
    };
}

settings! {
    /// Id of this node, from 1; must differ from the id of every other node, even a removed one
    #[arg(long, env = "QUORATE_ID", value_name = "N", value_parser = parse_id)]
    id: u64,
    /// Data directory of the node, created if it is missing
    #[arg(long, env = "QUORATE_DATA_DIR", value_name = "DIR")]
    data_dir: PathBuf,
    /// Name of the cluster, or its id in 32 hexadecimal digits
    ///
    /// An existing data directory stores the id of its cluster, so the flag is not needed. By
    /// default, a new directory gets the cluster id in the certificate; without certificates, an id
    /// derived from --members, or the id of the cluster that --join names.
    #[arg(long, env = "QUORATE_CLUSTER", value_name = "NAME")]
    cluster: Cluster,
    /// Initial members, which bootstrap the cluster: 1=10.0.0.1:7100,2=10.0.0.2:7100,…
    #[arg(long, env = "QUORATE_MEMBERS", value_name = "ID=ADDRESS", value_delimiter = ',')]
    members: Vec<NodeAddress>,
    /// Some members of a running cluster; the node waits until it is added to their cluster
    ///
    /// At its start the node asks these members for the addresses of all members. If none answers,
    /// the node can join only while one of these members leads, because it replies only to
    /// addresses that it knows.
    #[arg(long, env = "QUORATE_JOIN", value_name = "ID=ADDRESS", value_delimiter = ',')]
    join: Vec<NodeAddress>,
    /// Address to listen on, if it is not this node's address in the membership
    #[arg(long, env = "QUORATE_LISTEN", value_name = "ADDRESS")]
    listen: SocketAddr,
    /// Use TLS with the certificates in this directory, made by `quorate certs`
    #[arg(long, env = "QUORATE_CERTS", value_name = "DIR")]
    certs: PathBuf,
    /// Allow plaintext connections beyond loopback addresses, without TLS
    #[arg(long, env = "QUORATE_PLAINTEXT", num_args = 0..=1, default_missing_value = "true",
        require_equals = true, value_name = "BOOL")]
    plaintext: bool,
    /// Serve /metrics, /health, /ready and /live over HTTP at this address, or at this port on
    /// loopback
    #[arg(long, env = "QUORATE_METRICS", value_name = "ADDRESS")]
    metrics: ListenAddress,
    /// Serve a status page of the cluster over HTTP at this address, or at this port on loopback
    ///
    /// The page and the metrics are read-only and have no access control.
    #[arg(long, env = "QUORATE_UI", value_name = "ADDRESS")]
    ui: ListenAddress,
    /// Minimum election timeout; the maximum is twice as long [default: 300ms]
    #[arg(long, env = "QUORATE_ELECTION_TIMEOUT", value_name = "TIME")]
    election_timeout: Span,
    /// Heartbeat interval of a leader [default: 50ms]
    #[arg(long, env = "QUORATE_HEARTBEAT", value_name = "TIME")]
    heartbeat: Span,
    /// Number of applied entries after which the node takes a snapshot; it also takes one after 256
    /// MiB of applied entries [default: 1000000]
    #[arg(long, env = "QUORATE_SNAPSHOT_ENTRIES", value_name = "N",
        value_parser = number::<u64>(1..=u64::MAX))]
    snapshot_entries: u64,
    /// Number of log entries before a snapshot that are kept for slow followers [default: 10000]
    #[arg(long, env = "QUORATE_TRAILING_ENTRIES", value_name = "N",
        value_parser = number::<u64>(0..=u64::MAX))]
    trailing_entries: u64,
    /// Time within which the node reads all of its log and snapshots once to find damage [default:
    /// 7d]
    #[arg(long, env = "QUORATE_SCRUB_PERIOD", value_name = "TIME")]
    scrub_period: Span,
    /// Size of a log segment file: a multiple of 4KiB, from 4140KiB to 4GiB [default: 64MiB]
    #[arg(long, env = "QUORATE_SEGMENT_SIZE", value_name = "SIZE")]
    segment_size: Bytes,
    /// Size of the recording of the node's inputs, without keys and values; 0 for none [default:
    /// 64MiB]
    ///
    /// The recording is in the folder `recording` of the data directory. It shows later why the
    /// leader changed; `quorate record` copies it.
    #[arg(long, env = "QUORATE_RECORDING_SIZE", value_name = "SIZE")]
    recording_size: Bytes,
    /// Number of empty log segments created in advance [default: 3]
    #[arg(long, env = "QUORATE_SPARE_SEGMENTS", value_name = "N",
        value_parser = number::<usize>(1..=1 << 16))]
    spare_segments: usize,
    /// Maximum number of connections from clients; the same maximum applies to those from other
    /// nodes [default: 1024]
    ///
    /// If these connections need more open files than the process may have, the node raises that
    /// limit; if it cannot, it does not start.
    #[arg(long, env = "QUORATE_CONNECTIONS_MAX", value_name = "N",
        value_parser = number::<usize>(COUNTS))]
    connections_max: usize,
    /// Maximum time of busy polling before a thread sleeps [default: 0ms]
    ///
    /// With 200us, the latency of a single client drops, at the cost of CPU time.
    #[arg(long, env = "QUORATE_BUSY_POLL_MAX", value_name = "TIME")]
    busy_poll_max: Span,
    /// Log level: error, warn, info or debug [default: info]
    #[arg(long, env = "QUORATE_LOG", value_name = "LEVEL")]
    log: Level,
}

/// The log level: the least severe messages that are written to standard error.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Level {
    Error,
    Warn,
    #[default]
    Info,
    Debug,
}

/// The places of the settings that come from a file.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sources {
    file: PathBuf,
    /// The line of each setting's value, by the name of the setting.
    lines: BTreeMap<String, usize>,
}

impl Settings {
    /// Drops a `join` that comes from an environment variable if `members` is given as a flag, and
    /// vice versa, because a node either bootstraps or joins.
    pub(crate) fn without_overridden_variables(mut self, given: &ArgMatches) -> Settings {
        let is_flag = |name| given.value_source(name) == Some(ValueSource::CommandLine);
        match (is_flag("members"), is_flag("join")) {
            (true, false) => self.join = None,
            (false, true) => self.members = None,
            (true, true) | (false, false) => {}
        }
        self
    }

    /// Returns these settings, completed with those of the file.
    ///
    /// # Errors
    /// A [`CommandError`] if the file cannot be read, or if a setting is invalid; the error about a
    /// setting names its line.
    pub(crate) fn with_file(mut self, file: Option<&Path>) -> CommandResult<(Settings, Sources)> {
        let Some(path) = file else { return Ok((self, Sources::default())) };
        // A pipe is read as well, such as that of a shell's `<(…)`.
        let text = File::open(path).and_then(|file| read_bounded_text(file, FILE_BYTES_MAX));
        let text = text
            .map_err(|error| CommandError::invalid_input(format!("{}: {error}", path.display())))?;
        let wrong = |error: toml::de::Error| {
            let line = error.span().map_or(1, |span| line_of(&text, span.start));
            CommandError::invalid_input(format!("{}:{line}: {}", path.display(), error.message()))
        };
        let mut settings: Settings = toml::from_str(&text).map_err(wrong)?;
        if self.members.is_some() || self.join.is_some() {
            // A node bootstraps or joins: one of the two as a flag or a variable replaces both
            // settings of the file.
            (settings.members, settings.join) = (None, None);
        }
        let table = DeTable::parse(&text).map_err(wrong)?;
        let given = table.get_ref().iter().map(|(key, value)| {
            (key.get_ref().replace('-', "_"), line_of(&text, value.span().start))
        });
        let mut lines: BTreeMap<String, usize> = given.collect();
        let taken = self.take_missing_from(settings);
        lines.retain(|field, _| taken.contains(&field.as_str()));
        Ok((self, Sources { file: path.to_owned(), lines }))
    }
}

impl Sources {
    /// Returns the error of a setting, with its flag or its file and line.
    pub(crate) fn error(&self, field: &str, message: impl std::fmt::Display) -> CommandError {
        let flag = field.replace('_', "-");
        CommandError::invalid_input(match self.lines.get(field) {
            Some(line) => format!("{}:{line}: {flag}: {message}", self.file.display()),
            None => format!("--{flag}: {message}"),
        })
    }
}

/// Returns the line of byte `offset`, from 1.
fn line_of(text: &str, offset: usize) -> usize {
    1 + text.bytes().take(offset).filter(|byte| *byte == b'\n').count()
}

#[cfg(test)]
mod tests {
    use crate::fixtures::Fixtures;

    use super::*;

    /// Reads a file of this text; returns its error with the path replaced by FILE.
    fn read(text: &str) -> Result<(Settings, Sources), String> {
        let file = tempfile::NamedTempFile::new().expect("a temporary file can be created");
        std::fs::write(file.path(), text).expect("the disk has space");
        let read = Settings::default().with_file(Some(file.path()));
        read.map_err(|error| error.text.replace(&*file.path().to_string_lossy(), "FILE"))
    }

    #[test]
    fn the_fixtures_of_the_configuration_file_are_read() {
        let lines = [
            "id = 3",
            "data-dir = \"/var/lib/quorate\"",
            "cluster = \"orders\"",
            "members = [\"1=10.0.0.1:7100\", \"2=[::1]:7100\"]",
            "join = [\"1=10.0.0.1:7100\"]",
            "listen = \"0.0.0.0:7100\"",
            "certs = \"/etc/quorate/certs\"",
            "plaintext = true",
            "metrics = \"9100\"",
            "ui = \"127.0.0.1:9101\"",
            "election-timeout = \"300ms\"",
            "heartbeat = \"50ms\"",
            "snapshot-entries = 1000000",
            "trailing-entries = 10000",
            "scrub-period = \"7d\"",
            "segment-size = \"64MiB\"",
            "recording-size = \"64MiB\"",
            "spare-segments = 3",
            "connections-max = 1024",
            "busy-poll-max = \"200us\"",
            "log = \"info\"",
        ];
        let mut fixtures = Fixtures::of("config", 1);
        for line in lines {
            let (name, _) = line.split_once(' ').expect("a line has a name");
            fixtures.text(name, line, |kept| {
                let (settings, sources) = read(kept).expect("the setting is valid");
                assert!(sources.lines.contains_key(&name.replace('-', "_")), "{kept} is read");
                let (again, _) = read(line).expect("the setting is valid");
                assert_eq!(format!("{settings:?}"), format!("{again:?}"));
            });
        }
        fixtures.finish();
        let command = Settings::augment_args(clap::Command::new("serve"));
        for argument in command.get_arguments() {
            let name = argument.get_long().expect("each setting has a flag");
            assert!(lines.iter().any(|line| line.starts_with(name)), "no line sets `{name}`");
        }
    }

    #[test]
    fn an_error_names_its_line() {
        let cases = [
            ("id = 1\nmembesr = []\n", "FILE:2: unknown field `membesr`"),
            ("id = 1\n\nheartbeat = \"5 parsecs\"\n", "FILE:3: `5 parsecs` is not a time"),
            (
                "members = [\n  \"1=127.0.0.1:1\",\n  \"2=there\",\n]\n",
                "FILE:3: `2=there`: the address",
            ),
            ("id = \"one\"\n", "FILE:1: invalid type: string \"one\""),
            ("id = 1\nid = 2\n", "FILE:2: duplicate key"),
            ("id = 1\nlog = \"loud\"\n", "FILE:2: unknown variant `loud`"),
        ];
        for (text, expected) in cases {
            let error = read(text).expect_err(text);
            assert!(error.starts_with(expected), "got\n{error}\nexpected\n{expected}");
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_file_without_an_end_is_an_error_and_a_pipe_is_read() {
        let error = Settings::default().with_file(Some(Path::new("/dev/zero")));
        let text = error.expect_err("it has no end").text;
        assert_eq!(text, "/dev/zero: it has more than 1048576 bytes, which is the limit");
        let (reader, mut writer) = std::io::pipe().expect("a pipe");
        std::io::Write::write_all(&mut writer, b"id = 7\n").expect("the pipe has room");
        drop(writer);
        let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&reader));
        let (settings, _) = Settings::default().with_file(Some(Path::new(&path))).expect("valid");
        assert_eq!(settings.id, Some(7));
    }

    #[test]
    fn a_flag_overrides_the_file() {
        let file = tempfile::NamedTempFile::new().expect("a temporary file can be created");
        std::fs::write(file.path(), "id = 7\n\nheartbeat = \"9s\"\n").expect("the disk has space");
        let flags = Settings { id: Some(1), ..Settings::default() };
        let (settings, sources) = flags.with_file(Some(file.path())).expect("the file is valid");
        assert_eq!(settings.id, Some(1));
        assert_eq!(sources.error("id", "no").text, "--id: no");
        let error = sources.error("heartbeat", "no").text;
        assert!(error.ends_with(":3: heartbeat: no"), "{error}");
    }
}
