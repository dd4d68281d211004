//! What `verify` found, put together: the verdicts, how many of each, and how the process ends.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::{Cause, Finding, Level, Package, Verdict};
use crate::base::diagnostic::{Verdict as Ending, Warning};
use crate::comparison::TargetFailure;
use crate::comparison::unreached::Unreached;
use crate::overlay::AttrPath;

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Verified {
    pub verified: bool,
    pub targets: Vec<VerifiedTarget>,
    pub packages: Vec<Package>,
    /// The verdicts: per target, package and level.
    pub findings: Vec<Finding>,
    /// How many verdicts of each kind.
    pub counts: Counts,
    pub failures: Vec<TargetFailure>,
    /// Patches of the workspace that reach none of the targets.
    pub unreached: Vec<Unreached>,
    pub warnings: Vec<Warning>,
    /// Whether what cannot be known is no failure.
    pub allow_unknown: bool,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VerifiedTarget {
    /// Its whole attribute path.
    pub target: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub board: Option<String>,
    pub drv_path: String,
    pub out_path: String,
    pub built: bool,
}

/// How many verdicts of each kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Counts {
    pub ok: usize,
    pub failed: usize,
    pub unknown: usize,
    pub not_applicable: usize,
}

/// Puts the verdicts together: what one target does not need is no failure as long as another one does.
pub(super) fn settle(verified: &mut Verified) {
    let needed: BTreeSet<AttrPath> = verified
        .findings
        .iter()
        .filter(|f| f.level == Level::Derivation && f.cause != Some(Cause::NotADependency))
        .filter_map(|f| f.package.clone())
        .collect();
    for finding in &mut verified.findings {
        if finding.cause == Some(Cause::NotADependency) && finding.package.as_ref().is_some_and(|p| needed.contains(p))
        {
            finding.verdict = Verdict::NotApplicable;
            finding.why = "the target does not need the package".into();
            (finding.cause, finding.code, finding.hint) = (None, None, None);
        }
    }
    let mut counts: BTreeMap<Verdict, usize> = BTreeMap::new();
    for finding in &verified.findings {
        *counts.entry(finding.verdict).or_default() += 1;
    }
    let count = |verdict| counts.get(&verdict).copied().unwrap_or_default();
    verified.counts = Counts {
        ok: count(Verdict::Ok),
        failed: count(Verdict::Failed),
        unknown: count(Verdict::Unknown),
        not_applicable: count(Verdict::NotApplicable),
    };
    verified.verified = verified.ending().is_none();
}

impl Verified {
    /// Returns how the process ends when it is not with 0.
    pub fn ending(&self) -> Option<Ending> {
        match () {
            () if self.counts.failed > 0 => Some(Ending::No),
            () if !self.failures.is_empty() => Some(Ending::Error),
            // Nothing was looked at, so nothing is proven.
            () if self.packages.is_empty() => Some(Ending::No),
            () if self.counts.unknown > 0 && !self.allow_unknown => Some(Ending::No),
            () => None,
        }
    }
}
