//! One line of Nix's `--log-format internal-json` as a value.
//!
//! Nothing fails here: a line that is not JSON is plain text, JSON of an unknown shape is kept as it is, an unknown
//! activity or result keeps its number. The numbers are those of Nix's `src/libutil/logging.hh`, which versions only
//! ever add to. Must not keep state.

use std::borrow::Cow;

use serde::Deserialize;
use serde::de;

/// Numbers of activities.
pub mod activity {
    /// A store path is copied: fields path, from, to.
    pub const COPY_PATH: u64 = 100;
    /// The sum of all builds.
    pub const BUILDS: u64 = 104;
    /// A derivation is built: fields `.drv` path, machine, round, rounds.
    pub const BUILD: u64 = 105;
    /// A path is fetched from a cache: fields path, cache.
    pub const SUBSTITUTE: u64 = 108;
    /// A build waits for a lock or a machine.
    pub const BUILD_WAITING: u64 = 111;
}

/// Numbers of results.
pub mod result {
    /// A line of a build's log.
    pub const BUILD_LOG_LINE: u64 = 101;
    /// A build enters a phase.
    pub const SET_PHASE: u64 = 104;
    /// Done, expected, running, failed.
    pub const PROGRESS: u64 = 105;
    /// How much of something is expected in all.
    pub const SET_EXPECTED: u64 = 106;
    /// A line of the post-build hook's log.
    pub const POST_BUILD_LOG_LINE: u64 = 107;
}

#[derive(Debug, Clone, PartialEq)]
pub enum Message<'a> {
    /// An activity begins.
    Start {
        /// Its number in this run.
        id: u64,
        /// Its kind, see [`activity`].
        kind: u64,
        /// The verbosity at which people see it.
        level: u64,
        /// The activity that it is part of, where Nix says so; 0 for none.
        parent: u64,
        text: Cow<'a, str>,
        fields: Vec<Field<'a>>,
    },
    /// An activity ended.
    Stop { id: u64 },
    /// An activity tells something.
    Result {
        id: u64,
        /// What kind of thing, see [`result`].
        kind: u64,
        fields: Vec<Field<'a>>,
    },
    Text {
        /// The verbosity: 0 error, 1 warning, 3 information.
        level: u64,
        /// The text, with control sequences.
        text: Cow<'a, str>,
    },
    /// A line that is not of the log format.
    Plain(Cow<'a, str>),
    /// A line of the log format with a shape that is not known.
    Unknown(Cow<'a, str>),
}

/// A field of an activity or a result.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum Field<'a> {
    Int(u64),
    Text(#[serde(borrow)] Cow<'a, str>),
    /// Something else.
    Other(de::IgnoredAny),
}

impl Field<'_> {
    pub fn text(&self) -> Option<&str> {
        if let Field::Text(text) = self { Some(text) } else { None }
    }

    /// Returns the number of a number.
    pub fn int(&self) -> Option<u64> {
        if let Field::Int(number) = self { Some(*number) } else { None }
    }
}

const PREFIX: &[u8] = b"@nix ";

impl<'a> Message<'a> {
    /// Reads a line, with or without its line end.
    pub fn read(line: &'a [u8]) -> Message<'a> {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let Some(json) = line.strip_prefix(PREFIX) else { return Message::Plain(String::from_utf8_lossy(line)) };
        let wire = std::str::from_utf8(json).ok().and_then(|json| serde_json::from_str::<Wire<'_>>(json).ok());
        wire.and_then(Wire::message).unwrap_or_else(|| Message::Unknown(String::from_utf8_lossy(line)))
    }
}

/// The shape on the wire; everything may be missing, everything else is let go.
#[derive(Deserialize)]
struct Wire<'a> {
    #[serde(borrow)]
    action: Text<'a>,
    #[serde(default)]
    id: u64,
    #[serde(default)]
    level: u64,
    #[serde(default, rename = "type")]
    kind: u64,
    #[serde(default)]
    parent: u64,
    #[serde(default, borrow)]
    text: Option<Text<'a>>,
    #[serde(default, borrow)]
    msg: Option<Text<'a>>,
    #[serde(default, borrow)]
    fields: Vec<Field<'a>>,
}

impl<'a> Wire<'a> {
    fn message(self) -> Option<Message<'a>> {
        let Wire { id, level, kind, parent, fields, .. } = self;
        let text = self.text.map_or(Cow::Borrowed(""), |t| t.0);
        Some(match self.action.0.as_ref() {
            "start" => Message::Start { id, kind, level, parent, text, fields },
            "stop" => Message::Stop { id },
            "result" => Message::Result { id, kind, fields },
            "msg" => Message::Text { level, text: self.msg?.0 },
            _ => return None,
        })
    }
}

/// A text that is borrowed where it holds no escapes.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::path::PathBuf;

    /// Returns the directory of the recorded logs, or says that they are not there.
    pub(in crate::nix) fn recorded() -> Option<PathBuf> {
        let shared = std::env::var_os("OVERLAYCTL_SHARED")
            .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared")), PathBuf::from);
        let logs = shared.join("data/nix-logs");
        if !logs.is_dir() {
            eprintln!("skipped: no recorded logs at {}", logs.display());
            return None;
        }
        Some(logs)
    }

    pub(in crate::nix) fn stream(name: &str) -> Option<Vec<u8>> {
        let packed = std::fs::read(recorded()?.join(format!("internal-json-{name}.jsonl.zst"))).unwrap();
        Some(zstd::decode_all(&packed[..]).unwrap())
    }

    #[test]
    fn every_recorded_line_is_understood() {
        for name in ["2.8.0", "2.26.3", "2.34.8", "remote"] {
            let Some(log) = stream(name) else { return };
            for line in log.split_inclusive(|b| *b == b'\n') {
                let message = Message::read(line);
                assert!(!matches!(message, Message::Unknown(_)), "{name}: {}", String::from_utf8_lossy(line));
                // `time` wrote below the streams; nothing else is plain.
                if let Message::Plain(text) = &message {
                    assert!(text.is_empty() || text.contains("\t"), "{name}: {text}");
                }
            }
        }
    }

    #[test]
    fn unknown_things_are_kept() {
        assert!(matches!(Message::read(b"@nix {\"action\":\"dance\",\"id\":1}\n"), Message::Unknown(_)));
        assert!(matches!(Message::read(b"@nix {\"action\":\"sta"), Message::Unknown(_)));
        assert!(matches!(Message::read(b"@nix \xff"), Message::Unknown(_)));
        assert!(matches!(Message::read(b"plain \xff"), Message::Plain(_)));
        let start = Message::read(
            br#"@nix {"action":"start","id":7,"type":999,"level":3,"text":"a\nb","fields":[1,"x",-1,2.5,null,[1],{"a":1}],"new":{}}"#,
        );
        let Message::Start { kind: 999, fields, text, .. } = start else { panic!("{start:?}") };
        assert_eq!(text, "a\nb");
        assert_eq!(fields[..2], [Field::Int(1), Field::Text("x".into())]);
        assert!(fields[2..].iter().all(|f| matches!(f, Field::Other(_))));
    }

    proptest! {
        #[test]
        fn any_line_is_read(line in prop::collection::vec(any::<u8>(), 0..60), prefix in any::<bool>()) {
            let line = if prefix { [PREFIX, &line].concat() } else { line };
            let _ = Message::read(&line);
        }
    }
}
