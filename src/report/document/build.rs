//! A build as people read it.

use std::time::Duration;

use indicatif::HumanBytes;

use crate::base::progress::machine;
use crate::base::store_path;
use crate::base::text::{duration, plural, shorten};
use crate::comparison::baseline::Baseline;
use crate::nix::Outcome;
use crate::ops::build::plan::Planned;
use crate::ops::build::{BuildFailure, Built, Fate, Plan};
use crate::ops::impact::names::chain_text;
use crate::view::{Block, Document, Role, Shown, Table, Text};

/// How many rows of a table are shown when not asked for more.
const ROWS: usize = 30;
/// The longest name that is shown whole, in characters; --verbose shows all.
const WIDTH: usize = 56;

impl Shown for Built {
    fn document(&self, verbose: bool) -> Document {
        let built = self;
        let mut document = Document::new();
        super::impact::show_unreached(&built.unreached, &mut document);
        super::impact::show_failures(&built.failed_targets, Baseline::Unpatched, &mut document);
        if built.dry_run {
            plan(&built.plan, verbose, &mut document);
            return document;
        }
        fates(&built.rebuild, verbose, &mut document);
        for failed in &built.failures {
            failure(failed, &mut document);
        }
        if built.failures.is_empty() {
            for message in &built.messages {
                document.line(Role::Bad.text(message));
            }
        }
        for target in &built.targets {
            match &target.link {
                Some(link) => document.line(
                    Role::Good.text("built ").with(Role::Name, &target.target).plain(format!("  {}", link.display())),
                ),
                None => document.line(Role::Bad.text("not built ").with(Role::Name, &target.target)),
            }
        }
        document.blank();
        let count = |fates: &[Fate], outcome| fates.iter().filter(|f| f.outcome == outcome).count();
        let now = count(&built.rebuild, Outcome::Built);
        let mut sum = format!("{} of the rebuild set of {} built", now, built.rebuild.len());
        for (outcome, words) in [
            (Outcome::Already, "there already"),
            (Outcome::NotNeeded, "not needed"),
            (Outcome::Substituted, "fetched"),
            (Outcome::Failed, "failed"),
            (Outcome::Blocked, "blocked"),
            (Outcome::NotRun, "not run"),
        ] {
            let count = count(&built.rebuild, outcome);
            if count > 0 {
                sum.push_str(&format!(", {count} {words}"));
            }
        }
        let others = count(&built.others, Outcome::Built);
        if others > 0 {
            sum.push_str(&format!("; {} that the overlays do not touch", plural(others, "other build")));
        }
        document.line(Role::Heading.text(sum).plain(format!(", in {}", seconds(built.seconds))));
        if built.rebuild.iter().any(|fate| fate.log.is_some()) {
            document.line(Role::Dim.text(format!("logs in {}", built.logs.display())));
        }
        if built.interrupted {
            document.line(Role::Warn.text("interrupted: what is finished stays; run it again to go on"));
        }
        document
    }
}

fn fates(fates: &[Fate], verbose: bool, document: &mut Document) {
    if fates.is_empty() {
        return;
    }
    // The logs all have the names of their derivations; where they are is said once, below.
    let header: &[&str] = if verbose { &["rebuild set", "", "took", "log"] } else { &["rebuild set", "", "took"] };
    let mut table = Table::new(header.iter().copied());
    let shown = if verbose { fates.len() } else { fates.len().min(ROWS) };
    for fate in &fates[..shown] {
        let (role, words) = match fate.outcome {
            Outcome::Built => (Role::Good, "built"),
            Outcome::Substituted => (Role::Good, "fetched"),
            Outcome::Already => (Role::Dim, "there already"),
            Outcome::NotNeeded => (Role::Dim, "not needed"),
            Outcome::Failed => (Role::Bad, "failed"),
            Outcome::Blocked => (Role::Warn, "blocked"),
            Outcome::NotRun => (Role::Warn, "not run"),
        };
        let words =
            fate.host.as_ref().map_or_else(|| words.to_string(), |host| format!("{words} on {}", machine(host)));
        let mut row = vec![
            if verbose { fate.name.clone() } else { shorten(&fate.name, WIDTH) }.into(),
            role.text(words),
            fate.seconds.map(seconds).unwrap_or_default().into(),
        ];
        if verbose {
            let log = fate.log.as_ref().map(|l| l.display().to_string()).unwrap_or_default();
            row.push(Role::Dim.text(log));
        }
        table.rows.push(row);
    }
    document.push(Block::Table(table));
    if shown < fates.len() {
        document.line(Role::Dim.text(format!("... and {} more (--verbose shows all)", fates.len() - shown)));
    }
    document.blank();
}

