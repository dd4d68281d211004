//! `boards --history`: what this workspace put on a board, from its own ledger; the board is not asked.

use serde::Serialize;

use crate::base::fs;
use crate::config::Workspace;
use crate::deploy::Entry;
use crate::ops::{Error, Outcome};

/// The name of the ledger in the workspace's own directory.
pub(super) const LEDGER: &str = "deployments.jsonl";

/// The lines of a board, the newest last.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Deployments {
    pub board: String,
    pub entries: Vec<Entry>,
    /// Lines of the ledger that cannot be read, by number.
    pub unreadable: Vec<usize>,
}

/// Reads the ledger of the workspace.
///
/// # Errors
/// That there is no such board, or the file cannot be read.
pub fn deployments(workspace: &Workspace, board: &str) -> Result<Deployments, Error> {
    workspace.boards(board)?;
    let text = fs::read_text_if_there(&workspace.state_dir().join(LEDGER))?.unwrap_or_default();
    let mut deployments = Deployments { board: board.to_string(), entries: Vec::new(), unreadable: Vec::new() };
    for (number, line) in text.lines().enumerate() {
        match serde_json::from_str::<Entry>(line) {
            Ok(entry) if board == "all" || entry.board == board => deployments.entries.push(entry),
            Ok(_) => {}
            Err(_) => deployments.unreadable.push(number + 1),
        }
    }
    Ok(deployments)
}

impl Outcome for Deployments {
    const SCHEMA: &'static str = "overlayctl.deployments/1";
}
