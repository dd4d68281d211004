//! Why something cannot be deployed.

use crate::base::diagnostic::{Coded, Origin, Verdict};
use crate::base::fs::FsError;
use crate::base::process::ProcessError;
use crate::base::text::plural;
use crate::{cross, nix, verify};

#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error(transparent)]
    Fs(#[from] FsError),
    #[error(transparent)]
    Nix(#[from] nix::Error),
    #[error(transparent)]
    Cross(#[from] cross::Error),
    #[error(transparent)]
    Verify(#[from] verify::Error),
    #[error("ssh cannot be run")]
    Ssh(#[from] ProcessError),
    #[error("{address} does not answer")]
    Unreachable { address: String, said: String },
    #[error("the host key of {address} is not the one that ssh knows")]
    HostKey { address: String, said: String },
    /// A script on the board ended with a failure.
    #[error("{address}: {said}")]
    Board { address: String, said: String },
    #[error("{address} answered what no board of overlayctl says: {what}")]
    Garbage { address: String, what: String },
    #[error("another deploy holds {address}: {who}")]
    Busy { address: String, who: String },
    #[error("{address} cannot be deployed to: {why}")]
    Unfit { address: String, why: String, hint: Option<String> },
    /// The gate: a file of the closure cannot run on the board.
    #[error("{path}: {why}{}", more(*others))]
    Gate { path: String, why: String, chain: Vec<String>, others: usize },
    #[error("{first} and {second} both have a program `{name}`")]
    SameProgram { name: String, first: String, second: String },
    #[error("{address} has nothing to go back to")]
    NoGeneration { address: String, wanted: Option<u32>, has: Vec<u32> },
    #[error("`{target}` is not on {address}")]
    NotThere { target: String, address: String, has: Vec<String> },
    /// The switch was undone.
    #[error("generation {generation} was taken back: {why}")]
    TakenBack { generation: u32, why: String, printed: String },
    /// The new generation could not be confirmed, and how that ended cannot be seen from here.
    #[error("{address} does not answer since the switch to generation {generation}")]
    Lost { address: String, generation: u32, seconds: u64, said: String },
    #[error("not deployed: {why}")]
    NotProven { why: String },
}

fn more(others: usize) -> String {
    if others == 0 { String::new() } else { format!(" (and {} more like it)", plural(others, "file")) }
}

impl Coded for Error {
    fn origin(&self) -> Origin<'_> {
        match self {
            Error::Fs(e) => Origin::Below(e),
            Error::Nix(e) => Origin::Below(e),
            Error::Cross(e) => Origin::Below(e),
            Error::Verify(e) => Origin::Below(e),
            Error::Ssh(_) | Error::Unreachable { .. } => Origin::Here("OV1273"),
            Error::HostKey { .. } => Origin::Here("OV1274"),
            Error::Board { .. } | Error::Garbage { .. } => Origin::Here("OV1275"),
            Error::Busy { .. } => Origin::Here("OV1276"),
            Error::Unfit { .. } => Origin::Here("OV1277"),
            Error::Gate { .. } => Origin::Here("OV1278"),
            Error::SameProgram { .. } => Origin::Here("OV1279"),
            Error::NoGeneration { .. } | Error::NotThere { .. } => Origin::Here("OV1280"),
            Error::TakenBack { .. } => Origin::Here("OV1281"),
            Error::Lost { .. } => Origin::Here("OV1282"),
            Error::NotProven { .. } => Origin::Here("OV1283"),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Error::Ssh(_) => Some("install OpenSSH's client (Debian: apt install openssh-client)".into()),
            Error::Unreachable { address, .. } => {
                Some(format!("`ssh {address} true` must work without a question: a key, an agent, a known host"))
            }
            Error::HostKey { .. } => Some(
                "if the board was set up anew, take its old key out with `ssh-keygen -R HOST`; else do not connect"
                    .into(),
            ),
            Error::Gate { chain, .. } if chain.len() > 1 => Some(format!("it is needed by: {}", chain.join(" <- "))),
            Error::Unfit { hint, .. } => hint.clone(),
            Error::SameProgram { .. } => Some("deploy one of them, or `overlayctl undeploy` the other first".into()),
            Error::NoGeneration { has, .. } if has.is_empty() => Some("nothing was confirmed there before".into()),
            Error::NoGeneration { has, .. } => {
                Some(format!("it has {}", has.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")))
            }
            Error::NotThere { has, .. } if has.is_empty() => Some("there is nothing on it".into()),
            Error::NotThere { has, .. } => Some(format!("it has {}", has.join(", "))),
            Error::Lost { seconds, .. } => Some(format!(
                "the board goes back by itself {seconds} s after the switch; `overlayctl rollback` or `deploy` shows what it runs"
            )),
            Error::NotProven { .. } => Some(
                "`overlayctl verify --board NAME --verbose` says all; --allow-unknown lets pass what cannot be known"
                    .into(),
            ),
            _ => self.below().and_then(Coded::hint),
        }
    }

    fn detail(&self) -> Option<String> {
        match self {
            Error::Unreachable { said, .. } | Error::HostKey { said, .. } | Error::Lost { said, .. } => {
                Some(said.clone())
            }
            Error::TakenBack { printed, .. } if !printed.is_empty() => Some(printed.clone()),
            _ => self.below().and_then(Coded::detail),
        }
    }

    fn verdict(&self) -> Verdict {
        match self {
            Error::Busy { .. }
            | Error::HostKey { .. }
            | Error::Unfit { .. }
            | Error::Gate { .. }
            | Error::SameProgram { .. }
            | Error::NoGeneration { .. }
            | Error::NotThere { .. }
            | Error::TakenBack { .. }
            | Error::NotProven { .. } => Verdict::No,
            _ => self.below().map_or(Verdict::Error, Coded::verdict),
        }
    }
}
