//! `lint --patches`: what the headers of the queues should say and do not, and which CVEs the queues fix.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde::Serialize;

use super::{Error, Outcome};
use crate::base::diagnostic::{Coded as _, Verdict};
use crate::config::Workspace;
use crate::overlay::AttrPath;
pub use crate::patch::Style;
use crate::patch::lint::{self, Rules, Upstream};
use crate::patch::{Headers, PatchFile, Standing};
use crate::queue::discover::Overlays;
use crate::queue::series::Entry;

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Linted {
    pub clean: bool,
    pub packages: Vec<Package>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Package {
    pub attr: AttrPath,
    /// The convention by which its headers were read.
    pub style: Style,
    /// The CVEs that its queue fixes.
    pub cves: BTreeSet<String>,
    pub patches: Vec<Patch>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Patch {
    pub path: PathBuf,
    /// Where it stands with upstream.
    pub upstream_status: Upstream,
    /// The same in the words of its own convention.
    pub upstream: Standing,
    pub cves: BTreeSet<String>,
    pub findings: Vec<lint::Finding>,
}

/// Lints the patches of queues; of all that are patched when `attrs` is empty. Each queue is read by the style that it follows, unless one is named.
pub fn lint(workspace: &Workspace, attrs: &[String], style: Option<Style>) -> Result<Linted, Error> {
    let overlays = Overlays::read(workspace, None)?;
    let attrs = overlays.typed_or_all(workspace, attrs)?;
    let mut packages = Vec::new();
    for attr in attrs {
        let series = overlays.queue(workspace, &attr)?;
        let headers = series.patches.iter().filter_map(|e| Some(PatchFile::parse(&e.bytes).ok()?.headers()));
        let headers: Vec<Headers> = headers.collect();
        let style = style.unwrap_or_else(|| Style::of(&headers));
        let patches: Vec<Patch> = series.patches.iter().map(|entry| patch(entry, style)).collect();
        let cves = patches.iter().flat_map(|p| p.cves.iter().cloned()).collect();
        packages.push(Package { attr, style, cves, patches });
    }
    let clean = packages.iter().all(|p| p.patches.iter().all(|p| p.findings.is_empty()));
    Ok(Linted { clean, packages })
}

fn patch(entry: &Entry, style: Style) -> Patch {
    let name = entry.name();
    let (findings, cves) = match PatchFile::parse(&entry.bytes) {
        Ok(parsed) => (lint::lint(&name, &parsed, &Rules { style, ..Rules::default() }), lint::cves(&name, &parsed)),
        Err(error) => {
            let line = error.place().and_then(|p| p.line_col).map_or(0, |at| at.line);
            let finding =
                lint::Finding { code: error.code(), message: error.to_string(), line, hint: "it is no usable patch" };
            (vec![finding], BTreeSet::new())
        }
    };
    let standing = PatchFile::parse(&entry.bytes).map(|parsed| parsed.standing());
    let upstream = standing.unwrap_or(Standing::OpenEmbedded(Upstream::Missing));
    Patch { path: entry.path.clone(), upstream_status: lint::upstream_status(&entry.bytes), upstream, cves, findings }
}

impl Outcome for Linted {
    const SCHEMA: &'static str = "overlayctl.lint-patches/1";

    fn verdict(&self) -> Option<Verdict> {
        (!self.clean).then_some(Verdict::No)
    }
}
