//! overlayctl: patched packages in Nix overlays, from the patch file to the proven cross build.
//!
//! The rooms and the arrows between them (`A -> B`: A imports B; `tests/layers.rs` fails on any other):
//!
//! ```text
//! main -> cli -> { ops, report, config }
//!                ops -> { deploy, verify, comparison, queue, targets, pin, and what these stand on }
//!                deploy -> { verify, nix, cross, config }
//!                pin -> { config, nix }
//!                verify -> { comparison, queue, targets, cross, graph, nix, patch }
//!                comparison -> { queue, targets, graph, nix, git }
//!                queue -> { targets, overlay, patch, nix, git }
//!                targets -> { config, nix, git, syntax }
//!                report -> { view, ops and the rooms whose types its outcomes carry }
//!                overlay -> syntax      graph -> drv      nix -> { drv, syntax }      config -> cross
//!                everything -> base
//! ```
//!
//! `graph` never imports `nix`: it is handed derivations. Nothing outside `nix` and `base::process` starts a
//! process; nothing outside `base::fs` writes a file; nothing outside `cli` prints.

pub mod base;
pub mod cli;
pub mod comparison;
pub mod config;
pub mod cross;
pub mod deploy;
pub mod drv;
pub mod git;
pub mod graph;
pub mod nix;
pub mod ops;
pub mod overlay;
pub mod patch;
pub mod pin;
pub mod queue;
pub mod report;
pub mod syntax;
pub mod targets;
pub mod verify;
pub mod view;
