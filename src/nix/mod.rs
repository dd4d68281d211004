//! Nix as the engine: argument vectors, evaluation, instantiation, builds, the log, stores, builders.
//!
//! The one way in is [`Nix::discover`]; everything is a method of [`Nix`] or a plain value handed to one. This is the
//! only room that starts Nix. What differs between Nix versions (2.8 and later) is confined to it: what is needed is
//! read from what Nix answers, never from its version number. Must not hold policy: what to build, what to compare and
//! what to show is decided above.
//!
//! ```text
//! expression  package sets and targets as typed values, turned into Nix text
//! server      `nix repl` as an evaluation server: isolated failures, death, hanging, memory
//! answers     what it prints, read                reads  what an evaluation looked at, as the scope reads.nix and Nix say
//! instantiate targets of several sides to derivations     facts   what is asked of a package before a patch
//! sources     what packages are made from: sources, patches, hooks
//! pool        a whole package set over several servers
//! failure     Nix's evaluation errors, shortened           flake   outputs of flakes, without the copies
//! effect      which patches packages really have, in several sets
//! survey      which way a patch reaches the package, found by trying
//! log         one line of internal-json -> Message         state   Message -> BuildState, pure; reason: why a build failed
//! kept        answers between runs, while what they were made of stays
//! caches      which binary cache has a path
//! build       a build driven to its report                 store   validity, closures, logs, roots, copies
//! unbuilt     what would have to be built for something that is needed on the way
//! ```

mod answers;
mod build;
mod caches;
mod effect;
mod error;
mod expression;
mod facts;
mod failure;
mod flake;
mod instantiate;
mod kept;
pub mod log;
mod pins;
mod pool;
mod program;
mod reads;
mod reason;
mod server;
mod sources;
mod state;
mod store;
mod survey;
mod systems;
mod unbuilt;

pub use build::{BuildReport, BuildRequest, BuildResult, BuildSettings, Goal, Outcome};
pub use caches::{CachedPath, InCaches};
pub use effect::{Effect, EffectQuestion, Has, extended, nixos};
pub use error::Error;
pub use expression::{
    Cross, Fragment, Names, NixpkgsRef, Overlay, PackageSet, Root, attr_path_text, overlay_list, path_text, quoted,
};
pub use facts::{LIBC_NAMES, PackageFacts, Patches};
pub use failure::{EvalFailure, FailureKind};
pub use flake::{flake, flake_input, locked};
pub use instantiate::{Instantiated, Output, Side, SideResult};
pub use kept::{cache_dir, kept_answers, kept_files, trim_kept};
pub use pins::Tree;
pub use pool::{Evaluated, PoolSettings, PoolSummary};
pub use program::{Nix, Settings, Version};
pub use reads::{COPY, Reads, Watch};
pub use reason::{Failure, Reason};
pub use server::EvalServer;
pub use sources::{Input, PackageSource};
pub use state::{Build, BuildState, Change, Event, Fetch, Phase, Status};
pub use store::DryRun;
pub use survey::{Cargo, Environment, Kept, Name, Refetch, Removed, SetWay, Survey, TargetLibc, Vendored, Way};
pub use systems::System;
pub use unbuilt::{Building, Expected, Unbuilt};
