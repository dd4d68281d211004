//! What a patch costs as an overlay of every stage and of the target stage only, in numbers, before it is written.
//!
//! Every change of a package has the same rebuild set, so a variable that no builder knows stands for the patch. The target
//! stage is told by a guard on the platforms, which gives the same sets as `crossOverlays` and reaches `pkgsStatic` too.

use serde::Serialize;

use crate::base::fs::{self, FsError};
use crate::base::progress::Progress;
use crate::base::text::plural;
use crate::config::Workspace;
use crate::graph::{Counts, Delta, Graph, Root as GraphRoot};
use crate::nix::{self, EvalFailure, Fragment, Overlay, Root, Side};
use crate::ops::{Error, Outcome};
use crate::overlay::{self, AttrPath, NoFiles, OverlayFile, PatchElement, PatchRequest, Scope, Select};
use crate::queue::facts;
use crate::targets::engine;
use crate::targets::{self, Selection};

/// What both scopes cost.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Costs {
    pub attr: String,
    /// The cost for all targets together, as an overlay of every stage.
    pub all: Cost,
    /// As an overlay of the target stage only.
    pub host: Cost,
    /// Whether every target is native, so that the target stage does not exist apart and `host` would do nothing.
    pub native: bool,
    pub targets: Vec<TargetCost>,
    pub failures: Vec<(String, String)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Cost {
    #[serde(flatten)]
    pub counts: Counts,
    /// Whether the target is rebuilt itself (for several: whether one is), so that the patch reaches it.
    pub reaches: bool,
}

/// What both scopes cost for one target.
#[derive(Debug, Clone, Serialize)]
pub struct TargetCost {
    pub target: String,
    /// As an overlay of every stage.
    pub all: Cost,
    /// As an overlay of the target stage only.
    pub host: Cost,
}

/// Evaluates the targets as they are and with a change of `attr` in both scopes.
///
/// # Errors
/// `NoSuchAttribute` for a name that no set has; [`Error::Eval`] when no target evaluates on all three sides; for a package in
/// a scope of its own those of asking about it and of editing; and those of the workspace and of Nix.
pub fn costs(
    workspace: &Workspace,
    attr: &str,
    selection: &Selection,
    progress: &mut dyn Progress,
) -> Result<Costs, Error> {
    let path = AttrPath::parse(attr).map_err(overlay::Error::from)?;
    let changes = Changes::of(workspace, selection, &path)?;
    let groups = targets::resolve(workspace, selection)?;
    let nix = engine::nix_for(workspace, selection)?;
    let mut sides = Vec::new();
    for group in &groups {
        let paths: Vec<Vec<String>> = group.targets.iter().map(|target| target.attr.names().to_vec()).collect();
        for change in [None, Some(&changes.all), Some(&changes.host)] {
            let mut set = group.patched.clone();
            set.overlays.extend(change.cloned());
            sides.push(Side {
                name: "the package set".into(),
                root: Root::Packages(Box::new(set)),
                targets: paths.clone(),
            });
        }
    }
    progress.stage(&format!(
        "evaluating {} in both scopes",
        plural(groups.iter().map(|g| g.targets.len()).sum(), "target")
    ));
    let mut results = nix.instantiate(&sides)?.into_iter();
    let mut found: Vec<(String, [String; 3])> = Vec::new();
    let mut failed: Vec<(String, EvalFailure)> = Vec::new();
    for group in &groups {
        let mut three = || results.next().unwrap_or_default().into_iter();
        let (mut plain, mut all, mut host) = (three(), three(), three());
        for target in &group.targets {
            let all_three: Option<Result<[String; 3], EvalFailure>> = (|| {
                Some((plain.next()?, all.next()?, host.next()?))
                    .map(|(plain, all, host)| Ok([plain?.drv_path, all?.drv_path, host?.drv_path]))
            })();
            match all_three {
                Some(Ok(drvs)) => found.push((target.name.clone(), drvs)),
                Some(Err(failure)) => failed.push((target.name.clone(), failure)),
                None => {}
            }
        }
    }
    if found.is_empty() {
        let first = failed.into_iter().next();
        return Err(first.map_or(crate::targets::Error::NoTargets.into(), |(target, failure)| {
            crate::targets::Error::Eval { target, failure: Box::new(failure) }.into()
        }));
    }
    progress.stage("reading the derivations");
    let store = nix.store_dir()?;
    let graph = |side: usize, only: Option<usize>| -> Result<Graph, Error> {
        let roots: Vec<GraphRoot> = found
            .iter()
            .enumerate()
            .filter(|(at, _)| only.is_none_or(|only| only == *at))
            .filter_map(|(_, (name, drvs))| {
                Some(GraphRoot { attr: Some(name.clone()), drv_path: drvs.get(side)?.clone() })
            })
            .collect();
        Ok(Graph::read(&roots, &store)?)
    };
    let compare = |only: Option<usize>| -> Result<(Cost, Cost), Error> {
        let plain = graph(0, only)?;
        let cost = |side| -> Result<Cost, Error> {
            let after = graph(side, only)?;
            let delta = Delta::between(&plain, &after);
            let reaches = after.roots().any(|root| delta.is_rebuilt(root.node));
            Ok(Cost { counts: delta.counts(), reaches })
        };
        Ok((cost(1)?, cost(2)?))
    };
    let (all, host) = compare(None)?;
    if all.counts.builds == 0 {
        // A name that is nowhere is overridden without a word from Nix.
        facts::exists(&nix, groups.iter().map(|group| &group.patched), &path)?;
    }
    let mut targets = Vec::new();
    for (at, (name, _)) in found.iter().enumerate() {
        let (all, host) = if found.len() == 1 { (all, host) } else { compare(Some(at))? };
        targets.push(TargetCost { target: name.clone(), all, host });
    }
    // The guard changes nothing at all: either no target needs the package, or there is no target stage.
    let native = host.counts.builds == 0 && all_native(&nix, &groups)?;
    let failures = failed.into_iter().map(|(target, failure)| (target, failure.message)).collect();
    Ok(Costs { attr: attr.to_owned(), all, host, native, targets, failures })
}

