//! What `bump` shows.

use std::time::Duration;

use crate::base::text::{duration, plural};
use crate::ops::bump::{Bisected, Board, Bumped, Package, Patch};
use crate::ops::check::State as Fit;
use crate::ops::rebase::State;
use crate::view::{Block, Document, Role, Shown, Table, Text};

/// How many derivations of a board are named where not all are asked for.
const FEW: usize = 12;

impl Patch {
    /// Says what becomes of it.
    fn fate(&self) -> (Role, &'static str) {
        match self.merge {
            _ if self.is_upstream() => (Role::Good, "upstream: dropped"),
            Some(State::Rebased) if self.applies == Fit::Clean => (Role::Good, "stays"),
            Some(State::Rebased) => (Role::Good, "merges"),
            Some(State::Skipped) => (Role::Warn, "skipped: dropped"),
            Some(State::Conflict) => (Role::Bad, "to be resolved by hand"),
            Some(State::Empty) => (Role::Bad, "nothing left of it"),
            Some(State::Waiting) => (Role::Bad, "not known: one before it conflicts"),
            Some(State::Merged) => (Role::Good, "upstream: dropped"),
            None if self.needs_a_hand() => (Role::Bad, "by hand: the source is the same as before"),
            None => (Role::Good, "stays: the source is the same"),
        }
    }
}

fn patches(packages: &[Package]) -> Table {
    let mut table = Table::new(["package", "patch", "applies", "then", "detail"]);
    for package in packages {
        let versions = match (&package.from, &package.to) {
            (Some(from), Some(to)) if from == to => format!(" {to}"),
            (Some(from), Some(to)) => format!(" {from} -> {to}"),
            _ => String::new(),
        };
        let mut first = Role::Name.text(package.attr.to_string()).with(Role::Dim, versions);
        let mut row = |cells: [Text; 4]| {
            let attr = std::mem::take(&mut first);
            table.rows.push(std::iter::once(attr).chain(cells).collect());
        };
        if let Some(gone) = &package.gone {
            row(["".into(), Role::Bad.text("attribute"), "by hand".into(), gone.words().into()]);
        } else if let Some(failure) = &package.failure {
            row(["".into(), Role::Bad.text("not known"), "by hand".into(), failure.message.clone().into()]);
        }
        for patch in &package.patches {
            let file = patch.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let role = match patch.applies {
                Fit::Clean | Fit::Offset | Fit::AlreadyUpstream => Role::Good,
                _ => Role::Warn,
            };
            let detail = match patch.files.is_empty() {
                true => patch.detail.clone(),
                false => format!("conflicts in {}", patch.files.join(", ")),
            };
            let (fate, words) = patch.fate();
            row([file.into(), role.text(patch.applies.words()), fate.text(words), detail.into()]);
        }
        for fetched in &package.fetched {
            let role = if fetched.applies { Role::Good } else { Role::Bad };
            row([
                Text::from(&fetched.name).with(Role::Dim, " fetched"),
                role.text(fetched.state.words()),
                if fetched.applies { "stays".into() } else { Role::Bad.text("by hand") },
                fetched.detail.clone().into(),
            ]);
        }
    }
    table
}

fn board(board: &Board, verbose: bool, document: &mut Document) {
    let name = board.board.as_ref().map_or("targets".to_owned(), |name| format!("board {name}"));
    let (own, theirs) = (board.of_patches.len(), board.of_nixpkgs.len());
    document.blank();
    document.line(
        Role::Name
            .text(name)
            .plain(format!(
                ": {} of your patches, {} of the new nixpkgs",
                plural(own, "build"),
                plural(theirs, "build")
            ))
            .with(Role::Dim, format!(" ({})", board.targets.join(", "))),
    );
    if own > 0 {
        let most = if verbose { usize::MAX } else { FEW };
        let mut names: Vec<&str> = board.of_patches.iter().take(most).map(|built| built.name.as_str()).collect();
        let more = format!("and {} more", own.saturating_sub(most));
        names.extend((own > most).then_some(more.as_str()));
        document.line(format!("  yours: {}", names.join(", ")));
        document.line(format!("  critical chain: {}", board.critical_chain.join(" -> ")));
        let time = board.expected_seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        document.line(match time {
            Some(time) => format!("  expected: {} along that chain, by earlier builds", duration(time)),
            None => format!("  expected: not known, {} of {own} were never built here", board.unknown_times),
        });
    }
    for failure in &board.failures {
        let whose = match (failure.before, failure.without_overlays) {
            (false, _) => "it does not as the workspace is either",
            (true, Some(true)) => "it does without the overlays",
            (true, Some(false)) => "nor does it without the overlays: it is nixpkgs' own",
            (true, None) => "without the overlays it is no target",
        };
        let words = format!("  {} does not evaluate ({whose}): ", failure.target);
        document.line(Role::Bad.text(words).plain(failure.message.clone()));
    }
    board.unknown.iter().for_each(|unknown| document.line(Role::Warn.text(format!("  not known: {unknown}"))));
}

