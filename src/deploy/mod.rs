//! Deploying to a device that has a POSIX shell, tar and an ssh server, and no Nix.
//!
//! The one way in is [`Session::open`], for a [`Device`](crate::config::Device) of the workspace; `ops/deploy.rs`, `ops/rollback.rs` and
//! `ops/undeploy.rs` call it. [`Closure::examine`] is the gate on this machine: what a target needs to run, or why it cannot run
//! on the board. [`Session`] looks at the board ([`Found`]), holds its lock ([`Held`]), sends what is missing, switches,
//! confirms, removes. [`Record`] is what is kept of a generation, [`Entry`] a line of the ledger.
//!
//! What runs on the board are the fixed scripts in `scripts/`; data reaches them as arguments, which `quote` writes, or on standard
//! input. Below the root of the device:
//!
//! | name | what it is |
//! |---|---|
//! | `store/` | store paths, each put in place by one rename after its files were checked by hash |
//! | `generations/N/` | `bin/` with links to programs, `paths`, `record`, the commands of the workspace |
//! | `current` | a link to a generation, replaced by one rename: programs stand at `current/bin/X` |
//! | `pending/` | there from the switch until it is confirmed or undone; `last/` says how the last one ended |
//! | `lock/`, `ledger`, `made` | who is at work; who deployed what; the directories that did not exist before |
//! | `switch`, `at-boot` | the script that outlives the connection; what an init may call to settle at boot |
//!
//! A program that names store paths finds them because each is linked at its place in `/nix/store`. Must not build, and must not
//! print.

mod board;
mod error;
mod gate;
mod pack;
mod quote;
mod record;
mod session;
mod ssh;

pub use board::Found;
pub use error::Error;
pub use gate::Closure;
pub use record::{Entry, Placed, Record, by_whom, commands, now};
pub use session::{Ending, Held, Sent, Session};
