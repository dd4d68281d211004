//! The options that name targets, shared by the commands that have them.

use crate::ops::Baseline;
use crate::ops::Selection;

/// Where targets come from, without the targets themselves.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Package set and targets")]
pub(crate) struct SetArgs {
    /// Package set: a checkout of nixpkgs, `<nixpkgs>`, or `flake:INPUT`
    #[arg(long, value_name = "PATH")]
    nixpkgs: Option<String>,
    /// Cross-compile for this platform, a name of pkgsCross
    #[arg(long, value_name = "NAME")]
    cross: Option<String>,
    /// Link statically (pkgsStatic)
    #[arg(long = "static")]
    is_static: bool,
    /// Take platform and packages from this board of overlayctl.toml; `all` for every board
    #[arg(long = "board", value_name = "NAME")]
    boards: Vec<String>,
    /// Refuse to build anything in order to evaluate (import from derivation)
    #[arg(long)]
    no_import_from_derivation: bool,
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
            no_import_from_derivation: self.no_import_from_derivation,
            ..Selection::default()
        }
    }
}

/// What the workspace is compared with.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "What to compare with")]
pub(crate) struct BaselineArgs {
    /// Compare with the workspace at this git revision (overlays, pin, config, boards) instead of without overlays
    #[arg(long, value_name = "REV")]
    against: Option<String>,
    /// With --against: only the overlays of the revision count
    #[arg(long, requires = "against")]
    overlays_only: bool,
    /// Compare with the workspace without the patches of this package
    #[arg(long, value_name = "ATTR", conflicts_with = "against")]
    package: Option<String>,
}

impl BaselineArgs {
    /// Returns what the workspace is compared with.
    pub(crate) fn baseline(self) -> Baseline {
        match (self.against, self.package) {
            (Some(revision), _) => Baseline::Revision { revision, overlays_only: self.overlays_only },
            (None, Some(attr)) => Baseline::WithoutPackage(attr),
            (None, None) => Baseline::Unpatched,
        }
    }
}
