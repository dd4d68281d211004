//! What `gate` shows: to people, and as the checks that CI servers are told.

use std::time::Duration;

use indicatif::HumanBytes;

use super::impact::builds;
use crate::base::span::Place;
use crate::base::text::{duration, plural};
use crate::config::budget::{Key, Limit};
use crate::ops::gate::{Blame, Gate, Judged, Measured, Site, Standing};
use crate::ops::impact::names::chain_text;
use crate::report::checks::{Check, Checks, Spot, Verdict};
use crate::view::{Document, Role, Shown};

/// Returns an amount of what a key counts.
fn amount(key: Key, number: u64) -> String {
    let count = |one: &str| plural(usize::try_from(number).unwrap_or(usize::MAX), one);
    match key {
        Key::Builds => count("build"),
        Key::OwnBuilds => format!("{} that no cache has", count("build")),
        Key::BuildTime => duration(Duration::from_secs(number)),
        Key::ClosureGrowth => HumanBytes(number).to_string(),
        Key::Unproven => count("unproven verdict"),
        Key::Lint => count("finding"),
        Key::PatchesWithoutStatus => {
            format!(
                "{} without upstream status",
                if number == 1 { "1 patch".to_owned() } else { format!("{number} patches") }
            )
        }
    }
}

/// Returns what was measured, with what is not known of it.
fn measured(key: Key, of: &Measured) -> String {
    match of.most {
        Some(most) if most == of.least => amount(key, most),
        Some(most) => format!("between {} and {}", amount(key, of.least), amount(key, most)),
        None if of.least == 0 => "unknown".to_owned(),
        None => format!("at least {}", amount(key, of.least)),
    }
}

fn name(limit: &Limit) -> String {
    format!("{} of {}", limit.key.name(), limit.scope)
}

fn most(limit: &Limit, number: u64) -> String {
    match limit.key {
        Key::ClosureGrowth => format!("{} ({number} B)", HumanBytes(number)),
        Key::BuildTime => duration(Duration::from_secs(number)),
        _ => number.to_string(),
    }
}

fn spot(site: &Site) -> Spot {
    Spot { file: site.file.clone(), line: site.line, column: site.column }
}

/// Returns `FILE:LINE`, as the user would write the file.
fn shown(site: &Site) -> String {
    let line = site.line.map(|line| format!(":{line}")).unwrap_or_default();
    format!("{}{line}", site.path.display())
}

fn cause(blame: &Blame, at: impl Fn(&Site) -> String) -> String {
    let site = blame.site.as_ref().map(|site| format!(" at {}", at(site))).unwrap_or_default();
    let count = blame.count.map(|count| format!(" ({})", plural(count, "derivation"))).unwrap_or_default();
    format!("{}{site}{count}", blame.what)
}

/// How many causes are named.
const CAUSES: usize = 5;

impl Judged {
    fn verdict(&self) -> Verdict {
        match self.standing {
            Standing::Within => Verdict::Good,
            Standing::Over => Verdict::Bad,
            Standing::Unknown => Verdict::Unknown,
        }
    }

    fn message(&self) -> String {
        let (limit, most) = (&self.limit, most(&self.limit, self.limit.most));
        format!("{}: {}, at most {most} allowed", name(limit), measured(limit.key, &self.measured))
    }

    /// Returns what belongs to it, a line each.
    fn details(&self, at: impl Fn(&Site) -> String, untold: Option<&str>, verbose: bool) -> Vec<String> {
        let mut lines = Vec::new();
        if self.standing == Standing::Within {
            return lines;
        }
        lines.extend(self.measured.why.clone());
        let some = if verbose { self.causes.len() } else { CAUSES };
        lines.extend(self.causes.iter().take(some).map(|blame| format!("because of {}", cause(blame, &at))));
        if self.causes.len() > some {
            lines.push(format!("and {} more (--verbose shows all)", self.causes.len() - some));
        }
        if !self.chain.is_empty() {
            lines.push(format!("chain {}", chain_text(&self.chain, verbose)));
        }
        if self.without_cause > 0 {
            let why = untold.map(|why| format!(": {why}")).unwrap_or_default();
            lines.push(format!("of {} no single change is the cause{why}", plural(self.without_cause, "derivation")));
        }
        lines.push(format!("the limit is at {}", at(&self.site)));
        lines.extend(self.measured.advice.iter().map(|advice| format!("to know it: {advice}")));
        lines
    }
}

impl Gate {
    fn summary(&self) -> String {
        let changes = plural(self.since.changes.len(), "change");
        format!(
            "{changes} since {}: {} for {}",
            self.since.revision,
            builds(self.counts),
            plural(self.targets.len(), "target")
        )
    }

