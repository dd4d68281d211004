//! The outcome of a build as a file for other programs: the JSON of `--json`, or JUnit's XML, which every CI server reads.

use std::fmt::Write as _;
use std::path::PathBuf;

use serde::Serialize;

use super::plan::Planned;
use super::{Built, Fate};
use crate::base::fs::{self, FsError};
use crate::base::xml::escaped;
use crate::nix;
use crate::ops::{Error, Outcome as _};

/// A file that the outcome is written to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportFile {
    pub format: ReportFormat,
    pub path: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReportFormat {
    /// What `--json` prints.
    Json,
    /// JUnit's XML: a test case for each derivation and each target.
    Junit,
}

#[derive(Serialize)]
struct WithSchema<'a> {
    schema: &'static str,
    #[serde(flatten)]
    built: &'a Built,
}

/// Writes the reports, each in the place of an older one.
pub(super) fn write(built: &Built, reports: &[ReportFile]) -> Result<(), Error> {
    for report in reports {
        let text = match report.format {
            ReportFormat::Junit => junit(built),
            ReportFormat::Json => json(built).map_err(|source| FsError::Write { path: report.path.clone(), source })?,
        };
        fs::write(&report.path, text.as_bytes())?;
    }
    Ok(())
}

fn json(built: &Built) -> std::io::Result<String> {
    let mut text = serde_json::to_string_pretty(&WithSchema { schema: Built::SCHEMA, built })?;
    text.push('\n');
    Ok(text)
}

/// Returns JUnit's XML: `testsuite` with a `testcase` for each derivation, as Jenkins, GitLab and GitHub's actions read it.
fn junit(built: &Built) -> String {
    let fates: Vec<&Fate> = built.rebuild.iter().chain(&built.others).collect();
    let failures = fates.iter().filter(|f| f.outcome == nix::Outcome::Failed).count();
    let errors = built.targets.iter().filter(|t| !t.built && !built.dry_run).count() + built.failed_targets.len();
    // Of a plan nothing is known to work: what would be built, and the targets, were not tried.
    let planned: &[Planned] = if built.dry_run { &built.plan.build } else { &[] };
    let tried = if built.dry_run { 0 } else { built.targets.len() };
    let skipped = fates.iter().filter(|f| why_skipped(f.outcome).is_some()).count();
    let skipped = skipped + planned.len() + built.targets.len() - tried;
    let tests = fates.len() + planned.len() + built.targets.len() + built.failed_targets.len();
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let _ = writeln!(
        xml,
        "<testsuite name=\"overlayctl build\" tests=\"{tests}\" failures=\"{failures}\" errors=\"{errors}\" skipped=\"{skipped}\" time=\"{:.3}\">",
        built.seconds
    );
    for fate in fates {
        let name = escaped(&fate.name);
        let time = fate.seconds.unwrap_or_default();
        let _ = write!(xml, "  <testcase classname=\"derivation\" name=\"{name}\" time=\"{time:.3}\"");
        let failure = built.failures.iter().find(|f| f.drv_path == fate.drv_path);
        if let Some(failure) = failure {
            let reason = escaped(&failure.reason);
            let _ = writeln!(xml, ">\n    <failure message=\"{reason}\">{}</failure>\n  </testcase>", told(failure));
        } else if let Some(why) = why_skipped(fate.outcome) {
            let _ = writeln!(xml, "><skipped message=\"{why}\"/></testcase>");
        } else {
            xml.push_str("/>\n");
        }
    }
    for planned in planned {
        let name = escaped(&planned.name);
        let _ = writeln!(
            xml,
            "  <testcase classname=\"derivation\" name=\"{name}\"><skipped message=\"would be built\"/></testcase>"
        );
    }
    for target in &built.targets {
        let _ = write!(xml, "  <testcase classname=\"target\" name=\"{}\"", escaped(&target.target));
        if built.dry_run {
            xml.push_str("><skipped message=\"only the plan was made\"/></testcase>\n");
        } else if target.built {
            xml.push_str("/>\n");
        } else {
            xml.push_str("><error message=\"not built\"/></testcase>\n");
        }
    }
    for failed in &built.failed_targets {
        let (name, why) = (escaped(&failed.target), escaped(&failed.failure.message));
        let _ = writeln!(xml, "  <testcase classname=\"target\" name=\"{name}\"><error message=\"{why}\"/></testcase>");
    }
    xml.push_str("</testsuite>\n");
    xml
}

fn why_skipped(outcome: nix::Outcome) -> Option<&'static str> {
    match outcome {
        nix::Outcome::Blocked => Some("something that it needs failed"),
        nix::Outcome::NotRun => Some("not run"),
        _ => None,
    }
}

fn told(failure: &super::BuildFailure) -> String {
    let mut text = String::new();
    if let Some(phase) = &failure.phase {
        let _ = writeln!(text, "phase: {phase}");
    }
    if let Some(patch) = &failure.patch {
        let _ = writeln!(text, "patch: {}: {}", patch.patch, patch.said);
    }
    let _ = writeln!(text, "chain: {}\nwhole log: {}", failure.chain.join(" -> "), failure.log_command);
    for line in &failure.tail {
        let _ = writeln!(text, "{line}");
    }
    escaped(&text)
}
