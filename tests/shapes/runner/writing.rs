//! The commands that write: after each of them no overlay names what is not there, no file of a queue lost its entry, Nix
//! sees what was meant and nothing else, and the way back gives the bytes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Output;

use super::Report;
use super::expect::Expect;
use super::kept::{changed, collapsed, first_error, is_kept, name, path_literals, same, same_lines, subjects};
use super::oracle::{self, Seen};
use super::scene::{Files, NEW, Scene};

/// What the workspace is between two commands.
#[derive(Clone)]
struct State {
    files: Files,
    seen: Seen,
}

struct Writer<'a> {
    scene: &'a Scene,
    expect: &'a Expect,
    report: &'a mut Report,
    attrs: BTreeSet<String>,
    start: State,
    /// The sets in which what is added to the queue is in effect.
    sets: Vec<String>,
}

/// Says what a list of patches has to be after a command.
type Change<'a> = &'a dyn Fn(&str, &[Vec<u8>]) -> Vec<Vec<u8>>;

pub fn check(scene: &Scene, expect: &Expect, report: &mut Report) {
    let mut attrs: BTreeSet<String> = expect.patch.iter().filter(|p| !p.broken).map(|p| p.attr().to_owned()).collect();
    attrs.insert(expect.write.attr.clone());
    let Ok(seen) = oracle::seen(scene, expect, &attrs) else { return };
    let start = State { files: scene.files(), seen };
    let sets = expect.write.sets.clone();
    let mut writer = Writer { scene, expect, report, attrs, start, sets };
    writer.all();
}

