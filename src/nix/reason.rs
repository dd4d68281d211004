//! Why a derivation was not built, read from Nix's words.
//!
//! The wordings are those of Nix 2.8 to 2.34; what is not recognised is [`Reason::Other`] with the first line. Must not
//! keep state.

use serde::Serialize;

/// Why a build failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Reason {
    /// The builder ended with a status other than 0.
    Exit { status: i32 },
    /// The builder was ended by a signal.
    Signal {
        /// The signal, as Nix says it.
        signal: String,
    },
    /// A fixed-output derivation gave something else.
    HashMismatch { specified: String, got: String },
    /// It took longer than it may, or was silent for too long.
    TimedOut { message: String },
    /// An output was not made.
    NoOutput { output: String },
    /// A second build gave something else (`--check`).
    NotDeterministic,
    /// What it needs failed.
    Dependencies { count: u64 },
    /// There was no room.
    DiskFull,
    /// The connection to the machine that built it was lost.
    MachineLost { host: String, message: String },
    /// No machine can or may build it.
    NoMachine { message: String },
    /// Anything else.
    Other {
        /// Nix's words, the first line.
        message: String,
    },
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Reason::Exit { status } => write!(f, "its builder ended with status {status}"),
            Reason::Signal { signal } => write!(f, "its builder was ended by signal {signal}"),
            Reason::HashMismatch { specified, got } => write!(f, "hash mismatch: specified {specified}, got {got}"),
            Reason::TimedOut { message } | Reason::NoMachine { message } | Reason::Other { message } => {
                f.write_str(message)
            }
            Reason::NoOutput { output } => write!(f, "it did not make its output '{output}'"),
            Reason::NotDeterministic => f.write_str("a second build gave another result"),
            Reason::Dependencies { count: 1 } => f.write_str("1 dependency failed"),
            Reason::Dependencies { count } => write!(f, "{count} dependencies failed"),
            Reason::DiskFull => f.write_str("the disk is full"),
            Reason::MachineLost { host, message } => write!(f, "lost the connection to {host}: {message}"),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failure {
    #[serde(flatten)]
    pub reason: Reason,
    /// Nix's message whole, without control sequences.
    #[serde(skip)]
    pub message: String,
}

/// Reads an error message of Nix that is about one derivation; the wordings of 2.8 to 2.34.
pub(super) fn read_failure(message: &str) -> Option<(String, Failure)> {
    let text = message.trim_start_matches("error:").trim_start();
    // The summary at the end: `build of 'a.drv', 'b.drv' failed`. A remote build's own failure says `on 'HOST'`.
    if text.starts_with("build of ") && !text.contains("' on '") {
        return None;
    }
    let (_, rest) = text.split_once('\'')?;
    let (quoted, _) = rest.split_once('\'')?;
    // `x.drv`, `x.drv!out` (2.8), `x.drv^out` (2.14 and later).
    let drv = quoted.split(['!', '^']).next().filter(|d| d.ends_with(".drv"))?;
    Some((drv.to_string(), Failure { reason: read_reason(text), message: message.trim().to_string() }))
}

