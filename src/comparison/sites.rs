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
    /// Where it is in the workspace's own code, else.
    place: Option<Place>,
    pub targets: Vec<Target>,
}

/// Returns the sites of all that a selection names, in the order that a [`crate::comparison::Comparison`] has its targets in.
pub(crate) fn of(workspace: &Workspace, selection: &Selection) -> Result<Vec<Site>, Error> {
    in_state(workspace, workspace, selection, &|place| place.root(workspace))
}

/// As [`of`], in one state of the workspace with the overlays of another; `root_of` says where what is the workspace's own is evaluated.
pub(super) fn in_state(
    of: &Workspace,
    overlays_of: &Workspace,
    selection: &Selection,
    root_of: &dyn Fn(&Place) -> Result<Root, targets::Error>,
) -> Result<Vec<Site>, Error> {
    let (own, rest) = own::split(of, selection)?;
    let groups = rest.map_or(Ok(Vec::new()), |rest| targets::resolve_with(of, overlays_of, &rest))?;
    let composed = groups.into_iter().map(|group| Site {
        patched: Root::Packages(Box::new(group.patched.clone())),
        plain: Some(Root::Packages(Box::new(group.plain))),
        set: Some(group.patched),
        place: None,
        targets: group.targets,
    });
    let mut sites: Vec<Site> = composed.collect();
    for place in own.iter().map(|own| &own.place).collect::<BTreeSet<&Place>>() {
        let targets = own.iter().filter(|own| own.place == *place).map(|own| own.target.clone()).collect();
        sites.push(Site { patched: root_of(place)?, plain: None, set: None, place: Some(place.clone()), targets });
    }
    Ok(sites)
}

/// Sites with both sides, and the copy of the workspace that the unpatched side of its own code is read from.
pub(crate) struct BothSides {
    pub sites: Vec<Site>,
    _copy: Option<Copy>,
}

pub(crate) fn both_sides(workspace: &Workspace, selection: &Selection) -> Result<BothSides, Error> {
    let mut sites = of(workspace, selection)?;
    let is_own_code = sites.iter().any(|site| site.place.is_some());
    let copy = Baseline::Unpatched.copy(workspace, is_own_code, selection.nixpkgs.as_deref())?;
    for site in &mut sites {
        if let (Some(place), Some(copy)) = (&site.place, &copy) {
            site.plain = Some(place.root(&copy.workspace)?);
        }
    }
    Ok(BothSides { sites, _copy: copy })
}