impl Writer<'_> {
    fn all(&mut self) {
        let start = self.start.clone();
        // What is there already, first: a second patch is put beside it afterwards.
        let is_unused = |file: &PathBuf| self.expect.unused.iter().any(|unused| Path::new(unused) == file);
        for file in self.queue(&start.files).into_iter().filter(|file| !is_unused(file)).collect::<Vec<_>>() {
            self.names_and_headers(&start, &file);
        }
        let Some(patched) = self.patch(&start) else {
            // Even what went to the wrong place has a way back.
            let files = self.scene.files();
            if let Some(new) = self.queue(&files).into_iter().find(|path| !start.files.contains_key(path)) {
                self.unpatch(&State { files, ..start.clone() }, &new, &start.files);
            }
            self.scene.restore(&start.files);
            return;
        };
        let Some(new) = self.queue(&patched.files).into_iter().find(|path| !start.files.contains_key(path)) else {
            self.report.fail("patch: no file", "patch", "a new file in the queue", "none");
            self.scene.restore(&start.files);
            return;
        };
        self.names_and_headers(&patched, &new);
        self.order(&patched, &new);
        self.unchanged("refresh", &patched, &self.line("refresh", &[]));
        self.edit(&patched);
        self.import(&patched);
        self.rebase(&patched, &new);
        self.unpatch(&patched, &new, &start.files);
        self.scene.restore(&start.files);
    }

    fn unpatch(&mut self, state: &State, file: &Path, before: &Files) {
        let line = self.line("unpatch", &[&name(file)]);
        if self.done("unpatch", state, &line).is_some() {
            self.back("unpatch", &line, before);
        }
    }

    /// The files of the queue of the package, in their order.
    fn queue(&self, files: &Files) -> Vec<PathBuf> {
        let dir = Path::new("patches").join(&self.expect.write.attr);
        let below = |path: &&PathBuf| path.starts_with(&dir) && **path != dir;
        let mut found: Vec<PathBuf> = files.keys().filter(below).cloned().collect();
        // Behind a link the files are elsewhere.
        if found.is_empty() {
            let names = std::fs::read_dir(self.scene.ws().join(&dir)).into_iter().flatten().flatten();
            let real = self.scene.real(&dir.display().to_string());
            let below = real.strip_prefix(self.scene.ws()).map(Path::to_path_buf).unwrap_or(dir);
            found = names.map(|entry| below.join(entry.file_name())).filter(|path| files.contains_key(path)).collect();
            found.sort();
        }
        found
    }

    /// The bytes of a file as it is now, through links.
    fn content(&self, path: &Path) -> Vec<u8> {
        std::fs::read(self.scene.ws().join(path)).unwrap_or_default()
    }

    fn line(&self, command: &str, rest: &[&str]) -> Vec<String> {
        let line = [&[command, self.expect.write.attr.as_str()], rest].concat();
        line.into_iter().map(str::to_owned).collect()
    }

    /// Runs a command that has to succeed, or may refuse when the shape says so; a refusal leaves every byte.
    fn done(&mut self, what: &str, before: &State, line: &[String]) -> Option<Output> {
        let output = self.scene.run(line);
        if output.status.success() {
            return Some(output);
        }
        self.refused(what, before, line, &output);
        None
    }

    fn refused(&mut self, what: &str, before: &State, line: &[String], output: &Output) {
        let now = self.scene.files();
        if now != before.files {
            self.report.fail(
                &format!("{what}: a refusal wrote"),
                line.join(" "),
                "every byte as it was",
                changed(&before.files, &now),
            );
            self.scene.restore(&before.files);
        }
        let kind = if output.status.code() == Some(101) { "panicked" } else { "refused" };
        let may = self.expect.write.may_refuse.iter().any(|command| command == what);
        if !may || kind == "panicked" {
            self.report.fail(&format!("{what}: {kind}"), line.join(" "), "done", first_error(output));
        }
    }

    /// Looks at the workspace after a command: files, entries, and what Nix sees. Returns what it is now, if that is right.
    fn after(&mut self, what: &str, line: &[String], before: &State, change: Change) -> Option<State> {
        let line = line.join(" ");
        let count = self.report.count();
        let files = self.scene.files();
        self.texts(what, &line, &before.files, &files);
        let seen = match oracle::seen(self.scene, self.expect, &self.attrs) {
            Ok(seen) => seen,
            Err(error) => {
                self.report.fail(&format!("{what}: does not evaluate"), line, "what evaluated before", error);
                return None;
            }
        };
        for (set, attrs) in &before.seen {
            for (attr, patches) in attrs {
                let Some(patches) = patches else { continue };
                let is_also = self.expect.write.also.contains(attr);
                let is_meant = *attr == self.expect.write.attr || is_also;
                let mut wanted = if is_meant { change(set, patches) } else { patches.clone() };
                let mut got = seen.get(set).and_then(|of| of.get(attr)).cloned().flatten().unwrap_or_default();
                if is_also {
                    // Which of two overlays comes first is not what is asked here.
                    wanted.sort();
                    got.sort();
                }
                if got != wanted {
                    let kind = if is_meant { "Nix sees other patches" } else { "another package changed" };
                    self.report.fail(
                        &format!("{what}: {kind}"),
                        format!("{line} ({set}, {attr})"),
                        subjects(&wanted),
                        subjects(&got),
                    );
                }
            }
        }
        self.orphans(what, &line, &files, &seen);
        // What follows from a fault is none of its own.
        (self.report.count() == count).then_some(State { files, seen })
    }

    /// Looks at the overlays as text: nothing that is not there is named, and what was not meant keeps its bytes.
    fn texts(&mut self, what: &str, line: &str, before: &Files, now: &Files) {
        let nix = |path: &&PathBuf| path.extension().is_some_and(|e| e == "nix");
        for path in now.keys().filter(nix) {
            let real = self.scene.real(&path.display().to_string());
            let (text, dir) = (now[path].text(), real.parent().unwrap_or(Path::new("/")).to_path_buf());
            let old = before.get(path).map(super::scene::Entry::text);
            // Below a folder that is a link Nix goes by the name that the overlay was given under.
            let mut dirs = vec![dir];
            dirs.extend(
                self.expect
                    .write
                    .file
                    .all()
                    .iter()
                    .filter(|file| self.scene.real(file) == real)
                    .filter_map(|file| Some(self.scene.ws().join(file).parent()?.to_path_buf())),
            );
            for literal in path_literals(&text) {
                let is_old = old.as_ref().is_some_and(|old| path_literals(old).any(|l| l == literal));
                let was_there =
                    before.keys().any(|p| dirs.iter().any(|dir| same(&dir.join(literal), &self.scene.ws().join(p))));
                // As Nix reads it: `a/..` is nothing, whatever `a` leads to.
                let is_there = |dir: &PathBuf| collapsed(&dir.join(literal)).exists();
                if !dirs.iter().any(is_there) && (!is_old || was_there) {
                    self.report.fail(
                        &format!("{what}: dangling"),
                        line,
                        "files that are there",
                        format!("{} names {literal}", path.display()),
                    );
                }
            }
            let Some(old) = old.filter(|old| *old != text) else { continue };
            let queue = self.queue(before);
            let names_it = queue.iter().chain(&self.queue(now)).any(|file| old.contains(&name(file)));
            if !names_it && !self.is_meant(path) {
                self.report.fail(&format!("{what}: wrote elsewhere"), line, &self.expect.write.file, path.display());
            }
            // Elements that change places do so as wholes: a record with its name.
            let is_moved = matches!(what, "move" | "reorder") && same_lines(&old, &text);
            if what != "rebase" && !is_kept(&old, &text) && !is_moved {
                self.report.fail(
                    &format!("{what}: text changed"),
                    line,
                    "what was not meant keeps its bytes",
                    format!("{}:\n{text}", path.display()),
                );
            }
        }
        for path in before.keys().filter(nix).filter(|path| !now.contains_key(*path)) {
            self.report.fail(&format!("{what}: deleted"), line, "the file", path.display());
        }
    }

    fn is_meant(&self, path: &Path) -> bool {
        let real = |path: &str| self.scene.real(path);
        self.expect.write.file.all().iter().any(|file| real(file) == real(&path.display().to_string()))
    }

    /// Every file of the queue that had an entry at first, or is new, has one.
    fn orphans(&mut self, what: &str, line: &str, files: &Files, seen: &Seen) {
        let texts: Vec<String> = files
            .iter()
            .filter(|(path, _)| path.extension().is_some_and(|e| e == "nix"))
            .map(|(_, e)| e.text())
            .collect();
        for path in self.queue(files) {
            let content = self.content(&path);
            let in_nix = seen.values().flat_map(BTreeMap::values).flatten().any(|patches| patches.contains(&content));
            let in_text = texts.iter().any(|text| text.contains(&name(&path)));
            let was_unused = self.expect.unused.iter().any(|unused| Path::new(unused) == path);
            if !in_nix && !in_text && !was_unused {
                self.report.fail(
                    &format!("{what}: lost its entry"),
                    line,
                    "every file of the queue is named",
                    path.display(),
                );
            }
        }
    }

    /// A command that changes nothing.
    fn unchanged(&mut self, what: &str, state: &State, line: &[String]) {
        if self.done(what, state, line).is_some() {
            self.back(what, line, &state.files);
        }
        self.scene.restore(&state.files);
    }

    /// The files have to be these.
    fn back(&mut self, what: &str, line: &[String], files: &Files) -> bool {
        let now = self.scene.files();
        let is_back = now == *files;
        if !is_back {
            self.report.fail(
                &format!("{what}: other bytes"),
                line.join(" "),
                "the bytes from before",
                changed(files, &now),
            );
        }
        is_back
    }

    fn patch(&mut self, start: &State) -> Option<State> {
        let file = self.scene.beside("new.patch").display().to_string();
        let mut line = self.line("patch", &[&file]);
        line.extend(self.expect.write.args.iter().cloned());
        let output = self.scene.run(&line);
        let file = self.expect.write.file.clone();
        if !output.status.success() {
            let files = self.scene.files();
            if files != start.files {
                self.report.fail(
                    "patch: a refusal wrote",
                    line.join(" "),
                    "every byte as it was",
                    changed(&start.files, &files),
                );
                self.scene.restore(&start.files);
            }
            if !file.has("refused") {
                self.report.fail("patch: refused", line.join(" "), &file, first_error(&output));
            }
            return None;
        }
        let told = String::from_utf8_lossy(&output.stderr).contains("OV1174");
        if told == self.expect.write.before.is_empty() {
            let wanted = if told { "no word of it" } else { "a word that it is not the last one everywhere" };
            self.report.fail("patch: order", line.join(" "), wanted, String::from_utf8_lossy(&output.stderr));
        }
        let files = self.scene.files();
        let wrote: Vec<&PathBuf> = files
            .iter()
            .filter(|(path, entry)| {
                path.extension().is_some_and(|e| e == "nix") && start.files.get(*path) != Some(entry)
            })
            .map(|(path, _)| path)
            .collect();
        let is_meant = wrote.iter().any(|path| self.is_meant(path)) || (wrote.is_empty() && file.has("none"));
        if !is_meant {
            let kind = if file.all() == ["refused"] { "patch: not refused" } else { "patch: another file" };
            self.report.fail(kind, line.join(" "), &file, format!("{wrote:?}"));
            return None;
        }
        let new = super::scene::patch(NEW.0, NEW.1).into_bytes();
        self.choose_sets(&new);
        let sets = self.sets.clone();
        let later = self.later();
        let state = self.after("patch", &line, start, &|set, patches| {
            let mut patches = patches.to_vec();
            put(&mut patches, sets.iter().any(|s| s == set).then(|| new.clone()), &later);
            patches
        });
        if self.done("patch again", &State { files: files.clone(), ..start.clone() }, &line).is_some() {
            self.back("patch again", &line, &files);
            self.scene.restore(&files);
        }
        state
    }

    /// The patches of later overlays.
    fn later(&self) -> Vec<Vec<u8>> {
        self.expect.write.before.iter().map(|path| self.content(Path::new(path))).collect()
    }

    /// Where two answers are right, takes the one that Nix sees.
    fn choose_sets(&mut self, new: &Vec<u8>) {
        if self.expect.write.sets_or.is_empty() {
            return;
        }
        let Ok(seen) = oracle::seen(self.scene, self.expect, &self.attrs) else { return };
        let has = |of: &BTreeMap<String, Option<Vec<Vec<u8>>>>| {
            of.get(&self.expect.write.attr).and_then(Option::as_ref).is_some_and(|patches| patches.contains(new))
        };
        let found: BTreeSet<&String> = seen.iter().filter(|(_, of)| has(of)).map(|(set, _)| set).collect();
        if found == self.expect.write.sets_or.iter().collect() {
            self.sets = self.expect.write.sets_or.clone();
        }
    }

    fn names_and_headers(&mut self, state: &State, file: &Path) {
        let same: Change = &|_, patches| patches.to_vec();
        let old = name(file);
        let line = self.line("rename", &[&old, "another name"]);
        if self.done("rename", state, &line).is_some() {
            let is_right = self.after("rename", &line, state, same).is_some();
            let renamed = self.scene.files();
            let new = self.queue(&renamed).into_iter().find(|path| !state.files.contains_key(path));
            match new.map(|path| name(&path)) {
                Some(_) if !is_right => {}
                Some(new) => {
                    let again = self.line("rename", &[&new, "another name"]);
                    self.unchanged("rename again", &State { files: renamed, seen: state.seen.clone() }, &again);
                    let line = self.line("rename", &[&new, &old]);
                    if self.done("rename", &State { files: self.scene.files(), ..state.clone() }, &line).is_some() {
                        self.back("rename back", &line, &state.files);
                    }
                }
                None => self.report.fail("rename: no file", line.join(" "), "a file of the new name", "none"),
            }
        }
        self.scene.restore(&state.files);
        let line = self.line("header", &[&old, "--add", "Acked-by=B <b@example.org>"]);
        if self.done("header", state, &line).is_some() {
            let now = self.scene.files();
            let real = self.scene.ws().join(file).canonicalize().ok();
            let others = |files: &Files| {
                let is_other = |path: &&PathBuf| self.scene.ws().join(path).canonicalize().ok() != real;
                files.iter().filter(|(path, _)| is_other(path)).map(|(p, e)| (p.clone(), e.clone())).collect::<Files>()
            };
            let is_right = others(&now) == others(&state.files) && now != state.files;
            if !is_right {
                self.report.fail("header: other files", line.join(" "), file.display(), changed(&state.files, &now));
            }
            let line = self.line("header", &[&old, "--remove", "Acked-by=B <b@example.org>"]);
            if is_right && self.done("header", &State { files: now, ..state.clone() }, &line).is_some() {
                self.back("header back", &line, &state.files);
            }
        }
        self.scene.restore(&state.files);
    }

    fn order(&mut self, state: &State, new: &Path) {
        let queue = self.queue(&state.files);
        let count = queue.len();
        if count < 2 {
            return;
        }
        let ours: Vec<Vec<u8>> = queue.iter().map(|path| self.content(path)).collect();
        let moved = state.files[new].text().into_bytes();
        // In front of the others of the queue, where it is with others.
        let in_front: Change = &|_, patches| {
            let Some(at) = patches.iter().position(|p| *p == moved) else { return patches.to_vec() };
            let first = patches.iter().position(|p| ours.contains(p)).unwrap_or(at);
            let mut patches = patches.to_vec();
            let one = patches.remove(at);
            patches.insert(first.min(at), one);
            patches
        };
        let (last, first) = (count.to_string(), "1".to_string());
        let to_front = self.line("move", &[&name(new), &first]);
        if self.done("move", state, &to_front).is_some() {
            let is_right = self.after("move", &to_front, state, in_front).is_some();
            let line = self.line("move", &[&first, &last]);
            if is_right && self.done("move", &State { files: self.scene.files(), ..state.clone() }, &line).is_some() {
                self.back("move back", &line, &state.files);
            }
        }
        self.scene.restore(&state.files);
        let mut order: Vec<String> = vec![name(new)];
        order.extend(queue.iter().filter(|path| *path != new).map(|path| name(path)));
        let line = self.line("reorder", &order.iter().map(String::as_str).collect::<Vec<_>>());
        if self.done("reorder", state, &line).is_some() {
            let is_right = self.after("reorder", &line, state, in_front).is_some();
            let mut order: Vec<String> = (2..=count).map(|n| n.to_string()).collect();
            order.push("1".into());
            let line = self.line("reorder", &order.iter().map(String::as_str).collect::<Vec<_>>());
            if is_right && self.done("reorder", &State { files: self.scene.files(), ..state.clone() }, &line).is_some()
            {
                self.back("reorder back", &line, &state.files);
            }
        }
        self.scene.restore(&state.files);
    }

    fn edit(&mut self, state: &State) {
        let mut line = self.line("edit", &["--json"]);
        if let Some(output) = self.done("edit", state, &line) {
            let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
            let dir = self.scene.ws().join(answer["dir"].as_str().unwrap_or("?"));
            self.back("edit", &line, &state.files);
            line = self.line("finish", &[]);
            self.unchanged_here("finish unchanged", state, &line);
            match commit(&dir) {
                Ok(()) => self.finish(state, &line),
                Err(error) => self.report.fail("edit: no worktree", "edit", "a worktree", error),
            }
        }
        self.scene.restore(&state.files);
    }

    /// A command that changes nothing, without taking the worktree away.
    fn unchanged_here(&mut self, what: &str, state: &State, line: &[String]) {
        if self.done(what, state, line).is_some() {
            self.back(what, line, &state.files);
        }
    }

    fn finish(&mut self, state: &State, line: &[String]) {
        if self.done("finish", state, line).is_none() {
            return;
        }
        let files = self.scene.files();
        let Some(made) = self.queue(&files).into_iter().find(|path| !state.files.contains_key(path)) else {
            return self.report.fail("finish: no file", line.join(" "), "a new file in the queue", "none");
        };
        let content = files[&made].text().into_bytes();
        let sets = self.sets.clone();
        let later = self.later();
        let finished = self.after("finish", line, state, &|set, patches| {
            let mut patches = patches.to_vec();
            put(&mut patches, sets.iter().any(|s| s == set).then(|| content.clone()), &later);
            patches
        });
        if finished.is_none() {
            return;
        }
        self.unchanged_here("finish again", &State { files, ..state.clone() }, line);
        let line = self.line("unpatch", &[&name(&made)]);
        if self.done("unpatch", &State { files: self.scene.files(), ..state.clone() }, &line).is_some() {
            self.back("unpatch after finish", &line, &state.files);
        }
    }

    fn import(&mut self, state: &State) {
        let from = self.scene.beside("incoming").display().to_string();
        let mut line = self.line("import", &[&from]);
        line.extend(self.expect.write.args.iter().cloned());
        if self.done("import", state, &line).is_some() {
            let files = self.scene.files();
            let made: Vec<PathBuf> =
                self.queue(&files).into_iter().filter(|path| !state.files.contains_key(path)).collect();
            let contents: Vec<Vec<u8>> = made.iter().map(|path| files[path].text().into_bytes()).collect();
            if made.len() != 2 {
                self.report.fail("import: files", line.join(" "), "2 new files", made.len());
            }
            let sets = self.sets.clone();
            let later = self.later();
            let imported = self.after("import", &line, state, &|set, patches| {
                let mut patches = patches.to_vec();
                if sets.iter().any(|s| s == set) {
                    put(&mut patches, contents.iter().cloned(), &later);
                }
                patches
            });
            if imported.is_none() {
                self.scene.restore(&state.files);
                return;
            }
            if self.done("import again", &State { files: files.clone(), ..state.clone() }, &line).is_some() {
                self.back("import again", &line, &files);
                self.scene.restore(&files);
            }
            for (i, made) in made.iter().rev().enumerate() {
                let unpatch = self.line("unpatch", &[&name(made)]);
                if self.done("unpatch", &State { files: self.scene.files(), ..state.clone() }, &unpatch).is_some()
                    && i == 1
                {
                    self.back("unpatch after import", &unpatch, &state.files);
                }
            }
        }
        self.scene.restore(&state.files);
    }

    /// The next source has the new patch already: it goes, and nothing else does.
    fn rebase(&mut self, state: &State, new: &Path) {
        let to = self.scene.beside("nixpkgs-next").display().to_string();
        let line = self.line("rebase", &["--to", &to]);
        let content = state.files[new].text().into_bytes();
        if self.done("rebase", state, &line).is_some() {
            let rebased = self.after("rebase", &line, state, &|_, patches| {
                patches.iter().filter(|p| **p != content).cloned().collect()
            });
            // What is upstream goes as `unpatch` takes it; the others fit as they are.
            let start = self.start.files.clone();
            if rebased.is_some() {
                self.back("rebase", &line, &start);
            }
        }
        self.scene.restore(&state.files);
    }
}

