//! Sites: what the targets of a selection are attributes of. A package set that overlayctl composes, or the workspace's own
//! flake or file, where the user's code applies the overlays.

use std::collections::BTreeSet;

use crate::comparison::Error;
use crate::comparison::baseline::Baseline;
use crate::config::Workspace;
use crate::nix::{PackageSet, Root};
use crate::queue::copy::Copy;
use crate::targets::own::{self, Place};
use crate::targets::{self, Selection, Target};

/// Targets that are attributes of one thing.
#[derive(Debug)]
pub(crate) struct Site {
    /// What they are attributes of, as the workspace is.
    pub patched: Root,
    /// The same without the patches; `None` in the workspace's own code as long as nobody needs it.
    pub plain: Option<Root>,
    /// The package set, where overlayctl composes it.
    pub set: Option<PackageSet>,
    pub targets: Vec<Target>,
}

/// Returns the sites of all that a selection names, in the order that a [`crate::comparison::Comparison`] has its targets in.
pub(crate) fn of(workspace: &Workspace, selection: &Selection) -> Result<Vec<Site>, Error> {
    Ok(find(workspace, selection, None)?.0)
}

/// Sites with both sides, and the copy of the workspace that the unpatched side of its own code is read from.
pub(crate) struct BothSides {
    pub sites: Vec<Site>,
    _copy: Option<Copy>,
}

pub(crate) fn both_sides(workspace: &Workspace, selection: &Selection) -> Result<BothSides, Error> {
    let (sites, copy) = find(workspace, selection, Some(&Baseline::Unpatched))?;
    Ok(BothSides { sites, _copy: copy })
}

fn find(
    workspace: &Workspace,
    selection: &Selection,
    baseline: Option<&Baseline>,
) -> Result<(Vec<Site>, Option<Copy>), Error> {
    let (own, rest) = own::split(workspace, selection)?;
    let groups = rest.as_ref().map_or(Ok(Vec::new()), |rest| targets::resolve(workspace, rest))?;
    let mut sites: Vec<Site> = Vec::new();
    for group in groups {
        sites.push(Site {
            patched: Root::Packages(Box::new(group.patched.clone())),
            plain: Some(Root::Packages(Box::new(group.plain))),
            set: Some(group.patched),
            targets: group.targets,
        });
    }
    let copy = match baseline {
        Some(baseline) => baseline.copy(workspace, !own.is_empty(), selection.nixpkgs.as_deref())?,
        None => None,
    };
    let places: BTreeSet<&Place> = own.iter().map(|own| &own.place).collect();
    for place in places {
        let plain = copy.as_ref().map(|copy| place.root(&copy.workspace)).transpose()?;
        let targets = own.iter().filter(|own| own.place == *place).map(|own| own.target.clone()).collect();
        sites.push(Site { patched: place.root(workspace)?, plain, set: None, targets });
    }
    Ok((sites, copy))
}
