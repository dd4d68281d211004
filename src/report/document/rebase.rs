//! How a rebase is shown.
//!
//! Must not decide anything.

use super::finish::show_files;
use crate::ops::check::State as Fit;
use crate::ops::rebase::time_machine::{Break, Revision, Travelled};
use crate::ops::rebase::{Package, Rebased, State};
use crate::view::{Block, Document, Role, Shown, Table, Text};

impl State {
    fn words(self) -> (Role, &'static str) {
        match self {
            State::Rebased => (Role::Good, "rebased"),
            State::Merged => (Role::Good, "upstream now: dropped"),
            State::Skipped => (Role::Warn, "skipped: dropped"),
            State::Conflict => (Role::Bad, "conflict"),
            State::Empty => (Role::Bad, "nothing left of it"),
            State::Waiting => (Role::Dim, "waiting"),
        }
    }
}

impl Shown for Rebased {
    fn document(&self, _verbose: bool) -> Document {
        let mut document = Document::new();
        if self.aborted {
            document.line(format!("the {} is given up; queues and overlays are as they were", self.by));
            return document;
        }
        let mut table = Table::new(["package", "patch", "state", "files"]);
        let mut row = |attr: String, versions: String, file: String, state: (Role, &str), files: String| {
            table.rows.push(vec![
                Role::Name.text(attr).with(Role::Dim, versions),
                file.into(),
                state.0.text(state.1),
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
                document.line(Role::Dim.text("hint: ").plain(hint.clone()));
            }
        }
        let conflicts: Vec<_> = self.packages.iter().filter_map(|p| Some((p, p.dir.as_ref()?))).collect();
        if self.dry_run && self.packages.iter().any(Package::conflicts) {
            document.blank();
            document.line("the others were merged as if those that conflict were skipped; nothing was written");
        }
        if !conflicts.is_empty() {
            document.blank();
            for (package, dir) in conflicts {
                for patch in &package.patches {
                    for file in &patch.files {
                        let file = dir.join(file).display().to_string();
                        document.line(Role::Bad.text("resolve ").plain(file));
                    }
                    if patch.state == State::Empty {
                        let text = Role::Bad.text("to be skipped ").plain(patch.path.display().to_string());
                        document.line(text.plain(": the patches before it, as they are resolved, leave nothing of it"));
                    }
                }
            }
            document.line(Role::Dim.text("each is a cherry-pick of git in progress there: git status, git mergetool, git add and git commit work",
            ));
            document.line(
                Text::from("Next: ")
                    .with(Role::Command, format!("overlayctl {} --continue", self.by))
                    .plain(" once they are resolved; --skip drops the patch, --abort leaves all as it was"),
            );
            document.line(Role::Dim.text("nothing in the workspace has changed yet"));
        }
        show_files(&mut document, false, &self.files, &self.removed);
        if self.written && !self.files.is_empty() && self.by == "rebase" {
            document.blank();
            document.line("the queue fits the new nixpkgs: make that the workspace's (`nixpkgs` in overlayctl.toml, or its lock file)");
        }
        document
    }
}

impl Revision {
    fn short(&self) -> &str {
        self.id.get(..10).unwrap_or(&self.id)
    }

    fn shown(&self) -> Text {
        Role::Name.text(self.short()).plain(format!(" {}", self.subject))
    }
}

impl Shown for Travelled {
    fn document(&self, _verbose: bool) -> Document {
        let mut document = Document::new();
        if self.packages.is_empty() {
            document.line("nothing is patched");
            return document;
        }
        for package in &self.packages {
            let versions = match (&package.from, &package.to) {
                (Some(from), Some(to)) if from == to => to.clone(),
                (Some(from), Some(to)) => format!("{from} -> {to}"),
                (from, to) => from.clone().or_else(|| to.clone()).unwrap_or_default(),
            };
            document.line(Role::Name.text(package.attr.to_string()).with(Role::Dim, format!("  {versions}")));
            if let Some(failure) = &package.failure {
                document.line(Text::from("  ").with(Role::Bad, failure.message.clone()));
                if let Some(hint) = &failure.hint {
                    document.line(Role::Dim.text("  hint: ").plain(hint.clone()));
                }
            }
            if let Some(since) = &package.since {
                show_break("  since ", since, &mut document);
            }
            for patch in &package.patches {
                let file = patch.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                let role = match patch.state {
                    _ if patch.state.fits() => Role::Good,
                    Fit::AlreadyUpstream | Fit::Fuzz => Role::Warn,
                    _ => Role::Bad,
                };
                let detail = if patch.detail.is_empty() { String::new() } else { format!("  {}", patch.detail) };
                document
                    .line(Text::from(format!("  {file}  ")).with(role, patch.state.words()).with(Role::Dim, detail));
                if let Some(since) = &patch.since {
                    let word = match (patch.state, since.state) {
                        (Fit::AlreadyUpstream, _) => "    became upstream at ".to_string(),
                        (now, Some(state)) if state != now => format!("    {} since ", state.words()),
                        _ => "    since ".to_string(),
                    };
                    show_break(&word, since, &mut document);
                } else if let Some(why) = &patch.unknown {
                    document.line(Role::Warn.text("    the revision is not known: ").plain(why.clone()));
                } else if !patch.state.fits() {
                    document.line("    it was so in the old revision already");
                }
            }
        }
        document.blank();
        let looked = crate::base::text::plural(self.asked, "revision");
        document.line(Role::Dim.text(format!(
            "looked at {looked}; {} lie between {} and {}",
            self.between,
            self.from.short(),
            self.to.short()
        )));
        document
    }
}

/// Shows a revision that changed something, and what lies around it.
fn show_break(word: &str, since: &Break, document: &mut Document) {
    let Text(first) = since.first.shown();
    let mut line = Text::from(word);
    line.0.extend(first);
    document.line(line.with(Role::Dim, format!("  {}", since.first.date)));
    let indent = " ".repeat(word.len() - word.trim_start().len() + 2);
    if let (Some(from), Some(to)) = (&since.from, &since.to)
        && from != to
    {
        document.line(format!("{indent}{from} -> {to}"));
    }
    for merge in &since.merges {
        let Text(shown) = merge.shown();
        let mut line = Text::from(format!("{indent}came in with "));
        line.0.extend(shown);
        document.line(line);
    }
    let mut line = Text::from(format!("{indent}last before: "));
    line.0.extend(since.last_before.shown().0);
    document.line(line);
    if since.unclear > 0 {
        let revisions = crate::base::text::plural(since.unclear, "revision");
        document.line(Role::Warn.text(format!(
            "{indent}{revisions} between the two do not evaluate or have no source to be had: it may be one of them"
        )));
    }
}
