//! Evaluations in which every attribute of the package set carries a mark of its own name; see `graph/marks.rs`.

use super::Error;
use crate::graph::{self, MARK};
use crate::nix::{Fragment, Nix, Overlay, Root, Side, SideResult};

/// Returns the overlay that marks every package. What an attribute has beside its derivation (`mysql.connector-c`) stays.
fn overlay() -> Result<Overlay, Error> {
    let text = format!(
        "final: prev: let mark = name: value: if builtins.isAttrs value && value ? overrideAttrs && (value.type or null) == \
         \"derivation\" then value // value.overrideAttrs (old: {{ {MARK} = (old.{MARK} or \"\") + \" \" + name; }}) else value; in \
         builtins.mapAttrs mark (builtins.removeAttrs prev [ \"lib\" \"stdenv\" \"config\" \"overlays\" ])"
    );
    Ok(Overlay::Expression(Fragment::parse(text)?))
}

/// The derivations of one side with marks: `None` for a target that has none with them.
pub(super) type MarkedRoots = Vec<graph::Root>;

/// Instantiates sides that are package sets as they are, and beside them the first `marked` targets of each with marks.
///
/// A set that cannot be marked has no marked derivations; that is no error.
pub(super) fn instantiate(
    nix: &Nix,
    sides: Vec<Side>,
    marked: impl Iterator<Item = usize>,
) -> Result<(Vec<SideResult>, Vec<MarkedRoots>), Error> {
    let overlay = overlay()?;
    let mut all = sides.clone();
    for (side, count) in sides.iter().zip(marked) {
        let Root::Packages(set) = &side.root else { continue };
        let mut set = set.clone();
        set.overlays.push(overlay.clone());
        let targets = side.targets.iter().take(count).cloned().collect();
        all.push(Side { name: "the package set with marks".into(), root: Root::Packages(set), targets });
    }
    let Ok(mut results) = nix.instantiate(&all) else {
        return Ok((nix.instantiate(&sides)?, Vec::new()));
    };
    let marked = results.split_off(sides.len());
    let roots = |result: SideResult| {
        let derivations = result.into_iter().flatten();
        derivations.map(|drv| graph::Root { attr: None, drv_path: drv.drv_path }).collect()
    };
    Ok((results, marked.into_iter().map(roots).collect()))
}
