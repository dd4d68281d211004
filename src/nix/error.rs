//! What can go wrong with Nix, and what to do about it.

use std::path::{Path, PathBuf};

use super::failure::{EvalFailure, FailureKind, last_line};
use super::program::Version;
use super::unbuilt::Unbuilt;
use crate::base::diagnostic::{Coded, Origin, Verdict};
use crate::base::fs::FsError;
use crate::base::process::{Finished, ProcessError, strip_controls};
use crate::base::span::Place;

/// Why Nix did not do what was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("{program} is not installed (not found on PATH)")]
    NoNix { program: String },
    #[error("Nix {found} is too old, overlayctl needs {} or later", Version::MINIMUM)]
    TooOld { found: Version },
    #[error("{what} does not evaluate: {}", failure.message)]
    Eval { what: String, failure: Box<EvalFailure> },
    #[error("{} failed to build: {reason}", crate::base::store_path::drv_name(drv_path))]
    BuildFailed {
        /// The first that failed.
        drv_path: String,
        reason: String,
    },
    /// Something that is needed on the way would have to be built, and that was not asked for.
    #[error("{what} would have to be built first: {unbuilt}")]
    WouldBuild { what: String, unbuilt: Box<Unbuilt> },
    #[error("the Nix store is locked: {message}")]
    StoreLocked { message: String },
    #[error("the Nix store is damaged: {message}")]
    StoreCorrupt { message: String },
    /// The daemon or a remote store does not answer, or does not allow it.
    #[error("the Nix daemon or store refused: {message}")]
    Refused { message: String },
    #[error("you may not use the Nix daemon: {message}")]
    NotAllowed {
        message: String,
        /// The group whose members may, when the system tells.
        group: Option<String>,
    },
    #[error("the disk is full: {message}")]
    DiskFull { message: String },
    #[error("interrupted")]
    Interrupted,
    /// A piece of Nix text of the user's cannot be used.
    #[error("cannot use `{text}`: {reason}")]
    BadExpression { text: String, reason: &'static str },
    #[error("the Nix evaluator ended before it answered ({how}){}", last_words(printed))]
    EvaluatorDied { how: String, printed: String },
    #[error("the Nix evaluator gave no answer within {seconds} s")]
    EvaluatorHung {
        /// The time it had, in seconds.
        seconds: u64,
    },
    #[error("cannot read what {program} answered: {reason}")]
    Garbage {
        program: String,
        reason: String,
        /// What it answered, the beginning.
        answer: String,
    },
    #[error("{program} failed: {message}")]
    Failed {
        program: String,
        /// Nix's message, the first line of the error.
        message: String,
        printed: String,
    },
    /// Everything was built, but a link to a result could not be made.
    #[error("cannot link {}: {message}", link.display())]
    NoLink { link: PathBuf, message: String },
    #[error("cannot run Nix")]
    Process { source: ProcessError },
    /// A file of our own could not be written.
    #[error("cannot prepare for Nix")]
    File { source: FsError },
}

impl From<ProcessError> for Error {
    fn from(source: ProcessError) -> Error {
        match source {
            ProcessError::Interrupted => Error::Interrupted,
            ProcessError::Start { program, source } if source.kind() == std::io::ErrorKind::NotFound => {
                Error::NoNix { program: program.display().to_string() }
            }
            source => Error::Process { source },
        }
    }
}

impl From<FsError> for Error {
    fn from(source: FsError) -> Error {
        Error::File { source }
    }
}

impl Error {
    /// Returns all that Nix printed, for `-v`.
    pub fn detail(&self) -> Option<&str> {
        match self {
            Error::Eval { failure, .. } => Some(&failure.full),
            Error::EvaluatorDied { printed, .. } | Error::Failed { printed, .. } => Some(printed),
            Error::Garbage { answer, .. } => Some(answer),
            _ => None,
        }
    }

    /// Makes the error of a command that ended well and said nothing of what it was asked.
    pub fn no_answer(program: &str, about: &str) -> Error {
        let reason = format!("it said nothing of `{about}`");
        Error::Garbage { program: program.to_string(), reason, answer: String::new() }
    }

    /// Makes the error of a command of Nix that ended with another status than 0.
    pub(super) fn of_command(program: &Path, finished: &Finished) -> Error {
        Error::of_text(program, &String::from_utf8_lossy(&finished.stderr))
    }

    /// Makes the error of what a command of Nix printed.
    pub(super) fn of_text(program: &Path, printed: &str) -> Error {
        let printed = strip_controls(printed).trim().to_string();
        let failure = EvalFailure::read(&printed);
        let message = failure.message;
        if let Some(error) = Error::of_store(&printed, &message) {
            return error;
        }
        Error::Failed { program: program_name(program), message, printed }
    }

