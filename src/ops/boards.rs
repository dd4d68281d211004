//! `boards`: the boards of a workspace, what is patched for them, what is built, what is stale.

use std::path::PathBuf;

use serde::Serialize;

use crate::base::diagnostic::{Verdict, Warning};
use crate::base::progress::Progress;
use crate::comparison::sites;
use crate::config::Workspace;
use crate::nix::Side;
use crate::ops::{Error, Outcome};
use crate::queue::model::{Asking, Model, PatchedPackage};
use crate::targets::Selection;
use crate::targets::engine;

#[derive(Debug, Serialize)]
pub struct Boards {
    pub boards: Vec<BoardState>,
    /// The packages that the workspace patches, for whichever board.
    pub patched: Vec<String>,
    pub warnings: Vec<Warning>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BoardState {
    pub name: String,
    /// Its platform, a name of pkgsCross or `custom`.
    pub platform: String,
    /// Whether its programs are linked statically.
    #[serde(rename = "static")]
    pub is_static: bool,
    pub packages: Vec<PackageState>,
    /// The packages with a patch that is in effect on it.
    pub patched: Vec<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PackageState {
    pub attr: String,
    pub state: State,
    /// The link to its last build.
    pub link: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
}

/// Whether a package is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// The last build is what the workspace says now.
    Built,
    /// The last build is of an earlier state of the workspace.
    Stale,
    /// There is no build.
    NotBuilt,
    /// It does not evaluate.
    Broken,
}

/// Looks at every board.
///
/// # Errors
/// Those of the workspace and of Nix; a package that does not evaluate is in the outcome.
pub fn boards(workspace: &Workspace, nixpkgs: Option<String>, progress: &mut dyn Progress) -> Result<Boards, Error> {
    let model = Model::read(workspace, Asking { nixpkgs: nixpkgs.as_deref(), offline: false })?;
    let patched = model.packages.iter().map(|package| package.attr.to_string()).collect();
    let names: Vec<String> = workspace.settings().boards.keys().cloned().collect();
    let with_targets = |name: &&String| {
        let board = &workspace.settings().boards[*name];
        !board.packages.is_empty() || !board.systems.is_empty()
    };
    let selection =
        Selection { nixpkgs, boards: names.iter().filter(with_targets).cloned().collect(), ..Selection::default() };
    let sites = if selection.boards.is_empty() { Vec::new() } else { sites::of(workspace, &selection)? };
    let sides: Vec<Side> = sites
        .iter()
        .map(|site| Side {
            name: "the workspace as it is".into(),
            root: site.patched.clone(),
            targets: site.targets.iter().map(|t| t.attr.names().to_vec()).collect(),
        })
        .collect();
    progress.stage("evaluating the boards");
    let results = if sides.is_empty() { Vec::new() } else { engine::nix(workspace)?.instantiate(&sides)? };
    let mut states: Vec<BoardState> = names
        .iter()
        .map(|name| {
            let board = &workspace.settings().boards[name];
            let platform = board.platform.clone();
            BoardState {
                name: name.clone(),
                platform: platform
                    .unwrap_or_else(|| if board.cross_system.is_some() { "custom" } else { "native" }.into()),
                is_static: board.is_static,
                packages: Vec::new(),
                patched: on_board(&model, name, &board.systems),
            }
        })
        .collect();
    for (site, results) in sites.iter().zip(results) {
        for (target, result) in site.targets.iter().zip(results) {
            let link = workspace.path(crate::targets::link_name(
                target.board.as_deref(),
                &target.attr.to_string(),
                &target.name,
            ));
            let points_to = std::fs::read_link(&link).ok();
            let (state, failure) = match (&result, &points_to) {
                (Err(failure), _) => (State::Broken, Some(failure.message.clone())),
                (Ok(_), None) => (State::NotBuilt, None),
                (Ok(now), Some(last)) if last == std::path::Path::new(&now.out_path) => (State::Built, None),
                (Ok(_), Some(_)) => (State::Stale, None),
            };
            let package = PackageState { attr: target.attr.to_string(), state, link: points_to.map(|_| link), failure };
            if let Some(board) = states.iter_mut().find(|b| Some(&b.name) == target.board.as_ref()) {
                board.packages.push(package);
            }
        }
    }
    Ok(Boards { boards: states, patched, warnings: model.warnings })
}

/// Returns the packages that have a patch in effect on a board.
fn on_board(model: &Model, name: &str, systems: &[String]) -> Vec<String> {
    let is_of = |set: &String| {
        set.strip_prefix("boards.") == Some(name)
            || systems.iter().any(|system| set == system || set.ends_with(&format!("#{system}")))
    };
    let has = |package: &&PatchedPackage| package.patches.iter().any(|patch| patch.reach.sets.iter().any(is_of));
    model.packages.iter().filter(has).map(|package| package.attr.to_string()).collect()
}

impl Outcome for Boards {
    const SCHEMA: &'static str = "overlayctl.boards/1";

    fn verdict(&self) -> Option<Verdict> {
        let broken = self.boards.iter().flat_map(|b| &b.packages).any(|p| p.state == State::Broken);
        broken.then_some(Verdict::Error)
    }
}
