//! `move`, `rename`, `reorder`: the order and the names of a queue, files and overlay together.

use std::path::PathBuf;

use serde::Serialize;

use super::{Error, Outcome};
use crate::base::diagnostic::Warning;
use crate::config::Workspace;
use crate::overlay::{self, AttrPath};
use crate::patch::{self, queue::QueueName};
use crate::queue::discover::Overlays;
use crate::queue::model::Asking;
use crate::queue::rewrite::{self, Wanted};
use crate::queue::series::Series;
use crate::queue::session;

/// What is to happen to the queue.
#[derive(Debug, Clone)]
pub enum Change {
    /// A patch goes to another place, from 1.
    Move { patch: String, to: usize },
    /// A patch's file gets another name, made from this text.
    Rename { patch: String, to: String },
    /// The patches stand in this order; those that are not named keep theirs behind.
    Order(Vec<String>),
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Reordered {
    pub attr: AttrPath,
    pub unchanged: bool,
    pub dry_run: bool,
    /// The queue, in order.
    pub patches: Vec<PathBuf>,
    pub files: Vec<PathBuf>,
    pub removed: Vec<PathBuf>,
    pub diff: String,
    pub warnings: Vec<Warning>,
}

/// Changes the order or the names of a queue.
///
/// # Errors
/// [`crate::queue::error::Error::NoSuchPatch`], [`crate::queue::error::Error::OverlayOrder`], [`Error::Patch`] for a place
/// that is not there; nothing has changed then.
pub fn reorder(
    workspace: &Workspace,
    attr: &str,
    change: &Change,
    dry_run: bool,
    offline: bool,
) -> Result<Reordered, Error> {
    let attr = AttrPath::parse(attr).map_err(overlay::Error::from)?;
    session::refuse_unfinished(workspace, &attr)?;
    let overlays = Overlays::read(workspace, None)?;
    let mut series = overlays.queue(workspace, &attr)?;
    let how = Asking { nixpkgs: None, offline };
    if !matches!(change, Change::Rename { .. }) {
        series.settle(workspace, how)?;
    }
    let wanted = wanted(&series, change)?;
    let plan = rewrite::plan(workspace, &overlays, &series, &wanted, how, rewrite::Binding::AsItIs)?;
    let files = plan.batch.changes();
    let reordered = Reordered {
        attr,
        unchanged: files.is_empty(),
        dry_run,
        patches: plan.paths.clone(),
        files,
        removed: plan.removed.clone(),
        diff: plan.diff.clone(),
        warnings: plan.warnings.clone(),
    };
    if !dry_run {
        plan.commit(workspace)?;
    }
    Ok(reordered)
}

fn wanted(series: &Series, change: &Change) -> Result<Vec<Wanted>, Error> {
    let mut kept: Vec<Option<Wanted>> = rewrite::keep(series).into_iter().map(Some).collect();
    let order: Vec<usize> = match change {
        Change::Move { patch, to } => {
            let from = series.find(patch)?;
            let places: Vec<String> = (0..kept.len()).map(|i| i.to_string()).collect();
            let moved = patch::queue::moved(&places, from, to.saturating_sub(1))?;
            moved.iter().filter_map(|i| i.parse().ok()).collect()
        }
        Change::Rename { patch, to } => {
            let at = series.find(patch)?;
            if let Some(Some(wanted)) = kept.get_mut(at) {
                rename(wanted, to);
            }
            (0..kept.len()).collect()
        }
        Change::Order(names) => {
            let mut order = Vec::new();
            for name in names {
                let at = series.find(name)?;
                if order.contains(&at) {
                    return Err(crate::targets::Error::Usage {
                        message: format!("`{name}` is named twice"),
                        hint: "name each patch once; those that are not named stay behind".into(),
                    }
                    .into());
                }
                order.push(at);
            }
            let rest: Vec<usize> = (0..kept.len()).filter(|i| !order.contains(i)).collect();
            order.extend(rest);
            order
        }
    };
    Ok(order.into_iter().filter_map(|i| kept.get_mut(i)?.take()).collect())
}

/// Gives a patch another name: `fix the thing`, or a whole file name.
fn rename(wanted: &mut Wanted, to: &str) {
    let stem = to.strip_suffix(".patch").or_else(|| to.strip_suffix(".diff")).unwrap_or(to);
    wanted.subject = QueueName::parse(&format!("{stem}.patch")).map_or_else(|| stem.to_string(), |name| name.slug);
    wanted.rename = true;
}

impl Outcome for Reordered {
    const SCHEMA: &'static str = "overlayctl.reorder/1";
}
