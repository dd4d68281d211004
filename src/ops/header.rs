//! `header`: what the header of a patch says, and editing its trailers; every other byte stays.

use std::path::PathBuf;

use serde::Serialize;

use super::{Error, Outcome};
use crate::config::Workspace;
use crate::overlay::{self, AttrPath};
use crate::patch::{self, Headers, PatchFile, lint};
use crate::queue::discover::Overlays;
use crate::queue::model::Asking;
use crate::queue::rewrite;
use crate::queue::session;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Edit {
    /// The trailer has this value; the first of that key, if there are several.
    Set(String, String),
    /// There is one more trailer.
    Add(String, String),
    /// No trailer of that key is left, or none of that key and value.
    Remove(String, Option<String>),
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Headed {
    pub attr: AttrPath,
    pub path: PathBuf,
    /// What it says, after the edits.
    #[serde(flatten)]
    pub headers: Headers,
    pub edited: bool,
    pub dry_run: bool,
    pub files: Vec<PathBuf>,
}

/// Shows or edits the header of a patch.
///
/// # Errors
/// [`crate::queue::error::Error::NoSuchPatch`]; [`Error::Usage`] for a status, sign-off or CVE that has not the form that tools read;
/// [`Error::Patch`] for a key or value that cannot stand on one line.
pub fn header(
    workspace: &Workspace,
    attr: &str,
    patch: &str,
    edits: &[Edit],
    dry_run: bool,
    offline: bool,
) -> Result<Headed, Error> {
    let attr = AttrPath::parse(attr).map_err(overlay::Error::from)?;
    let overlays = Overlays::read(workspace, None)?;
    let series = overlays.queue(workspace, &attr)?;
    let at = series.find(patch)?;
    let mut wanted = rewrite::keep(&series);
    // In bounds: `find` found it there, and `keep` keeps each.
    let (entry, meant) = (&series.patches[at], &mut wanted[at]);
    let path = entry.path.clone();
    for edit in edits {
        meant.bytes = match edit {
            Edit::Set(key, value) => patch::set_trailer(&meant.bytes, key, value),
            Edit::Add(key, value) => patch::add_trailer(&meant.bytes, key, value),
            Edit::Remove(key, value) => patch::remove_trailer(&meant.bytes, key, value.as_deref()),
        }
        .map_err(|e| Error::Patch(e.in_file(&path)))?;
    }
    refuse_malformed(&entry.name(), &entry.bytes, &meant.bytes)?;
    let headers = PatchFile::parse(&meant.bytes).map_err(|e| Error::Patch(e.in_file(&path)))?.headers();
    let mut files = Vec::new();
    if !edits.is_empty() {
        session::refuse_unfinished(workspace, &attr)?;
        let how = Asking { nixpkgs: None, offline };
        let plan = rewrite::plan(workspace, &overlays, &series, &wanted, how, rewrite::Binding::AsItIs)?;
        files = plan.batch.changes();
        if !dry_run {
            plan.commit(workspace)?;
        }
    }
    Ok(Headed { attr, path, headers, edited: !edits.is_empty(), dry_run, files })
}

/// Refuses an edit that writes a line which `lint` would complain of; what was so before stays as it is.
fn refuse_malformed(name: &str, before: &[u8], after: &[u8]) -> Result<(), Error> {
    let malformed = |bytes: &[u8]| -> Vec<lint::Finding> {
        let findings = PatchFile::parse(bytes).map(|patch| lint::lint(name, &patch, &lint::Rules::default()));
        let mut findings = findings.unwrap_or_default();
        findings.retain(|finding| matches!(finding.code, "OV0243" | "OV0245" | "OV0247"));
        findings
    };
    let before = malformed(before);
    match malformed(after).into_iter().find(|new| before.iter().all(|old| old.message != new.message)) {
        Some(finding) => {
            Err(crate::targets::Error::Usage { message: finding.message, hint: finding.hint.to_string() }.into())
        }
        None => Ok(()),
    }
}

impl Outcome for Headed {
    const SCHEMA: &'static str = "overlayctl.header/1";
}
