//! What a node is told: by flags, by the environment, by a file, in this order; and where a mistake
//! in it stands.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::parser::ValueSource;
use clap::{ArgMatches, Args};
use serde::Deserialize;
use toml::de::DeTable;

use crate::exit::Trouble;
use crate::values::{At, Bytes, Cluster, NodeAt, Span};

macro_rules! settings {
    ($($(#[$attribute:meta])* $field:ident: $kind:ty,)*) => {
        /// Everything that a node can be told. Each has a flag, a variable QUORATE_… and a key in
        /// the file, which is the flag's name.
        #[derive(Args, Clone, Debug, Default, Deserialize)]
        #[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
        pub(crate) struct Settings {
            $($(#[$attribute])* pub(crate) $field: Option<$kind>,)*
        }

        impl Settings {
            /// What is not set is taken from `file`; the names of what was.
            fn fill(&mut self, file: Settings) -> Vec<&'static str> {
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
    /// This node's id, from 1; never given to another node again
    #[arg(long, env = "QUORATE_ID", value_name = "N")]
    id: u64,
    /// The node's own directory, made if it is missing
    #[arg(long, env = "QUORATE_DATA_DIR", value_name = "DIR")]
    data_dir: PathBuf,
    /// The cluster's name, or its id in 32 hexadecimal digits
    ///
    /// A directory in use knows its cluster; a new one is `quorate`'s unless this says otherwise.
    #[arg(long, env = "QUORATE_CLUSTER", value_name = "NAME")]
    cluster: Cluster,
    /// Who founds the cluster, this node among them: 1=10.0.0.1:7100,2=10.0.0.2:7100,…
    #[arg(long, env = "QUORATE_MEMBERS", value_name = "ID=ADDRESS", value_delimiter = ',')]
    members: Vec<NodeAt>,
    /// Members of a running cluster, to wait there until one of them adds this node
    #[arg(long, env = "QUORATE_JOIN", value_name = "ID=ADDRESS", value_delimiter = ',')]
    join: Vec<NodeAt>,
    /// Where to listen, if not at this node's address among the members
    #[arg(long, env = "QUORATE_LISTEN", value_name = "ADDRESS")]
    listen: SocketAddr,
    /// Speak TLS, with the certificates that `quorate certs` made in this directory
    #[arg(long, env = "QUORATE_CERTS", value_name = "DIR")]
    certs: PathBuf,
    /// Let words leave this machine in the clear: without it only loopback addresses are taken
    #[arg(long, env = "QUORATE_PLAINTEXT", num_args = 0..=1, default_missing_value = "true",
        require_equals = true, value_name = "BOOL")]
    plaintext: bool,
    /// Where to serve /metrics and /health: an address, or a port of this machine
    #[arg(long, env = "QUORATE_METRICS", value_name = "ADDRESS")]
    metrics: At,
    /// Where to serve a page that shows the cluster: an address, or a port of this machine
    ///
    /// Whoever reaches either can read it, and change nothing: there is no password.
    #[arg(long, env = "QUORATE_UI", value_name = "ADDRESS")]
    ui: At,
    /// After how long without a leader a node campaigns; up to twice as long [default: 300ms]
    #[arg(long, env = "QUORATE_ELECTION_TIMEOUT", value_name = "TIME")]
    election_timeout: Span,
    /// How often a leader says that it is alive [default: 50ms]
    #[arg(long, env = "QUORATE_HEARTBEAT", value_name = "TIME")]
    heartbeat: Span,
    /// After how many commands a snapshot is taken [default: 1000000]
    #[arg(long, env = "QUORATE_SNAPSHOT_ENTRIES", value_name = "N")]
    snapshot_entries: u64,
    /// How many commands before a snapshot are kept for nodes that lag [default: 10000]
    #[arg(long, env = "QUORATE_TRAILING_ENTRIES", value_name = "N")]
    trailing_entries: u64,
    /// The size of one file of the log, several of which are made ahead [default: 64MiB]
    #[arg(long, env = "QUORATE_SEGMENT_SIZE", value_name = "SIZE")]
    segment_size: Bytes,
    /// How many empty files of the log are kept ready [default: 3]
    #[arg(long, env = "QUORATE_SEGMENTS_AHEAD", value_name = "N")]
    segments_ahead: usize,
    /// How long to look out for what comes next before sleeping [default: 0ms]
    ///
    /// With 200us the requests of a lone client take less time, and processors are busy meanwhile.
    #[arg(long, env = "QUORATE_POLL_MAX", value_name = "TIME")]
    poll_max: Span,
    /// What to write about: error, warn, info or debug [default: info]
    #[arg(long, env = "QUORATE_LOG", value_name = "LEVEL")]
    log: Level,
}

/// How much is written to the standard error.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Level {
    Error,
    Warn,
    #[default]
    Info,
    Debug,
}

/// Where each setting came from that a file gave.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sources {
    file: PathBuf,
    /// By field, the line of its value.
    lines: BTreeMap<String, usize>,
}

impl Settings {
    /// These settings, without a variable that says of `members` and `join` the other one than a
    /// flag does.
    pub(crate) fn flags_first(mut self, given: &ArgMatches) -> Settings {
        let is_flag = |name| given.value_source(name) == Some(ValueSource::CommandLine);
        match (is_flag("members"), is_flag("join")) {
            (true, false) => self.join = None,
            (false, true) => self.members = None,
            (true, true) | (false, false) => {}
        }
        self
    }

    /// These settings, and where they lack something those of the file.
    ///
    /// # Errors
    /// The file cannot be read, or says what it may not; the line is named.
    pub(crate) fn with_file(mut self, file: Option<&Path>) -> Result<(Settings, Sources), Trouble> {
        let Some(path) = file else { return Ok((self, Sources::default())) };
        let text = std::fs::read_to_string(path)
            .map_err(|error| Trouble::wrong(format!("{}: {error}", path.display())))?;
        let wrong = |error: toml::de::Error| {
            let line = error.span().map_or(1, |span| line_of(&text, span.start));
            Trouble::wrong(format!("{}:{line}: {}", path.display(), error.message()))
        };
        let mut settings: Settings = toml::from_str(&text).map_err(wrong)?;
        if self.members.is_some() || self.join.is_some() {
            // A node is a founder, or joins: what the file says of that is not asked for.
            (settings.members, settings.join) = (None, None);
        }
        let table = DeTable::parse(&text).map_err(wrong)?;
        let given = table.get_ref().iter().map(|(key, value)| {
            (key.get_ref().replace('-', "_"), line_of(&text, value.span().start))
        });
        let mut lines: BTreeMap<String, usize> = given.collect();
        let taken = self.fill(settings);
        lines.retain(|field, _| taken.contains(&field.as_str()));
        Ok((self, Sources { file: path.to_owned(), lines }))
    }
}

impl Sources {
    /// What is wrong with a setting, with where it stands.
    pub(crate) fn mistake(&self, field: &str, what: impl std::fmt::Display) -> Trouble {
        let flag = field.replace('_', "-");
        Trouble::wrong(match self.lines.get(field) {
            Some(line) => format!("{}:{line}: {flag}: {what}", self.file.display()),
            None => format!("--{flag}: {what}"),
        })
    }
}

/// The line, from 1, that byte `offset` stands in.
fn line_of(text: &str, offset: usize) -> usize {
    1 + text.bytes().take(offset).filter(|byte| *byte == b'\n').count()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is said about a file of this text.
    fn read(text: &str) -> Result<(Settings, Sources), String> {
        let file = tempfile::NamedTempFile::new().expect("there is room");
        std::fs::write(file.path(), text).expect("there is room");
        let told = Settings::default().with_file(Some(file.path()));
        told.map_err(|trouble| trouble.text.replace(&*file.path().to_string_lossy(), "FILE"))
    }

    #[test]
    fn a_mistake_is_named_with_its_line() {
        let cases = [
            ("id = 1\nmembesr = []\n", "FILE:2: unknown field `membesr`"),
            ("id = 1\n\nheartbeat = \"5 parsecs\"\n", "FILE:3: `5 parsecs` is no time"),
            ("members = [\n  \"1=127.0.0.1:1\",\n  \"2=there\",\n]\n", "FILE:3: `2=there`: no"),
            ("id = \"one\"\n", "FILE:1: invalid type: string \"one\""),
            ("id = 1\nid = 2\n", "FILE:2: duplicate key"),
            ("id = 1\nlog = \"loud\"\n", "FILE:2: unknown variant `loud`"),
        ];
        for (text, expected) in cases {
            let told = read(text).expect_err(text);
            assert!(told.starts_with(expected), "{told}\nand not\n{expected}");
        }
    }

    #[test]
    fn a_flag_goes_before_the_file() {
        let file = tempfile::NamedTempFile::new().expect("there is room");
        std::fs::write(file.path(), "id = 7\n\nheartbeat = \"9s\"\n").expect("there is room");
        let flags = Settings { id: Some(1), ..Settings::default() };
        let (settings, sources) = flags.with_file(Some(file.path())).expect("it is right");
        assert_eq!(settings.id, Some(1));
        assert_eq!(sources.mistake("id", "no").text, "--id: no");
        let told = sources.mistake("heartbeat", "no").text;
        assert!(told.ends_with(":3: heartbeat: no"), "{told}");
    }
}