/// Puts new patches behind the others, in front of those of later overlays.
fn put(patches: &mut Vec<Vec<u8>>, new: impl IntoIterator<Item = Vec<u8>>, later: &[Vec<u8>]) {
    let at = patches.iter().position(|patch| later.contains(patch)).unwrap_or(patches.len());
    patches.splice(at..at, new);
}

/// Makes a change in a worktree and commits it.
fn commit(dir: &Path) -> Result<(), String> {
    let file = dir.join("main.c");
    let text = std::fs::read_to_string(&file).map_err(|e| format!("{}: {e}", file.display()))?;
    std::fs::write(&file, text.replace("line 28\n", "line 28 finished\n")).map_err(|e| e.to_string())?;
    let commit = || -> Result<(), git2::Error> {
        let repository = git2::Repository::open(dir)?;
        let mut index = repository.index()?;
        index.add_path(Path::new("main.c"))?;
        index.write()?;
        let tree = repository.find_tree(index.write_tree()?)?;
        let who = git2::Signature::now("A", "a@example.org")?;
        let parent = repository.head()?.peel_to_commit()?;
        repository.commit(Some("HEAD"), &who, &who, "finished work", &tree, &[&parent])?;
        Ok(())
    };
    commit().map_err(|e| e.to_string())
}