fn read_reason(text: &str) -> Reason {
    let after = |needle: &str| text.split_once(needle).map(|(_, rest)| rest.trim_start());
    let number = |rest: &str| rest.chars().take_while(char::is_ascii_digit).collect::<String>().parse::<i64>().ok();
    let first_line = || text.lines().next().unwrap_or_default().trim().to_string();
    let line_with = |needle: &str| {
        let line = text.lines().find(|l| l.contains(needle)).unwrap_or(text);
        line.trim().trim_start_matches("Reason:").trim().to_string()
    };
    if let Some(status) = after("failed with exit code").and_then(number).and_then(|n| i32::try_from(n).ok()) {
        return Reason::Exit { status };
    }
    if let Some(rest) = after("failed due to signal") {
        return Reason::Signal {
            signal: rest.lines().next().unwrap_or_default().trim_end_matches(['.', ';']).to_string(),
        };
    }
    if text.contains("hash mismatch in fixed-output") {
        let value = |name: &str| after(name).and_then(|r| r.split_whitespace().next()).unwrap_or_default().to_string();
        return Reason::HashMismatch { specified: value("specified:"), got: value("got:") };
    }
    if text.contains("timed out after") {
        return Reason::TimedOut { message: line_with("timed out after") };
    }
    if let Some(rest) = after("failed to produce output path for output '") {
        return Reason::NoOutput { output: rest.split('\'').next().unwrap_or_default().to_string() };
    }
    if text.contains("may not be deterministic") {
        return Reason::NotDeterministic;
    }
    for words in [" dependencies of derivation ", " dependencies failed", " dependency failed"] {
        if let Some((before, _)) = text.split_once(words) {
            let digits = before.rsplit(|c: char| !c.is_ascii_digit()).next().unwrap_or_default();
            return Reason::Dependencies { count: digits.parse().unwrap_or(1) };
        }
    }
    if text.contains("No space left on device") || text.contains("disk is full") {
        return Reason::DiskFull;
    }
    if text.contains("required to build")
        || text.contains("Failed to find a machine")
        || text.contains("Required system")
        || text.contains("local builds are disabled")
    {
        return Reason::NoMachine { message: first_line() };
    }
    Reason::Other { message: first_line() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nix::log::tests::recorded;

    #[test]
    fn the_recorded_error_texts() {
        let Some(logs) = recorded() else { return };
        for version in ["2.8.0", "2.26.3", "2.34.8"] {
            let read = |name: &str| {
                let text = std::fs::read_to_string(logs.join(format!("v-{version}/{name}"))).unwrap();
                let (_, error) = text.split_once("error:").unwrap();
                read_failure(&format!("error:{}", error.split_once("\nrc=").map_or(error, |(e, _)| e)))
            };
            let (drv, failure) = read("fail-hashm.txt").unwrap();
            assert!(drv.ends_with("-hm.drv"));
            let Reason::HashMismatch { specified, got } = failure.reason else { panic!("{version}") };
            assert!(specified.starts_with("sha256-AAAA") && got.starts_with("sha256-") && got != specified);
            assert_eq!(read("fail-noout.txt").unwrap().1.reason, Reason::NoOutput { output: "out".into() });
            // 2.34 does not name the derivation; what was running then is known from the activities.
            if version != "2.34.8" {
                let (drv, failure) = read("fail-slow.txt").unwrap();
                assert!(drv.ends_with("-slow.drv"), "{drv}");
                assert!(matches!(failure.reason, Reason::TimedOut { .. }), "{version}");
            }
        }
    }

    /// 2.34 tells of each derivation what 2.8 says once for all: that nothing here may build and nobody else can.
    #[test]
    fn no_machine_is_no_failure_of_a_builder() {
        let text = "error: Cannot build '/nix/store/a.drv'.\n       Reason: local builds are disabled (max-jobs = 0)\n       Hint: set";
        let (drv, failure) = read_failure(text).unwrap();
        assert_eq!(drv, "/nix/store/a.drv");
        assert!(matches!(failure.reason, Reason::NoMachine { .. }), "{failure:?}");
    }

    #[test]
    fn the_summary_at_the_end_is_no_failure_of_its_own() {
        assert_eq!(read_failure("error: build of '/nix/store/a.drv', '/nix/store/b.drv' failed"), None);
        let (drv, failure) = read_failure(
            "error: build of '/nix/store/a.drv' on 'ssh://b' failed: builder for '/nix/store/a.drv' failed with exit code 4;",
        )
        .unwrap();
        assert_eq!((drv.as_str(), failure.reason), ("/nix/store/a.drv", Reason::Exit { status: 4 }));
        let (_, failure) =
            read_failure("error: builder for '/nix/store/a.drv' failed due to signal 9 (Killed)").unwrap();
        assert_eq!(failure.reason, Reason::Signal { signal: "9 (Killed)".into() });
    }
}
