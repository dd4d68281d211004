//! What the workspace as it is is compared with: without its overlays, as it was at a revision, without one package's
//! patches. The last two are copies of the workspace in a temporary directory.

use crate::comparison::Error;
use crate::config::Workspace;
use crate::overlay::{self, AttrPath};
use crate::queue::aliases;
use crate::queue::copy::Copy;
use crate::queue::model::{Asking, Model};

/// What the workspace as it is is compared with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Baseline {
    /// The package set without its overlays.
    #[default]
    Unpatched,
    /// The workspace at a git revision.
    Revision {
        revision: String,
        /// Whether only its overlays count: pin, config, boards and targets are those of the workspace as it is.
        overlays_only: bool,
    },
    /// The overlays without the patches of one package.
    WithoutPackage(String),
}

impl std::fmt::Display for Baseline {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Baseline::Unpatched => write!(f, "the package set without the overlays"),
            Baseline::Revision { revision, overlays_only: true } => write!(f, "the overlays of {revision}"),
            Baseline::Revision { revision, .. } => write!(f, "the workspace at {revision}"),
            Baseline::WithoutPackage(attr) => write!(f, "the overlays without the patches of {attr}"),
        }
    }
}

impl Baseline {
    /// Returns the error for what fails on this side, be it one target.
    pub(super) fn failed(&self, target: Option<&str>, error: impl Into<Error>) -> Error {
        match self {
            Baseline::Revision { revision, .. } => Error::Before {
                revision: revision.clone(),
                target: target.map(str::to_owned),
                source: Box::new(error.into()),
            },
            _ => error.into(),
        }
    }

    /// Makes the copy of the workspace that the baseline is; `None` where the overlays are only left out, unless the user's
    /// own code wires them in.
    ///
    /// # Errors
    /// Those of git, of copying, and of taking the patches off; [`crate::queue::Error::NotPatched`].
    pub(crate) fn copy(
        &self,
        workspace: &Workspace,
        own_code: bool,
        nixpkgs: Option<&str>,
    ) -> Result<Option<Copy>, Error> {
        let model = || Model::read(workspace, Asking { nixpkgs, offline: false });
        Ok(match self {
            Baseline::Unpatched if !own_code => None,
            // Where nothing is patched the other side is the workspace itself.
            Baseline::Unpatched => match Copy::without(workspace, None, &model()?)? {
                Some(copy) => Some(copy),
                None => Some(Copy::with(workspace, &[], &[])?),
            },
            Baseline::Revision { revision, .. } => Some(Copy::at_revision(workspace, revision)?),
            Baseline::WithoutPackage(attr) => {
                let attr = AttrPath::parse(attr).map_err(overlay::Error::from)?;
                let model = model()?;
                let mut copy = Copy::without(workspace, Some(&attr), &model)?;
                if copy.is_none()
                    && let Some(bound) = aliases::owner(workspace, nixpkgs, &attr, false)?
                {
                    copy = Copy::without(workspace, Some(&bound), &model)?;
                }
                match copy {
                    Some(copy) => Some(copy),
                    None => {
                        let patched = model.packages.iter().map(|package| package.attr.to_string()).collect();
                        return Err(crate::queue::Error::NotPatched { attr, patch: None, patched }.into());
                    }
                }
            }
        })
    }
}