    /// Makes the error of an evaluator that ended: often it says why.
    pub(super) fn of_dead_evaluator(how: String, printed: String) -> Error {
        let message = EvalFailure::read(&printed).message;
        Error::of_store(&printed, &message).unwrap_or(Error::EvaluatorDied { how, printed })
    }

    /// Makes the error of what Nix printed when it is about the store, the daemon or the disk.
    fn of_store(printed: &str, message: &str) -> Option<Error> {
        let message = message.to_string();
        let has = |needle: &str| printed.contains(needle);
        Some(if has("No space left on device") || has("database or disk is full") {
            Error::DiskFull { message }
        } else if has("database disk image is malformed") || has("is corrupted") || has("file is not a database") {
            Error::StoreCorrupt { message }
        } else if has("is busy") && has("SQLite") || has("database is locked") {
            Error::StoreLocked { message }
        } else if has("daemon-socket") && has("Permission denied") {
            Error::NotAllowed { message, group: group_of_the_daemon() }
        } else if has("cannot connect to")
            || has("opening lock file")
            || has("Connection refused")
            || has("you are not privileged")
            || has("cannot open connection to remote store")
            || has("because you are not a trusted user")
            || has("creating directory '/nix")
        {
            Error::Refused { message }
        } else if has("interrupted by the user") {
            Error::Interrupted
        } else {
            return None;
        })
    }
}

/// Returns the end of a message: the last line that Nix printed.
fn last_words(printed: &str) -> String {
    last_line(printed).map_or(String::new(), |line| format!(": {line}"))
}

/// Returns the name of the group that may enter the directory of the daemon's socket.
fn group_of_the_daemon() -> Option<String> {
    use std::os::unix::fs::MetadataExt as _;
    let id = std::fs::metadata("/nix/var/nix/daemon-socket").ok()?.gid().to_string();
    let groups = crate::base::fs::read_text(Path::new("/etc/group")).ok()?;
    let group = groups.lines().find(|line| line.split(':').nth(2) == Some(id.as_str()))?;
    group.split(':').next().filter(|name| *name != "root").map(str::to_string)
}

impl Coded for Error {
    fn detail(&self) -> Option<String> {
        match self {
            Error::WouldBuild { unbuilt, .. } => Some(unbuilt.builds.join("\n")),
            _ => self.detail().map(str::to_string),
        }
    }