    /// Returns what is not about one limit that was measured: a message with its code and its place.
    fn others(&self) -> Vec<(Verdict, &'static str, String, String, Option<Site>)> {
        let mut all = Vec::new();
        for (failed, site) in self.failures.iter().zip(&self.failing) {
            let name = format!("evaluation of {}", failed.target);
            let message = format!("{} does not evaluate: {}", failed.target, failed.failure.message);
            all.push((Verdict::Bad, "OV1223", name, message, site.clone()));
        }
        for loosened in &self.loosened {
            let (limit, old) = (&loosened.limit, most(&loosened.limit, loosened.limit.most));
            let how = match loosened.now {
                Some(now) => format!("is raised from {old} to {}", most(limit, now)),
                None => format!("of at most {old} is taken away"),
            };
            let stands = match loosened.standing {
                Standing::Within => "the change would have kept it".to_owned(),
                Standing::Over => {
                    format!("the change would have broken it: {}", measured(limit.key, &loosened.measured))
                }
                Standing::Unknown => "whether the change would have kept it is unknown".to_owned(),
            };
            let message = format!("the budget {} {how} by the change itself; {stands}", name(limit));
            all.push((
                Verdict::Note,
                "OV1222",
                format!("loosened {}", name(limit)),
                message,
                Some(loosened.site.clone()),
            ));
        }
        for idle in &self.idle {
            let message = format!("the budget {} was not looked at: {}", name(&idle.limit), idle.why);
            all.push((
                Verdict::Note,
                "OV1224",
                format!("idle {}", name(&idle.limit)),
                message,
                Some(idle.site.clone()),
            ));
        }
        for target in &self.since.only_before {
            let message = format!("{target} is no longer looked at: it was a target in {}", self.compared_with);
            all.push((Verdict::Note, "OV1225", format!("gone {target}"), message, None));
        }
        for one in self.unreached.iter().filter(|one| one.ours) {
            let message = format!("{} reaches no target: {}: {}", one.attr, one.patch, one.reason);
            all.push((Verdict::Note, one.code, format!("unreached {} {}", one.attr, one.patch), message, None));
        }
        if self.is_unbudgeted() {
            let message = "no budget is set in overlayctl.toml, so nothing was judged".to_owned();
            all.push((Verdict::Note, "OV1226", "no budget".to_owned(), message, None));
        }
        all
    }

    /// Returns what CI servers are told.
    pub fn checks(&self) -> Checks {
        let at = |site: &Site| spot(site).to_string();
        let mut checks: Vec<Check> = self
            .limits
            .iter()
            .map(|judged| Check {
                code: if judged.standing == Standing::Unknown { "OV1221" } else { "OV1220" },
                verdict: judged.verdict(),
                name: name(&judged.limit),
                message: judged.message(),
                spot: Some(spot(judged.causes.first().and_then(|blame| blame.site.as_ref()).unwrap_or(&judged.site))),
                details: judged.details(at, self.since.untold.as_deref(), false),
            })
            .collect();
        checks.extend(self.others().into_iter().map(|(verdict, code, name, message, site)| Check {
            code,
            verdict: if verdict == Verdict::Note && self.strict { Verdict::Bad } else { verdict },
            name,
            message,
            spot: Some(spot(site.as_ref().unwrap_or(&self.file))),
            details: Vec::new(),
        }));
        let changes = self.since.changes.iter().map(|change| {
            let line = change.place.as_ref().and_then(|place| place.line_col).map(|at| at.line);
            let spot = change.file.clone().map(|file| Spot { file, line, column: None });
            format!("{change}  {}{}", change.how.word(), spot.map(|spot| format!("  {spot}")).unwrap_or_default())
        });
        let changes = changes.collect();
        Checks { tool: "overlayctl gate", passed: self.passed, summary: self.summary(), checks, changes }
    }
}

impl Shown for Gate {
    fn document(&self, verbose: bool) -> Document {
        let mut document = Document::new();
        for change in &self.since.changes {
            let place = change.place.as_ref().map(Place::to_string).unwrap_or_default();
            let line = Role::Dim.text("changed  ").with(Role::Name, change.to_string());
            document.line(line.plain(format!("  {}", change.how.word())).with(Role::Dim, format!("  {place}")));
        }
        if let Some(set) = &self.since.unversioned {
            let text = format!("no revision of the workspace says what {set} was: both sides have it as it is now");
            document.line(Role::Dim.text(text));
        }
        document.blank();
        for judged in &self.limits {
            let (role, word) = match judged.standing {
                Standing::Within => (Role::Good, "ok       "),
                Standing::Over => (Role::Bad, "over     "),
                Standing::Unknown => (Role::Warn, "unknown  "),
            };
            document.line(role.text(word).plain(judged.message()));
            for line in judged.details(shown, self.since.untold.as_deref(), verbose) {
                document.line(format!("         {line}"));
            }
        }
        for (verdict, _, _, message, site) in self.others() {
            let role = if verdict == Verdict::Bad || self.strict { Role::Bad } else { Role::Warn };
            let site = site.as_ref().map(|site| format!("  {}", shown(site))).unwrap_or_default();
            document.line(role.text("note     ").plain(message).with(Role::Dim, site));
        }
        document.blank();
        document.line(self.summary());
        let base = match (&self.base.key, self.base.from_cache, self.base.kept) {
            (Some(key), true, _) => format!("base {key}: as it was kept, not evaluated"),
            (Some(key), false, true) => format!("base {key}: evaluated, and kept for the next run"),
            (Some(key), false, false) => {
                format!(
                    "base {key}: evaluated; it could not be kept, since not all that its evaluation looked at is known to stay"
                )
            }
            (None, ..) => "base: evaluated; it is not kept, since no key says all that it depends on".to_owned(),
        };
        document.line(Role::Dim.text(base));
        let (role, word) = if self.passed { (Role::Good, "passed") } else { (Role::Bad, "not passed") };
        let doubts = match self.doubts() {
            0 => String::new(),
            count if self.strict => format!(", {} (--strict)", plural(count, "note")),
            count => format!(", {} (--strict makes that a no)", plural(count, "note")),
        };
        let (mut over, mut unknown) = (0, 0);
        for judged in &self.limits {
            over += usize::from(judged.standing == Standing::Over);
            unknown += usize::from(judged.standing == Standing::Unknown);
        }
        let counts =
            format!(": {} kept, {over} over, {unknown} unknown", plural(self.limits.len() - over - unknown, "budget"));
        document.line(role.text(word).plain(format!("{counts}{doubts}")));
        document
    }
}
