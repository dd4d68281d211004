//! Why a derivation does not have a patch, or has it twice: found by asking Nix, each cause by its name.

use std::path::Path;

use crate::graph::NodeId;
use crate::nix::{LIBC_NAMES, PackageFacts};
use crate::overlay::AttrPath;
use crate::verify::Case;
use crate::verify::Error;
use crate::verify::asked::patches;
use crate::verify::derivation::Members;
use crate::verify::family::Times;
use crate::verify::finding::{Answer, Cause};

/// Says why a patch is in a derivation more than once.
pub(super) fn twice(case: &Case<'_, '_>, id: NodeId, times: &[(NodeId, Vec<Times>)]) -> Answer {
    let node = case.delta.after().node(id);
    let times = times.iter().find(|(at, _)| *at == id).map(|(_, times)| times.as_slice()).unwrap_or_default();
    let patch = case.package.patches.iter().zip(times).find(|(_, t)| t.is_some_and(|n| n > 1));
    let (name, count) = patch.map_or(("a patch", 2), |(p, t)| (p.name.as_str(), t.unwrap_or(2)));
    let places: Vec<String> =
        case.package.patches.iter().filter(|p| p.name == name).map(|p| p.place.to_string()).collect();
    let before = case.delta.counterpart(id).map(|old| case.delta.before().node(old).patches().count()).unwrap_or(0);
    let hint = match places.as_slice() {
        [one] if before > 0 => format!(
            "{one} names it once: the overlay is applied twice (listed twice, or composed and listed), or nixpkgs has the patch already"
        ),
        [one] => format!(
            "{one} names it once: the overlay is applied twice (listed twice, or composed by another and listed too)"
        ),
        several => format!("it is named at {}: keep one", several.join(" and ")),
    };
    Answer::failed(Cause::AppliedTwice, format!("{name} is {count} times in {}", node.name())).hint(hint)
}

/// Says that the flake of the workspace does not know the overlay; `None` when it does, or when `overlayctl.toml` lists the overlays and
/// so the flake is not what builds.
pub(super) fn outside_flake(case: &Case<'_, '_>) -> Option<Answer> {
    let decided = case.workspace.settings().overlays.is_some();
    let patch = case.package.patches.iter().find(|patch| patch.outside_flake && !decided)?;
    let overlay = patch.place.path.display();
    let flake = case.workspace.path("flake.nix");
    Some(
        Answer::failed(
            Cause::NotWiredIn,
            format!(
                "{} does not name {overlay}: overlayctl applies it, and what the flake builds goes without",
                flake.display()
            ),
        )
        .hint(format!(
            "add it to the overlays in flake.nix; or list it under `overlays` in {}",
            crate::config::FILE_NAME
        ))
        .command(format!("grep -rn {} --include=*.nix .", crate::verify::asked::shell_word(&overlay.to_string()))),
    )
}

/// Says whether the patched attribute is the C library of the target's toolchain; `None` when it is no C library at all, or
/// that cannot be asked.
pub(super) fn owns_libc(case: &mut Case<'_, '_>, target: &AttrPath) -> Result<Option<bool>, Error> {
    let name = case.package.attr.last().to_string();
    if !LIBC_NAMES.contains(&name.as_str()) {
        return Ok(None);
    }
    Ok(case.asked.libc_owners(target, &LIBC_NAMES)?.map(|owners| owners.contains(&name)))
}

/// Says why the package is without the patch, or is not needed at all.
pub(super) fn missing(case: &mut Case<'_, '_>, members: &Members) -> Result<Answer, Error> {
    let package = case.package;
    let attr = &package.attr;
    let target = case.target.attr.clone();
    let (Some(plain), Some(here)) = (case.known(&target, attr, false)?, case.known(&target, attr, true)?) else {
        return Ok(Answer::unknown(format!(
            "nothing that the target needs has the patch, and which package set it is built from cannot be told from `{}`",
            case.target.name
        ))
        .hint("name a target of the package set itself, or give the file or flake that makes it an attribute `pkgs`"));
    };
    if !plain.exists {
        let by_hand = match case.asked.by_hand(false, &target, attr, ".name")? {
            Some(command) => Some(command),
            None => case.asked.by_hand(true, &target, attr, ".name")?,
        };
        let near =
            if plain.near.is_empty() { String::new() } else { format!("did you mean {}?", plain.near.join(", ")) };
        return Ok(Answer::failed(
            Cause::NoSuchAttribute,
            format!("nixpkgs has no attribute `{attr}`: the overlay makes a new one that nothing uses"),
        )
        .hint(if near.is_empty() { "look the name up in nixpkgs".to_string() } else { near })
        .maybe_command(by_hand));
    }
    if case.lacks(&here, &plain) {
        return not_here(case, &plain);
    }
    // Nix stores a link as one: what it leads to is not there.
    let graph = case.delta.after();
    let leads_nowhere = |path: &&str| case.nix.physical(path).is_some_and(|file| file.is_symlink() && !file.exists());
    let link = members.unpatched.iter().find_map(|id| graph.node(*id).patches().find(leads_nowhere));
    if let Some(link) = link {
        let why = format!("{link} is a link that leads nowhere in the store, so no build can apply it");
        return Ok(
            Answer::failed(Cause::NotApplied, why).hint("put the patch itself where the link is, and not a link to it")
        );
    }
    // The attribute itself has the patch, so what the target uses is something else.
    if LIBC_NAMES.contains(&attr.last())
        && let Some(owners) = case.asked.libc_owners(&target, &LIBC_NAMES)?
        && !owners.iter().any(|owner| owner == attr.last())
    {
        let owner =
            if owners.is_empty() { "another attribute".to_string() } else { format!("`{}`", owners.join("`, `")) };
        let answer = Answer::failed(
            Cause::WrongLibcAttribute,
            format!("`{attr}` is patched, but the C library of the target's toolchain is {owner}"),
        );
        return Ok(match owners.first() {
            Some(owner) => answer.hint(format!("patch `{owner}` instead")),
            None => answer,
        }
        .maybe_command(case.asked.by_hand(true, &target, &target_name(&target), ".stdenv.cc.libc.drvPath")?));
    }
    if members.is_empty() {
        return Ok(not_a_dependency(case, &plain));
    }
    let name = members.unpatched.first().map(|id| graph.node(*id).name().to_string()).unwrap_or_default();
    let mut alias = None;
    for id in members.unpatched.iter().take(3) {
        alias = case.asked.alias(&target, attr, graph.node(*id).drv_path())?;
        if alias.is_some() {
            break;
        }
    }
    let hint = match alias {
        Some(alias) => format!("it is the attribute `{alias}`: patch that one too (or instead)"),
        None => "find the attribute that makes the copy (an alias, a version of its own, a bootstrap stage) and patch it too"
            .to_string(),
    };
    Ok(Answer::failed(
        Cause::PrivateCopy,
        format!("`{attr}` is patched, but the target also needs {name}, another copy of it, without the patch"),
    )
    .evidence(members.unpatched.iter().map(|id| format!("unpatched: {}", case.needs.chain(*id).join(" -> "))))
    .hint(hint))
}

