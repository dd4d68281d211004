//! The options that name targets, shared by the commands that have them.

use crate::ops::targets::Selection;

/// Where targets come from, without the targets themselves.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct SetArgs {
    /// The package set: a checkout of nixpkgs, `<nixpkgs>`, or `flake:INPUT`
    #[arg(long, value_name = "PATH")]
    nixpkgs: Option<String>,
    /// Cross builds for this platform, a name of pkgsCross
    #[arg(long, value_name = "NAME")]
    cross: Option<String>,
    /// Links statically (pkgsStatic)
    #[arg(long = "static")]
    is_static: bool,
    /// Takes platform and packages of this board of overlayctl.toml; `all` for every board
    #[arg(long = "board", value_name = "NAME")]
    boards: Vec<String>,
}

impl SetArgs {
    /// Returns the selection with these targets.
    pub(crate) fn selection(self, targets: Vec<String>) -> Selection {
        Selection {
            nixpkgs: self.nixpkgs,
            cross: self.cross,
            is_static: self.is_static,
            boards: self.boards,
            targets,
            ..Selection::default()
        }
    }
}