    fn origin(&self) -> Origin<'_> {
        match self {
            Error::NoNix { .. } => Origin::Here("OV0501"),
            Error::TooOld { .. } => Origin::Here("OV0502"),
            Error::Eval { .. } => Origin::Here("OV0503"),
            Error::BuildFailed { .. } => Origin::Here("OV0504"),
            Error::StoreLocked { .. } => Origin::Here("OV0505"),
            Error::StoreCorrupt { .. } => Origin::Here("OV0506"),
            Error::Refused { .. } => Origin::Here("OV0507"),
            Error::NotAllowed { .. } => Origin::Here("OV0519"),
            Error::DiskFull { .. } => Origin::Here("OV0508"),
            Error::Interrupted => Origin::Here("OV0509"),
            Error::BadExpression { .. } => Origin::Here("OV0511"),
            Error::EvaluatorDied { .. } => Origin::Here("OV0512"),
            Error::EvaluatorHung { .. } => Origin::Here("OV0513"),
            Error::Garbage { .. } => Origin::Here("OV0514"),
            Error::Failed { .. } => Origin::Here("OV0515"),
            Error::Process { .. } => Origin::Here("OV0516"),
            Error::File { .. } => Origin::Here("OV0517"),
            Error::NoLink { .. } => Origin::Here("OV0518"),
            Error::WouldBuild { .. } => Origin::Here("OV0520"),
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Error::NoNix { .. } => {
                "install Nix: `apt install nix-bin nix-setup-systemd` on Debian, or https://nixos.org/download; then run it again".into()
            }
            Error::TooOld { .. } => "install a newer Nix beside it and put it first on PATH".into(),
            Error::Eval { failure, .. } if !failure.near.is_empty() => {
                format!("did you mean {}?", failure.near.join(", "))
            }
            Error::Eval { failure, .. } => match failure.kind {
                FailureKind::Refused => {
                    "allow it in the `config` of the workspace (allowUnfree, allowBroken, permittedInsecurePackages, \
                     allowUnsupportedSystem) or choose another target"
                        .into()
                }
                FailureKind::InfiniteRecursion => {
                    "does an overlay use `final` where it should use `prev`, or patch what its own patching needs?"
                        .into()
                }
                FailureKind::MissingFile => "is the file added to git? a flake sees only files that git knows".into(),
                _ => "`-v` shows the whole message of Nix".into(),
            },
            Error::BuildFailed { drv_path, .. } => format!("see the whole log with `nix-store --read-log {drv_path}`"),
            Error::WouldBuild { .. } => {
                "--build builds it (for `status` and `verify`: `overlayctl check --build`); a binary cache that has it spares that"
                    .into()
            },
            Error::StoreLocked { .. } => "another Nix is at work; wait for it to end and run it again".into(),
            Error::StoreCorrupt { .. } => "`nix-store --verify --check-contents` says more; `--repair` mends".into(),
            Error::Refused { .. } => {
                "is the daemon running? `sudo systemctl start nix-daemon` starts it".into()
            }
            Error::NotAllowed { group, .. } => format!(
                "`sudo usermod -aG {} $USER`, then log in again (or `newgrp`)",
                group.as_deref().unwrap_or("nix-users")
            ),
            Error::DiskFull { .. } => "`nix-collect-garbage` frees room; what was built so far is kept".into(),
            Error::EvaluatorDied { .. } => {
                "out of memory? fewer `--eval-workers` or a smaller `--max-memory` help".into()
            }
            Error::Garbage { .. } => "`-v` shows the answer; is the `nix` on PATH really Nix?".into(),
            Error::NoLink { .. } => {
                "the result is in the store and can be collected as garbage; link it elsewhere".into()
            }
            Error::Failed { message, .. } if message.contains("'build-users-group' does not exist") => {
                "as root Nix builds as users of that group: on Debian `apt install nix-setup-systemd` makes them; or go on without, \
                 with `build-users-group =` in nix.conf"
                    .into()
            }
            Error::Failed { .. } => "`-v` shows all that Nix printed".into(),
            Error::Interrupted
            | Error::BadExpression { .. }
            | Error::EvaluatorHung { .. }
            | Error::Process { .. }
            | Error::File { .. } => return None,
        })
    }

    fn place(&self) -> Option<Place> {
        match self {
            Error::Eval { failure, .. } => failure.place.as_deref().cloned(),
            Error::File { source } => source.place(),
            _ => None,
        }
    }

    fn source_line(&self) -> Option<String> {
        let place = self.place()?;
        let text = crate::base::fs::read_text(&place.path).ok()?;
        let span = crate::base::span::line_span(&text, place.line_col?.line)?;
        text.get(span.range()).map(str::to_string)
    }

    fn verdict(&self) -> Verdict {
        match self {
            Error::BuildFailed { .. } | Error::WouldBuild { .. } => Verdict::No,
            _ => Verdict::Error,
        }
    }
}

/// Returns the name of a program for messages.
pub(super) fn program_name(program: &Path) -> String {
    program.file_name().map_or_else(|| program.display().to_string(), |n| n.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nix_prints_becomes_the_right_error() {
        let code = |text: &str| Error::of_text(Path::new("/bin/nix-store"), text).code();
        assert_eq!(code("error: writing to file: No space left on device"), "OV0508");
        assert_eq!(
            code("error: cannot connect to socket at '/nix/var/nix/daemon-socket/socket': Connection refused"),
            "OV0507"
        );
        let denied = "error: cannot connect to socket at '/nix/var/nix/daemon-socket/socket': Permission denied";
        assert_eq!(code(denied), "OV0519");
        let died = Error::of_dead_evaluator("exit status: 1".into(), denied.into());
        assert_eq!(died.code(), "OV0519");
        assert!(died.hint().unwrap().contains("usermod -aG"), "{:?}", died.hint());
        let killed = Error::of_dead_evaluator("signal: 9 (SIGKILL)".into(), "warning: x\nterminate called\n".into());
        assert!(killed.to_string().ends_with(": terminate called"), "{killed}");
        assert_eq!(code("error: opening lock file '/nix/var/nix/db/big-lock': Permission denied"), "OV0507");
        assert_eq!(code("error: executing SQLite query: database disk image is malformed"), "OV0506");
        assert_eq!(code("error (ignored): SQLite database '/nix/var/nix/db/db.sqlite' is busy"), "OV0505");
        assert_eq!(code("error: path '/nix/store/x' is not valid"), "OV0515");
        assert_eq!(code(""), "OV0515");
        let root = "error: the group 'nixbld' specified in 'build-users-group' does not exist";
        let hint = Error::of_text(Path::new("nix-store"), root).hint().unwrap();
        assert!(hint.contains("nix-setup-systemd"), "{hint}");
    }
}