impl Shown for Bumped {
    fn document(&self, verbose: bool) -> Document {
        let mut document = Document::new();
        let known = |word: &Option<String>| word.clone().unwrap_or_else(|| "not known".into());
        document.heading(format!("{}: {} -> {}", self.pin.shown, known(&self.pin.from), known(&self.pin.to)));
        document.blank();
        if self.packages.is_empty() {
            document.line("nothing is patched");
        } else {
            document.push(Block::Table(patches(&self.packages)));
        }
        if !self.unnecessary.is_empty() {
            document.blank();
            let names: Vec<String> = self.unnecessary.iter().map(|path| path.display().to_string()).collect();
            document.line(Role::Good.text("no longer needed: ").plain(names.join(", ")));
        }
        for broken in &self.overlays {
            document.blank();
            let board = broken.board.as_ref().map_or(String::new(), |board| format!(" for the board {board}"));
            document
                .line(Role::Bad.text(format!("{}: `{}` does not evaluate any more{board}", broken.place, broken.name)));
            let at = broken.at.as_ref().map_or(String::new(), |at| format!(" (at {at})"));
            document.line(format!("  {}{at}", broken.message));
        }
        self.boards.iter().for_each(|one| board(one, verbose, &mut document));
        if self.boards.iter().any(|board| !board.of_nixpkgs.is_empty()) {
            document
                .line(Role::Dim.text(
                    "what the new nixpkgs has without your patches is for its cache to have; no cache was asked",
                ));
        }
        self.unknown.iter().for_each(|unknown| {
            document.blank();
            document.line(Role::Warn.text(format!("not known: {unknown}")));
        });
        document.blank();
        self.end(verbose, &mut document);
        document
    }
}

impl Bumped {
    /// Says how it stands, and what to do next.
    fn end(&self, verbose: bool, document: &mut Document) {
        if let Some(refused) = &self.not_applied {
            document.line(Role::Bad.text("not applied: ").plain(refused.why.clone()));
            document.line(Role::Dim.text("hint: ").plain(refused.hint.clone()));
            document.line("nothing was written");
            return;
        }
        match &self.applied {
            Some(applied) => {
                document.append(applied.document(verbose));
                if applied.written {
                    document.line(Role::Good.text("done: the queues and the pin are written"));
                }
            }
            None if self.packages.iter().any(Package::needs_a_hand) => {
                let by_hand: usize = self
                    .packages
                    .iter()
                    .map(|package| package.patches.iter().filter(|patch| patch.needs_a_hand()).count())
                    .sum();
                document.line(Role::Bad.text(match by_hand {
                    0 => "something needs a hand".to_owned(),
                    by_hand => {
                        format!("{} to be resolved by hand", plural(by_hand, "patch").replace("patchs", "patches"))
                    }
                }));
                document.line(
                    Text::from("Next: ")
                        .with(Role::Command, "--apply")
                        .plain(" begins it, and stops where a patch conflicts"),
                );
            }
            None => document.line(
                Text::from("Next: ")
                    .with(Role::Command, "--apply")
                    .plain(" writes the queues, the overlays and the pin"),
            ),
        }
    }
}

impl Shown for Bisected {
    fn document(&self, _verbose: bool) -> Document {
        let mut document = Document::new();
        document.line(format!("{} between {} and {}", plural(self.between, "revision"), self.from, self.to));
        for finding in &self.findings {
            document.blank();
            let what = Role::Name.text(finding.what.clone());
            match (&finding.first, &finding.last_before, &finding.unknown) {
                (Some(first), Some(last), _) => {
                    document.line(what.with(Role::Bad, " broke at ").plain(first.clone()));
                    document.line(format!("  last before: {last}"));
                }
                (_, _, Some(unknown)) => document.line(what.with(Role::Warn, format!(": {unknown}"))),
                _ => document.line(what.with(Role::Good, " is fine in the new revision")),
            }
            if let Some(message) = finding.message.as_ref().filter(|_| finding.broken != Some(false)) {
                document.line(format!("  {message}"));
            }
            if finding.unclear > 0 {
                document.line(
                    Role::Warn.text(format!("  {} between the two say nothing", plural(finding.unclear, "revision"))),
                );
            }
        }
        document
    }
}
