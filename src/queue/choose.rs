//! Which overlay a package is patched in.
//!
//! The one that the user names; else, of those that bind the package or are the workspace's own by what names them, the one in which
//! the patch has an effect: that is tried ([`super::trial`]), not guessed. Where several are as good, that is a question.

use super::Error;
use super::discover::{Candidate, Choice, Functions, Overlays, Standing, composed_by, places, reads_folders};
use super::trial::Outcome;
use crate::base::diagnostic::Warning;
use crate::config::Workspace;
use crate::overlay::{AttrPath, OverlayFile, Select};

/// The most overlays that are tried.
const MOST: usize = 8;

/// An overlay function in which a package could be patched.
#[derive(Debug, Clone, Copy)]
pub struct Spot<'a> {
    pub file: &'a OverlayFile,
    /// The way to it in the file.
    pub select: Select,
    /// The function, where it was found by looking.
    pub candidate: Option<Candidate<'a>>,
    /// Whether it may take what lies in the queue's folder by itself though the text does not show that: it is tried.
    pub may_load: bool,
}

/// What was chosen: the plan that was made for it, and what the user should know.
#[derive(Debug)]
pub struct Chosen<T> {
    pub plan: T,
    pub warnings: Vec<Warning>,
}

pub type Plan<'p, T> = &'p mut dyn FnMut(Spot<'_>) -> Result<T, Error>;
/// Says what a plan would do; `None` where Nix is not asked.
pub type Try<'p, T> = Option<&'p mut dyn FnMut(&T, &mut Vec<Warning>) -> Result<Outcome, Error>>;

/// Chooses the overlay for a package and makes the plan for it.
///
/// # Errors
/// [`Error::NoOverlay`], [`Error::WhichOverlay`] listing each, [`Error::NoEffect`], [`Error::Damage`], and those of the plan.
pub fn choose<T>(
    workspace: &Workspace,
    choice: Option<&Choice>,
    attr: &AttrPath,
    plan: Plan<'_, T>,
    mut trial: Try<'_, T>,
) -> Result<Chosen<T>, Error> {
    let overlays = Overlays::read(workspace, choice)?;
    let functions = Functions::of(&overlays);
    if let Some(choice) = choice {
        return named(workspace, choice, attr, &overlays, plan, trial);
    }
    let groups = functions.candidates(attr);
    let spot = |candidate: &Candidate<'_>| (candidate.found.file.path().to_path_buf(), candidate.select());
    let mut first: Option<(Candidate<'_>, String)> = None;
    let mut exported = Vec::new();
    let mut refused = None;
    let mut tried = 0;
    for group in &groups {
        let mut fit = Vec::new();
        for candidate in group.iter().take(MOST.saturating_sub(tried).max(1)) {
            tried += 1;
            let mut at = Spot {
                file: &candidate.found.file,
                select: candidate.select(),
                candidate: Some(*candidate),
                may_load: trial.is_some() && reads_folders(candidate.found.file.text()),
            };
            let (made, outcome, mut warnings) = loop {
                let mut warnings = Vec::new();
                let made = plan(at).map(|made| {
                    let outcome = match &mut trial {
                        Some(trial) => trial(&made, &mut warnings)?,
                        None => Outcome::InEffect(Vec::new()),
                    };
                    Ok::<_, Error>((made, outcome))
                });
                match made.and_then(|made| made) {
                    Ok((made, outcome @ (Outcome::InEffect(_) | Outcome::Exported(_)))) => {
                        break (Some(made), outcome, warnings);
                    }
                    _ if at.may_load => at.may_load = false,
                    Ok((made, outcome)) => break (Some(made), outcome, warnings),
                    Err(error) => {
                        refused.get_or_insert(error);
                        break (None, Outcome::Unknown(String::new()), warnings);
                    }
                }
            };
            let Some(made) = made else { continue };
            match outcome {
                Outcome::InEffect(_) => fit.push((*candidate, Chosen { plan: made, warnings })),
                Outcome::Unknown(why) => {
                    warnings.push(not_tried(attr, &why));
                    fit.push((*candidate, Chosen { plan: made, warnings }));
                }
                Outcome::Exported(_) => exported.push((*candidate, Chosen { plan: made, warnings })),
                Outcome::Damage(why) => {
                    let place = candidate.function.place.clone();
                    refused.get_or_insert(Error::Damage { attr: attr.clone(), why, place });
                }
                Outcome::NoEffect(why) => {
                    first.get_or_insert((*candidate, why));
                }
            }
        }
        if fit.is_empty() {
            continue;
        }
        let mut chosen = one_of(workspace, attr, fit, spot)?;
        if trial.is_none() {
            let rivals = groups.iter().flatten().filter(|c| c.binds(attr) && !c.builds_on(attr));
            let rivals = rivals.filter(|c| c.found.standing != Standing::Beside);
            chosen.warnings.extend(rivals.map(|candidate| bound_again(attr, candidate)));
        }
        return Ok(chosen);
    }
    if !exported.is_empty() {
        return one_of(workspace, attr, exported, spot);
    }
    match (refused, first) {
        (Some(error), _) => Err(error),
        (None, Some((candidate, why))) => {
            Err(Error::NoEffect { attr: attr.clone(), why, place: candidate.function.place.clone() })
        }
        // Only what is generated or no package overlay: the plan refuses it with its place and the reason.
        (None, None) => match functions.unfit() {
            Some(unfit) => {
                let made =
                    plan(Spot { file: &unfit.found.file, select: unfit.select(), candidate: None, may_load: false })?;
                Ok(Chosen { plan: made, warnings: Vec::new() })
            }
            None => Err(Error::NoOverlay { root: workspace.root().to_path_buf() }),
        },
    }
}

/// Takes the only one, or asks.
fn one_of<T, K: PartialEq>(
    workspace: &Workspace,
    attr: &AttrPath,
    mut fit: Vec<(Candidate<'_>, Chosen<T>)>,
    spot: impl Fn(&Candidate<'_>) -> K,
) -> Result<Chosen<T>, Error> {
    let named: Vec<bool> = fit.iter().map(|(candidate, _)| candidate.found.named).collect();
    if fit.len() > 1 && named.contains(&true) && named.contains(&false) {
        let mut keep = named.into_iter();
        fit.retain(|_| keep.next() == Some(true));
    }
    fit.dedup_by(|(a, _), (b, _)| spot(a) == spot(b));
    // Of overlays of the list that all bind it and hold, a new patch comes behind those that there are: into the last.
    if fit.len() > 1 && fit.iter().all(|(c, _)| c.found.named && c.found.standing == Standing::Listed && c.binds(attr))
    {
        fit.drain(..fit.len() - 1);
    }
    if fit.len() > 1 {
        let candidates: Vec<Candidate<'_>> = fit.iter().map(|(candidate, _)| *candidate).collect();
        let bound = candidates.iter().all(|candidate| candidate.binds(attr));
        return Err(Error::WhichOverlay { attr: attr.clone(), candidates: places(&candidates), bound });
    }
    match fit.pop() {
        Some((_, chosen)) => Ok(chosen),
        None => Err(Error::NoOverlay { root: workspace.root().to_path_buf() }),
    }
}

/// Takes the overlay that the user named; a file that only composes others stands for them.
fn named<T>(
    workspace: &Workspace,
    choice: &Choice,
    attr: &AttrPath,
    overlays: &Overlays,
    plan: Plan<'_, T>,
    trial: Try<'_, T>,
) -> Result<Chosen<T>, Error> {
    let Some(found) = overlays.files().next() else {
        return Err(Error::NoOverlay { root: workspace.root().to_path_buf() });
    };
    let composed = Overlays::of_files(&composed_by(&found.file));
    let functions = Functions::of(&composed);
    let mut spot = Spot {
        file: &found.file,
        select: choice.line.map_or(Select::Only, Select::Line),
        candidate: None,
        may_load: false,
    };
    let mut groups = Vec::new();
    if choice.line.is_none() && found.file.functions().is_empty() {
        groups = functions.candidates(attr);
    }
    match groups.first().map(Vec::as_slice) {
        Some([one]) => {
            spot = Spot { file: &one.found.file, select: one.select(), candidate: Some(*one), may_load: false }
        }
        Some(many) if !many.is_empty() => {
            let bound = many.iter().all(|candidate| candidate.binds(attr));
            return Err(Error::WhichOverlay { attr: attr.clone(), candidates: places(many), bound });
        }
        _ => {}
    }
    let made = plan(spot)?;
    let mut warnings = Vec::new();
    let outcome = match trial {
        Some(trial) => trial(&made, &mut warnings)?,
        None => Outcome::InEffect(Vec::new()),
    };
    match outcome {
        Outcome::InEffect(_) | Outcome::Exported(_) => {}
        Outcome::Unknown(why) => warnings.push(not_tried(attr, &why)),
        Outcome::Damage(why) => {
            let place = crate::base::span::Place::file(spot.file.path());
            return Err(Error::Damage { attr: attr.clone(), why, place });
        }
        Outcome::NoEffect(why) => warnings.push(no_effect(&why, spot.file.path())),
    }
    Ok(Chosen { plan: made, warnings })
}

/// Warns, where Nix is not asked, of another overlay that binds the package without building on what was there.
fn bound_again(attr: &AttrPath, candidate: &Candidate<'_>) -> Warning {
    let place = candidate.function.place.clone();
    Warning {
        code: "OV1120",
        message: format!("`{attr}` is bound anew at {place}: where that is applied later, that binding counts"),
        place: Some(place),
        hint: Some("let it build on the overlay before it (prev), or ask Nix: without --offline it is tried".into()),
    }
}

/// Warns that a patch in an overlay that the user named has no effect.
pub(crate) fn no_effect(why: &str, overlay: &std::path::Path) -> Warning {
    Warning {
        code: "OV1161",
        message: format!("the patch has no effect as things stand: {why}"),
        place: Some(crate::base::span::Place::file(overlay)),
        hint: Some(
            "apply the overlay: in `overlays` of overlayctl.toml, or where your own code imports nixpkgs".into(),
        ),
    }
}

/// Warns that a change was not evaluated before it was written.
pub(crate) fn not_tried(attr: &AttrPath, why: &str) -> Warning {
    Warning {
        code: "OV1162",
        message: format!("it was not evaluated whether the change of `{attr}` has an effect: {why}"),
        place: None,
        hint: Some("`overlayctl list` says what is in effect".into()),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::base::fs;

    fn workspace(files: &[(&str, &str)]) -> (tempfile::TempDir, Workspace) {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(&dir.path().join(name), text.as_bytes()).unwrap();
        }
        let workspace = Workspace::open(Some(dir.path())).unwrap();
        (dir, workspace)
    }

    fn chosen(files: &[(&str, &str)], attr: &str) -> Result<String, String> {
        let (dir, workspace) = workspace(files);
        let shown = |path: &Path| path.strip_prefix(dir.path()).unwrap_or(path).display().to_string();
        let mut plan = |spot: Spot<'_>| {
            let line = match (spot.candidate, spot.select) {
                (Some(candidate), _) => candidate.function.place.line_col.map_or(0, |at| at.line),
                (None, Select::Offset(at)) => crate::base::span::line_col(spot.file.text(), at).line,
                _ => 0,
            };
            Ok(format!("{}:{line}", shown(spot.file.path())))
        };
        match choose(&workspace, None, &AttrPath::parse(attr).unwrap(), &mut plan, None) {
            Ok(chosen) => Ok(chosen.plan),
            Err(Error::WhichOverlay { candidates, .. }) => Err(candidates
                .iter()
                .map(|p| format!("{}:{}", shown(&p.path), p.line_col.map_or(0, |at| at.line)))
                .collect::<Vec<_>>()
                .join(" ")),
            Err(error) => Err(crate::base::diagnostic::Coded::code(&error).to_string()),
        }
    }

    const EMPTY: &str = "final: prev: { }";
    const MUSL: &str = "final: prev: {\n  musl = prev.musl;\n}";

    #[test]
    fn the_one_that_binds_the_package_then_the_one_named_then_a_question() {
        let two = [("overlays/a.nix", EMPTY), ("overlays/b.nix", MUSL)];
        assert_eq!(chosen(&two, "musl"), Ok("overlays/b.nix:1".into()));
        assert_eq!(chosen(&two, "zlib"), Err("overlays/a.nix:1 overlays/b.nix:1".into()));
        let named = [two[0], two[1], ("overlayctl.toml", "overlays = [\"overlays/a.nix\"]")];
        assert_eq!(chosen(&named, "zlib"), Ok("overlays/a.nix:1".into()));
        // What nothing applies is never chosen silently, whatever it binds.
        assert_eq!(chosen(&named, "musl"), Ok("overlays/a.nix:1".into()));
        let both = [("overlays/a.nix", MUSL), ("overlays/b.nix", MUSL)];
        assert_eq!(chosen(&both, "musl"), Err("overlays/a.nix:1 overlays/b.nix:1".into()));
    }

    #[test]
    fn what_composes_others_stands_for_them() {
        let list = ("default.nix", "{ overlays = [ (import ./o/a.nix) (import ./o/b.nix) ]; }");
        assert_eq!(chosen(&[list, ("o/a.nix", EMPTY), ("o/b.nix", MUSL)], "musl"), Ok("o/b.nix:1".into()));
        let compose =
            ("overlays/default.nix", "{ lib }: lib.composeManyExtensions [ (import ./a.nix) (import ./b.nix) ]");
        assert_eq!(
            chosen(&[compose, ("overlays/a.nix", EMPTY), ("overlays/b.nix", MUSL)], "musl"),
            Ok("overlays/b.nix:1".into())
        );
        let fold = (
            "overlay.nix",
            "final: prev: builtins.foldl' (acc: o: acc // o final prev) { } (map import [ ./o/a.nix ])",
        );
        assert_eq!(chosen(&[fold, ("o/a.nix", EMPTY)], "zlib"), Ok("o/a.nix:1".into()));
        let loader =
            ("overlays/default.nix", "map (n: import (./. + \"/${n}\")) (builtins.attrNames (builtins.readDir ./.))");
        assert_eq!(chosen(&[loader, ("overlays/x/default.nix", MUSL)], "zlib"), Ok("overlays/x/default.nix:1".into()));
    }

    #[test]
    fn flakes_modules_and_configurations() {
        let flake = "{\n  outputs = { self, nixpkgs }: {\n    overlays.default = final: prev: { };\n    overlays.extra = final: prev: { musl = prev.musl; };\n  };\n}";
        assert_eq!(chosen(&[("flake.nix", flake)], "musl"), Ok("flake.nix:4".into()));
        assert_eq!(chosen(&[("flake.nix", flake)], "zlib"), Err("flake.nix:3 flake.nix:4".into()));
        let module = "{ pkgs, ... }:\n{\n  nixpkgs.overlays = [ (self: super: { }) ];\n}";
        let configuration = ("configuration.nix", "{ imports = [ ./hosts/pi.nix ]; }");
        assert_eq!(chosen(&[configuration, ("hosts/pi.nix", module)], "musl"), Ok("hosts/pi.nix:3".into()));
        let import = "import nixpkgs { overlays = [ (final: prev: { }) ]; }";
        assert_eq!(chosen(&[("default.nix", import)], "musl"), Ok("default.nix:1".into()));
        let config = "{\n  packageOverrides = pkgs: { };\n}";
        assert_eq!(chosen(&[("config.nix", config)], "musl"), Ok("config.nix:2".into()));
    }

    #[test]
    fn what_is_no_package_overlay_does_not_count() {
        let scope = "{ a = x.extend (pyfinal: pyprev: { }); b = overlay: final: prev: overlay final prev; }";
        assert_eq!(chosen(&[("default.nix", scope), ("overlay.nix", EMPTY)], "musl"), Ok("overlay.nix:1".into()));
        let generated = ("overlays/generated.nix", MUSL);
        assert_eq!(chosen(&[generated, ("overlays/a.nix", EMPTY)], "musl"), Ok("overlays/a.nix:1".into()));
        assert_eq!(chosen(&[("a.nix", "{ }")], "musl"), Err("OV1008".into()));
        assert_eq!(chosen(&[("misc/deep.nix", EMPTY)], "musl"), Ok("misc/deep.nix:1".into()));
        assert_eq!(chosen(&[("overlay.nix", EMPTY), ("misc/deep.nix", MUSL)], "musl"), Ok("overlay.nix:1".into()));
        assert_eq!(chosen(&[("overlay.nix", EMPTY), ("tests/deep.nix", MUSL)], "musl"), Ok("overlay.nix:1".into()));
    }

    #[test]
    fn a_link_to_a_file_is_that_file() {
        let (dir, _) = workspace(&[("own.nix", EMPTY)]);
        std::os::unix::fs::symlink("own.nix", dir.path().join("overlay.nix")).unwrap();
        let workspace = Workspace::open(Some(dir.path())).unwrap();
        assert!(choose(&workspace, None, &AttrPath::single("musl"), &mut |_| Ok(()), None).is_ok());
    }
}