fn plan(plan: &Plan, verbose: bool, document: &mut Document) {
    if plan.build.is_empty() {
        document.line("nothing has to be built");
    } else {
        let mut table = Table::new(["to build", "", "expected"]);
        // Sources are many and quick; what the patches touch comes first.
        let (touched, others): (Vec<&Planned>, Vec<&Planned>) =
            plan.build.iter().filter(|planned| verbose || !planned.fixed_output).partition(|planned| planned.rebuilt);
        let rows = if verbose { plan.build.iter().collect() } else { [touched, others].concat() };
        let shown = if verbose { rows.len() } else { rows.len().min(ROWS) };
        for planned in &rows[..shown] {
            let why = match planned {
                planned if planned.rebuilt => "because of the patches",
                planned if planned.fixed_output => "not there, downloads a source",
                _ => "not there",
            };
            table.rows.push(vec![
                planned.name.clone().into(),
                if planned.rebuilt { Role::Warn } else { Role::Dim }.text(why),
                planned.expected_seconds.map_or_else(|| "unknown".into(), seconds).into(),
            ]);
        }
        document.push(Block::Table(table));
        if shown < rows.len() {
            document.line(Role::Dim.text(format!("... and {} more (--verbose shows all)", rows.len() - shown)));
        }
        if rows.len() < plan.build.len() {
            let sources = plural(plan.build.len() - rows.len(), "source");
            document.line(Role::Dim.text(format!("... and {sources} to download")));
        }
        document.blank();
        document.line(Role::Dim.text("critical path  ").plain(chain_text(&plan.critical_path, verbose)));
    }
    if !plan.fetch.is_empty() {
        fetches(plan, verbose, document);
    }
    let sources = plan.build.iter().filter(|planned| planned.fixed_output).count();
    let mut sum = plural(plan.build.len() - sources, "build");
    if sources > 0 {
        sum.push_str(&format!(", {} to download", plural(sources, "source")));
    }
    sum.push_str(&format!(", {} to fetch", plan.fetch.len()));
    // Nix rounds to hundredths of MiB; the caches say it exactly, if all of them answer.
    let exact: Option<u64> = plan.fetch.iter().map(|f| f.bytes).sum();
    match (exact.filter(|n| *n > 0), &plan.download) {
        (Some(size), _) => sum.push_str(&format!(" ({})", HumanBytes(size))),
        (None, Some(words)) => sum.push_str(&format!(" ({words})")),
        (None, None) => {}
    }
    sum.push_str(&format!(", {} of the rebuild set there already", plan.there));
    if plan.not_needed > 0 {
        sum.push_str(&format!(", {} not needed", plan.not_needed));
    }
    sum.push_str("; expected time: ");
    sum.push_str(&match plan.expected_seconds {
        _ if plan.build.is_empty() => "none".to_string(),
        Some(time) => format!("about {}, by earlier builds", seconds(time)),
        None => format!("unknown ({} never built here before)", plan.unknown_times),
    });
    document.line(Role::Heading.text(sum));
    for warning in &plan.warnings {
        document.line(Role::Warn.text(warning));
    }
}

fn fetches(plan: &Plan, verbose: bool, document: &mut Document) {
    let mut table = Table::new(["to fetch", "from", "size"]);
    let shown = if verbose { plan.fetch.len() } else { plan.fetch.len().min(ROWS) };
    for fetched in &plan.fetch[..shown] {
        let from = match &fetched.from {
            Some(cache) => Text::from(cache.clone()),
            None => Role::Warn.text("no cache says that it has it (any more)"),
        };
        let size = fetched.bytes.map(|size| HumanBytes(size).to_string()).unwrap_or_else(|| "unknown".into());
        table.rows.push(vec![store_path::name(&fetched.path).to_string().into(), from, size.into()]);
    }
    document.blank();
    document.push(Block::Table(table));
    if shown < plan.fetch.len() {
        document.line(Role::Dim.text(format!("... and {} more", plan.fetch.len() - shown)));
    }
    document.blank();
}

fn failure(failed: &BuildFailure, document: &mut Document) {
    let phase = failed.phase.as_ref().map(|p| format!(" in {p}")).unwrap_or_default();
    let host = failed.host.as_ref().map(|h| format!(" on {}", machine(h))).unwrap_or_default();
    document.line(Role::Bad.text(format!("failed {}", failed.name)).plain(format!("{phase}{host}: {}", failed.reason)));
    if let Some(patch) = &failed.patch {
        let file = patch.file.as_ref().map(|f| format!(", file {f}")).unwrap_or_default();
        let hunk = patch.hunk.map(|h| format!(", hunk {h}")).unwrap_or_default();
        document.line(Role::Warn.text(format!("  the patch {}{file}{hunk}: {}", patch.patch, patch.said)));
    }
    document.line(Role::Dim.text("  chain   ").plain(failed.chain.join(" -> ")));
    for line in &failed.tail {
        document.line(Role::Dim.text("  | ").plain(line));
    }
    document.line(Role::Dim.text("  whole log  ").with(Role::Command, &failed.log_command));
    if !failed.blocked.is_empty() {
        document.line(Role::Dim.text("  blocks  ").plain(failed.blocked.join(", ")));
    }
    document.blank();
}

fn seconds(time: f64) -> String {
    duration(Duration::try_from_secs_f64(time).unwrap_or_default())
}
