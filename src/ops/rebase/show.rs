//! How a rebase is shown.
//!
//! Must not decide anything.

use super::{Rebased, State};
use crate::base::diagnostic::Verdict;
use crate::ops::Outcome;
use crate::view::{Block, Document, Role, Table, Text};

impl State {
    fn words(self) -> (Role, &'static str) {
        match self {
            State::Rebased => (Role::Good, "rebased"),
            State::Merged => (Role::Good, "upstream now: dropped"),
            State::Skipped => (Role::Warn, "skipped: dropped"),
            State::Conflict => (Role::Bad, "conflict"),
            State::Waiting => (Role::Dim, "waiting"),
        }
    }
}

impl Outcome for Rebased {
    const SCHEMA: &'static str = "overlayctl.rebase/1";

    fn document(&self, _verbose: bool) -> Document {
        let mut document = Document::new();
        if self.aborted {
            document.line("the rebase is given up; queues and overlays are as they were");
            return document;
        }
        let mut table =
            Table { header: ["package", "patch", "state", "files"].map(String::from).to_vec(), rows: Vec::new() };
        let mut row = |attr: String, versions: String, file: String, state: (Role, &str), files: String| {
            table.rows.push(vec![
                Text::new().with(Role::Name, attr).with(Role::Dim, versions),
                file.into(),
                Text::new().with(state.0, state.1),
                files.into(),
            ]);
        };
        for package in &self.packages {
            let versions = match (&package.from, &package.to) {
                (Some(from), Some(to)) if from == to => format!(" {to}"),
                (Some(from), Some(to)) => format!(" {from} -> {to}"),
                _ => String::new(),
            };
            let attr = package.attr.to_string();
            if let Some(failure) = &package.failure {
                row(attr, versions, String::new(), (Role::Bad, "not rebased"), failure.message.clone());
                continue;
            }
            if package.same_source {
                row(attr, versions, String::new(), (Role::Good, "same source"), String::new());
                continue;
            }
            for (i, patch) in package.patches.iter().enumerate() {
                let first = i == 0;
                let file = patch.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                row(
                    if first { attr.clone() } else { String::new() },
                    if first { versions.clone() } else { String::new() },
                    file,
                    patch.state.words(),
                    patch.files.join(", "),
                );
            }
        }
        document.push(Block::Table(table));
        for failure in self.packages.iter().filter_map(|p| p.failure.as_ref()) {
            if let Some(hint) = &failure.hint {
                document.line(Text::new().with(Role::Dim, "hint: ").plain(hint.clone()));
            }
        }
        for dir in self.packages.iter().filter_map(|p| p.dir.as_ref()) {
            document.blank();
            if !self.dry_run {
                document.line(format!("resolve the conflict in {}", dir.display()));
            }
        }
        if self.packages.iter().any(|p| p.dir.is_some()) && !self.dry_run {
            document.line(
                Text::new()
                    .plain("then ")
                    .with(Role::Command, "overlayctl rebase --continue")
                    .plain(" (or --skip, or --abort); nothing in the workspace has changed yet"),
            );
        }
        for file in &self.files {
            document.line(Text::new().with(Role::Good, "wrote ").plain(file.display().to_string()));
        }
        document
    }

    fn verdict(&self) -> Option<Verdict> {
        let stuck = self.packages.iter().any(|p| p.failure.is_some() || p.dir.is_some());
        (stuck && !self.aborted).then_some(Verdict::No)
    }
}
