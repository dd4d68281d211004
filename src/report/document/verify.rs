//! What was verified as people read it: one row a package and target, and below it what is not as it should be.

use std::collections::BTreeMap;

use crate::base::text::plural;
use crate::comparison::baseline::Baseline;
use crate::overlay::AttrPath;
use crate::verify::{Finding, Level, Verdict};
use crate::verify::{Verified, VerifiedTarget};
use crate::view::{Block, Document, Role, Shown, Table, Text};

impl Shown for Verified {
    fn document(&self, verbose: bool) -> Document {
        let verified = self;
        let mut document = Document::new();
        super::impact::show_unreached(&verified.unreached, &mut document);
        super::impact::show_failures(&verified.failures, Baseline::Unpatched, &mut document);
        document.push(Block::Table(matrix(verified)));
        document.blank();
        if verbose {
            every(verified, &mut document);
        } else {
            problems(verified, &mut document);
        }
        document.line(sum(verified));
        document
    }
}

fn word(verdict: Option<Verdict>) -> Text {
    match verdict {
        Some(Verdict::Ok) => Role::Good.text("ok"),
        Some(Verdict::Failed) => Role::Bad.text("FAILED"),
        Some(Verdict::Unknown) => Role::Warn.text("unknown"),
        Some(Verdict::NotApplicable) => Role::Dim.text("-"),
        None => Text::default(),
    }
}

/// One row a target and package; the levels that look at a target as a whole stand in each of its rows.
fn matrix(verified: &Verified) -> Table {
    let levels: Vec<Level> =
        Level::ALL.into_iter().filter(|level| verified.findings.iter().any(|f| f.level == *level)).collect();
    let boards = verified.targets.iter().any(|t| t.board.is_some());
    let mut header = vec!["target".to_string(), "package".to_string()];
    if boards {
        header.insert(0, "board".to_string());
    }
    header.extend(levels.iter().map(|level| level.name().to_string()));
    let mut rows = Vec::new();
    for target in &verified.targets {
        let own: Vec<&Finding> = verified.findings.iter().filter(|f| is_of(f, target)).collect();
        let mut packages: Vec<Option<&AttrPath>> = Vec::new();
        for package in own.iter().filter_map(|f| f.package.as_ref()) {
            if !packages.contains(&Some(package)) {
                packages.push(Some(package));
            }
        }
        if packages.is_empty() {
            packages.push(None);
        }
        for (i, package) in packages.iter().enumerate() {
            let shown = if i == 0 { target.target.clone() } else { String::new() };
            let mut row =
                vec![Role::Name.text(shown), Text::from(package.map(ToString::to_string).unwrap_or_default())];
            if boards {
                let board = if i == 0 { target.board.clone().unwrap_or_default() } else { String::new() };
                row.insert(0, Text::from(board));
            }
            row.extend(levels.iter().map(|level| {
                let finding =
                    own.iter().find(|f| f.level == *level && (f.package.as_ref() == *package || f.package.is_none()));
                // A verdict on the target as a whole is said once.
                word(finding.filter(|f| f.package.is_some() || i == 0).map(|f| f.verdict))
            }));
            rows.push(row);
        }
    }
    Table { header, rows }
}

fn is_of(finding: &Finding, target: &VerifiedTarget) -> bool {
    finding.target == target.target && finding.board == target.board
}

/// Shows what failed and what is not known; what several targets have in common is said once.
fn problems(verified: &Verified, document: &mut Document) {
    for verdict in [Verdict::Failed, Verdict::Unknown] {
        let mut grouped: Vec<(&Finding, Vec<String>)> = Vec::new();
        for finding in verified.findings.iter().filter(|f| f.verdict == verdict) {
            let same = |other: &Finding| {
                (other.level, &other.why, &other.package, &other.hint)
                    == (finding.level, &finding.why, &finding.package, &finding.hint)
            };
            match grouped.iter_mut().find(|(first, _)| same(first)) {
                Some((_, targets)) => targets.push(called(finding)),
                None => grouped.push((finding, vec![called(finding)])),
            }
        }
        for (finding, targets) in grouped {
            one(finding, &targets, document);
        }
    }
}

fn called(finding: &Finding) -> String {
    match &finding.board {
        Some(board) => format!("{} ({board})", finding.target),
        None => finding.target.clone(),
    }
}

fn one(finding: &Finding, targets: &[String], document: &mut Document) {
    let (role, verdict) = match finding.verdict {
        Verdict::Failed => (Role::Bad, "failed "),
        Verdict::Unknown => (Role::Warn, "unknown "),
        Verdict::Ok => (Role::Good, "ok "),
        Verdict::NotApplicable => (Role::Dim, "not applicable "),
    };
    let who = match targets {
        [] => None,
        [one] => Some(format!("{one}:")),
        several => Some(format!("{}:", plural(several.len(), "target"))),
    };
    let package = finding.package.as_ref().map(|p| format!(" {p}")).unwrap_or_default();
    let colon = if who.is_none() { ": " } else { " " };
    let mut line = role.text(verdict).plain(format!("{}{package}{colon}", finding.level.name()));
    if let Some(who) = who {
        line = line.with(Role::Name, format!("{who} "));
    }
    line = line.plain(&finding.why);
    if let Some(code) = finding.code {
        line = line.with(Role::Dim, format!(" [{code}]"));
    }
    document.line(line);
    if let Some(hint) = &finding.hint {
        document.line(Role::Dim.text("        hint: ").plain(hint));
    }
    if let Some(command) = finding.command.as_ref().filter(|_| finding.verdict == Verdict::Failed) {
        document.line(Role::Dim.text("        see:  ").with(Role::Command, command));
    }
}

/// Shows every verdict with its evidence and its command.
fn every(verified: &Verified, document: &mut Document) {
    let mut by_target: BTreeMap<usize, Vec<&Finding>> = BTreeMap::new();
    for finding in &verified.findings {
        let at = verified.targets.iter().position(|t| is_of(finding, t)).unwrap_or_default();
        by_target.entry(at).or_default().push(finding);
    }
    for (at, findings) in by_target {
        if let Some(target) = verified.targets.get(at) {
            document.heading(&target.target);
        }
        for finding in findings {
            one_line_each(finding, document);
        }
        document.blank();
    }
}

fn one_line_each(finding: &Finding, document: &mut Document) {
    one(finding, &[], document);
    for line in &finding.evidence {
        document.line(Role::Dim.text(format!("        {line}")));
    }
    if let Some(command) = finding.command.as_ref().filter(|_| finding.verdict != Verdict::Failed) {
        document.line(Role::Dim.text("        see:  ").with(Role::Command, command));
    }
}

fn sum(verified: &Verified) -> Text {
    let counts = verified.counts;
    let mut parts = Vec::new();
    for (count, what) in [(counts.failed, "failed"), (counts.unknown, "unknown"), (counts.ok, "ok")] {
        if count > 0 {
            parts.push(format!("{count} {what}"));
        }
    }
    let (role, word) = match (verified.verified, counts.unknown) {
        (true, 0) => (Role::Good, "verified"),
        (true, _) => (Role::Warn, "nothing failed, and not everything is known"),
        (false, _) => (Role::Bad, "not verified"),
    };
    role.text(word).plain(format!(": {}", parts.join(", ")))
}