/// The package of the target's own set does not have the patch.
fn not_here(case: &mut Case<'_, '_>, plain: &PackageFacts) -> Result<Answer, Error> {
    let package = case.package;
    let attr = &package.attr;
    let target = case.target.attr.clone();
    let by_hand = case.asked.by_hand(true, &target, attr, ".patches")?;
    let native = case.asked.native(attr)?.filter(|native| native.exists);
    let place = package.patches.first().map(|p| p.place.to_string()).unwrap_or_default();
    let file = package.patches.first().map(|p| p.place.path.clone()).unwrap_or_default();
    if case.facts.is_cross()
        && let Some(native) = native
        && !case.lacks(&native, plain)
    {
        let guarded = if package.scoped() { " (it stands under a condition)" } else { "" };
        return Ok(Answer::failed(
            Cause::NotInCross,
            format!("the native `{attr}` has the patch, the one for {} has not{guarded}", case.platform()),
        )
        .hint("the overlay does not reach pkgsCross: hand it to nixpkgs as `overlays`, not to a package set that is made already")
        .maybe_command(by_hand));
    }
    let listed = package.patches.iter().any(|p| p.listed);
    if !listed {
        return Ok(Answer::failed(
            Cause::NotWiredIn,
            format!("{} is not among the overlays that are applied", shown(&file)),
        )
        .hint(format!("add it to `overlays` in {}, or import it in an overlay that is there", crate::config::FILE_NAME))
        .maybe_command(by_hand));
    }
    Ok(Answer::failed(Cause::NotInEffect, format!("the overlay is applied, but `{attr}` does not have the patch"))
        .hint(format!("look at {place}: its condition is false here, or a later overlay takes the patch out again"))
        .maybe_command(by_hand))
}

fn not_a_dependency(case: &Case<'_, '_>, plain: &PackageFacts) -> Answer {
    let attr = &case.package.attr;
    let graph = case.delta.after();
    let same_name = plain.pname.as_deref().map(crate::graph::without_platform);
    let others: Vec<String> = case
        .needs
        .ids()
        .filter(|id| !graph.node(*id).fixed_output() && Some(crate::verify::family::bare(graph, *id)) == same_name)
        .map(|id| graph.node(id).name().to_string())
        .collect();
    let answer = Answer::failed(Cause::NotADependency, format!("nothing that the target needs is `{attr}`"));
    match others.first() {
        Some(other) => answer
            .hint(format!("it needs {other}, which is made of another source: patch the attribute that it comes from")),
        None => {
            answer.hint(format!("`overlayctl impact` shows what the patch changes; name a target that uses `{attr}`"))
        }
    }
    .command(format!(
        "nix-store --query --requisites {} | grep -e {}",
        case.compared.after,
        crate::verify::asked::shell_word(&format!("-{}", same_name.unwrap_or_else(|| attr.last().to_string())))
    ))
}

impl Case<'_, '_> {
    /// Returns what Nix knows of a package of the set that the target is built from.
    fn known(&mut self, target: &AttrPath, attr: &AttrPath, patched: bool) -> Result<Option<PackageFacts>, Error> {
        Ok(self.asked.package(target, attr, patched)?.cloned())
    }

    /// Says whether a package lacks a patch that it should have.
    fn lacks(&mut self, facts: &PackageFacts, plain: &PackageFacts) -> bool {
        let times = self.identity.times(&patches(facts), &patches(plain), self.package);
        times.contains(&Some(0))
    }

    fn platform(&self) -> String {
        self.facts.host.clone().unwrap_or_else(|| "the board".to_string())
    }
}

/// Returns the package of a target's path, without the sets in front.
fn target_name(target: &AttrPath) -> AttrPath {
    let sets = crate::verify::asked::set_of(target).len();
    AttrPath::from_names(target.names().iter().skip(sets).cloned()).unwrap_or_else(|| target.clone())
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}