/// Overlays that change the package in both scopes.
struct Changes {
    all: Overlay,
    host: Overlay,
    /// Where they are, when they are files.
    _folder: Option<tempfile::TempDir>,
}

impl Changes {
    fn of(workspace: &Workspace, selection: &Selection, path: &AttrPath) -> Result<Changes, Error> {
        if let [name] = path.names() {
            let name = nix::attr_path_text(std::slice::from_ref(name));
            let changed = format!("prev.{name}.overrideAttrs (old: {{ overlayctlScope = \"1\"; }})");
            let host =
                format!("if prev.stdenv.hostPlatform != prev.stdenv.buildPlatform then {changed} else prev.{name}");
            let overlay = |value: String| -> Result<Overlay, Error> {
                Ok(Overlay::Expression(Fragment::parse(format!("final: prev: {{ {name} = {value}; }}"))?))
            };
            return Ok(Changes { all: overlay(changed)?, host: overlay(host)?, _folder: None });
        }
        // In a set of its own: the very edit that `patch` makes, in an overlay beside the user's.
        let known = facts::survey(workspace, selection.nixpkgs.as_deref(), None, path)?;
        let (attr, facts) = known.owner.map_or((path.clone(), known.facts), |owner| (owner.attr, owner.facts));
        let folder = tempfile::tempdir().map_err(|source| FsError::Write { path: std::env::temp_dir(), source })?;
        fs::write(&folder.path().join("probe.patch"), b"")?;
        let overlay = |name: &str, scope: Scope| -> Result<Overlay, Error> {
            let file = folder.path().join(name);
            let empty = OverlayFile::parse(&file, "final: prev: { }\n".into())?;
            let request = PatchRequest {
                scope,
                facts: facts.clone(),
                ..PatchRequest::new(attr.clone(), vec![PatchElement::path("./probe.patch")])
            };
            for change in empty.add_patches(&NoFiles, Select::Only, &request)?.changes {
                fs::write(&change.path, change.new.as_bytes())?;
            }
            Ok(Overlay::File(targets::absolute(&file)?))
        };
        Ok(Changes {
            all: overlay("all.nix", Scope::All)?,
            host: overlay("host.nix", Scope::Host)?,
            _folder: Some(folder),
        })
    }
}

/// What the workspace ships, when it says so: its boards, else its targets.
pub(super) fn shipped(workspace: &Workspace) -> Option<Selection> {
    let settings = workspace.settings();
    let boards: Vec<String> =
        settings.boards.iter().filter(|(_, board)| !board.packages.is_empty()).map(|(name, _)| name.clone()).collect();
    let is_named = !boards.is_empty() || !settings.targets.is_empty();
    is_named.then(|| Selection { boards, ..Selection::default() })
}

/// Says whether everything that the workspace is known to ship is built for the machine that builds it, as far as names tell.
pub(super) fn is_native(workspace: &Workspace) -> bool {
    let settings = workspace.settings();
    let crossed = settings
        .boards
        .values()
        .any(|board| board.platform.is_some() || board.cross_system.is_some() || board.is_static);
    let shipped = facts::shipped(workspace);
    let named = !shipped.is_empty();
    named && !crossed && shipped.iter().all(|path| path.first().is_some_and(|first| !first.starts_with("pkgs")))
}

/// Says whether every target runs on the platform that builds it.
fn all_native(nix: &nix::Nix, groups: &[targets::Group]) -> Result<bool, Error> {
    for group in groups {
        let mut server = nix.eval_server()?;
        server.bind("root", &group.plain.to_nix()?)?;
        for target in &group.targets {
            let mut set = super::predict::set_of(target.attr.names());
            set.insert(0, "root".into());
            let set = nix::attr_path_text(&set);
            let platforms = format!("{set}.stdenv.hostPlatform.config == {set}.stdenv.buildPlatform.config");
            if server.eval_json(&platforms)?.ok() != Some(serde_json::Value::Bool(true)) {
                return Ok(false);
            }
        }
    }
    Ok(true)
}

impl Outcome for Costs {
    const SCHEMA: &'static str = "overlayctl.scope-costs/1";
}
