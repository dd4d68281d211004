//! Runs the editor over an index of real overlays and prints how it fared.
//!
//! `cargo run --release --example corpus -- DIR [--index TSV] [--refusals TSV] [--not-packages TSV] [--nix] [--verbose]
//! [--only SUBSTRING]`
//! `cargo run --release --example corpus -- --time [BYTES]`
//!
//! DIR holds the repositories of the index as `owner+name`, `owner+name/repo` or `owner/name`, checked out or bare;
//! files are read at the commit that the index names. For each overlay function a new key is added, and a patch to
//! every key that it binds; each edit is run twice, undone, and checked for damage. A key that is bound by a longer path
//! (`xorg.libX11 = ...`) is asked for by that path; of a key that holds a set of packages a package within the set is
//! asked for as well, in a table of its own. With `--nix` the texts also go through `nix-instantiate --parse`.
//! Exit status 1 when anything is damaged, refused without being in a list of those that are to be, or edited although
//! it is.

#![allow(clippy::print_stdout, clippy::print_stderr, clippy::unwrap_used, clippy::expect_used)]

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use overlayctl::base::diagnostic::Coded;
use overlayctl::overlay::{Files, FnKind, OverlayFile, PatchElement, PatchRequest, Select};
use overlayctl::syntax::AttrPath;
use rnix::ast::Expr;
use rowan::ast::AstNode;

/// A key that no real overlay binds.
const PROBE: &str = "overlayctl-probe";

struct Row {
    repo: String,
    commit: String,
    path: String,
    offset: usize,
    line: usize,
    kind: String,
    class: String,
}

/// One repository, read from git where it is one.
struct Repository {
    git: Option<git2::Repository>,
    folder: PathBuf,
}

impl Repository {
    fn open(dir: &Path, name: &str) -> Option<Repository> {
        let plus = name.replace('/', "+");
        for folder in [dir.join(&plus).join("repo"), dir.join(&plus), dir.join(name)] {
            if folder.is_dir() {
                let git = git2::Repository::open(&folder).ok();
                return Some(Repository { git, folder });
            }
        }
        None
    }

    fn read(&self, commit: &str, path: &str) -> Option<String> {
        let from_git = self.git.as_ref().and_then(|git| {
            let tree = git.revparse_single(commit).ok()?.peel_to_tree().ok()?;
            let blob = tree.get_path(Path::new(path)).ok()?.to_object(git).ok()?.peel_to_blob().ok()?;
            String::from_utf8(blob.content().to_vec()).ok()
        });
        from_git.or_else(|| std::fs::read_to_string(self.folder.join(path)).ok())
    }
}

struct AtCommit<'a> {
    repository: &'a Repository,
    commit: &'a str,
}

impl Files for AtCommit<'_> {
    fn read(&self, path: &Path) -> Option<String> {
        self.repository.read(self.commit, path.to_str()?)
    }
}

#[derive(Default)]
struct Tally {
    rows: usize,
    edited: usize,
    refused: BTreeMap<String, usize>,
    damaged: usize,
    not_restored: usize,
}

struct Run<'a> {
    files: AtCommit<'a>,
    file: OverlayFile,
    row: &'a Row,
    /// Old and new texts for Nix to parse.
    texts: &'a mut Vec<(String, String, String)>,
    damages: &'a mut Vec<String>,
    unrestored: &'a mut Vec<String>,
}

enum Outcome {
    Edited,
    Refused(&'static str, String),
    Damaged,
}

impl Run<'_> {
    fn place(&self, attr: &str) -> String {
        format!("{} {}:{} {attr}", self.row.repo, self.row.path, self.row.line)
    }

    fn damage(&mut self, attr: &str, what: &str) -> Outcome {
        self.damages.push(format!("{}: {what}", self.place(attr)));
        Outcome::Damaged
    }

    fn edit(&mut self, attr: &AttrPath) -> Outcome {
        let name = attr.to_string();
        let request = PatchRequest::new(attr.clone(), vec![PatchElement::path("./overlayctl-probe.patch")]);
        let select = Select::Offset(self.row.offset);
        let planned = match self.file.add_patches(&self.files, select, &request) {
            Ok(planned) => planned,
            Err(e) => return Outcome::Refused(e.code(), e.to_string()),
        };
        if planned.changes.is_empty() {
            return self.damage(&name, "a first run finds nothing to do");
        }
        let Some(change) = planned.changes.first() else { return self.damage(&name, "no change") };
        let parsed = rnix::Root::parse(&change.new);
        if !parsed.errors().is_empty() {
            return self.damage(&name, "the new text does not parse");
        }
        // What is outside the edits must be the same bytes in the same order.
        let (mut old_at, mut new_at) = (0usize, 0usize);
        for edit in change.edits.iter() {
            let kept = &change.old[old_at..edit.span.start];
            if change.new.get(new_at..new_at + kept.len()) != Some(kept) {
                return self.damage(&name, "bytes outside the edits differ");
            }
            old_at = edit.span.end;
            new_at += kept.len() + edit.text.len();
        }
        if change.old[old_at..] != change.new[new_at.min(change.new.len())..] {
            return self.damage(&name, "bytes behind the edits differ");
        }
        self.texts.push((self.place(&name), change.old.clone(), change.new.clone()));
        let followed = change.path != self.file.path();
        let Ok(edited) = OverlayFile::parse(&change.path, change.new.clone()) else {
            return self.damage(&name, "the new text is refused");
        };
        let moved = change
            .edits
            .iter()
            .filter(|e| e.span.end <= self.row.offset)
            .fold(self.row.offset, |at, e| at + e.text.len() - e.span.len());
        let select = if followed { Select::Only } else { Select::Offset(moved) };
        let mut request = request;
        if followed {
            request.elements = match &planned.change {
                overlayctl::overlay::Change::AddedKey { elements, .. }
                | overlayctl::overlay::Change::ChangedKey { elements, .. } => {
                    elements.iter().map(PatchElement::path).collect()
                }
                _ => Vec::new(),
            };
        }
        match edited.add_patches(&self.files, select, &request) {
            Ok(again) if again.changes.is_empty() => {}
            Ok(_) => return self.damage(&name, "a second run would change the file again"),
            Err(e) => return self.damage(&name, &format!("a second run is refused: {e}")),
        }
        match edited.remove_patches(&self.files, select, attr, &request.elements) {
            Ok(back) if back.changes.first().is_some_and(|c| c.new == change.old) => {}
            Ok(_) => self.unrestored.push(self.place(&name)),
            Err(e) => return self.damage(&name, &format!("the removal is refused: {e}")),
        }
        Outcome::Edited
    }
}

/// What a value is made by: the outermost override of it, or what makes a derivation; `None` for everything else.
fn made_by(value: Expr) -> Option<&'static str> {
    let mut expr = value;
    let mut found = None;
    loop {
        expr = match expr {
            Expr::Paren(p) => p.expr()?,
            Expr::LetIn(l) => l.body()?,
            Expr::Apply(a) => match a.lambda()? {
                // `f a b`: what is called is further left.
                inner @ Expr::Apply(_) => inner,
                Expr::Ident(i) if i.syntax().text() == "callPackage" => return Some("a derivation"),
                Expr::Select(s) => {
                    let last = s.attrpath()?.attrs().last()?.syntax().text().to_string();
                    match last.as_str() {
                        "overrideAttrs" | "overrideDerivation" | "overridePythonAttrs" => return Some("overrideAttrs"),
                        "override" => {
                            found = Some("override");
                            match s.expr() {
                                Some(e @ (Expr::Paren(_) | Expr::Apply(_))) => e,
                                _ => return found,
                            }
                        }
                        "callPackage" | "mkDerivation" => return Some("a derivation"),
                        name if name.starts_with("build") => return Some("a derivation"),
                        _ => return found,
                    }
                }
                _ => return found,
            },
            _ => return found,
        };
    }
}

/// Returns the first longer path under `key` that the function at `offset` binds.
fn longer_path(text: &str, offset: usize, key: &str) -> Option<AttrPath> {
    let root = rnix::Root::parse(text).syntax();
    let head = root
        .descendants()
        .find(|n| n.kind() == rnix::SyntaxKind::NODE_LAMBDA && usize::from(n.text_range().start()) == offset)?;
    let paths = head
        .descendants()
        .filter_map(rnix::ast::AttrpathValue::cast)
        .filter_map(|v| v.attrpath())
        .map(|p| p.syntax().text().to_string());
    paths.filter(|p| p.starts_with(&format!("{key}."))).find_map(|p| AttrPath::parse(&p).ok())
}

/// Returns what the function at `offset` binds to an override or to a derivation: the path through the sets around it, and
/// what it is made by.
fn made(text: &str, offset: usize) -> Vec<(Vec<String>, &'static str)> {
    let root = rnix::Root::parse(text).syntax();
    let Some(head) = root
        .descendants()
        .find(|n| n.kind() == rnix::SyntaxKind::NODE_LAMBDA && usize::from(n.text_range().start()) == offset)
    else {
        return Vec::new();
    };
    let names = |binding: &rnix::ast::AttrpathValue| -> Vec<String> {
        let attrs = binding.attrpath().map(|p| p.attrs().collect::<Vec<_>>()).unwrap_or_default();
        attrs.iter().map(|a| a.syntax().text().to_string().trim_matches('"').to_string()).collect()
    };
    let bindings = head.descendants().filter_map(rnix::ast::AttrpathValue::cast);
    bindings
        .filter(|b| b.syntax().parent().is_some_and(|p| p.kind() == rnix::SyntaxKind::NODE_ATTR_SET))
        .filter_map(|binding| {
            let how = made_by(binding.value()?)?;
            let around = binding.syntax().ancestors().take_while(|n| n != &head);
            let mut path: Vec<String> = Vec::new();
            for outer in around.filter_map(rnix::ast::AttrpathValue::cast) {
                let names = names(&outer);
                if !names.iter().any(|n| matches!(n.as_str(), "overrides" | "packageOverrides")) {
                    path.splice(0..0, names);
                }
            }
            Some((path, how))
        })
        .collect()
}

/// Says whether the key stands in the row's function with a longer path only.
fn file_binds_longer(text: &str, row: &Row, key: &str) -> bool {
    let function = &text[row.offset.min(text.len())..];
    let plain = format!("{key} =");
    !function.contains(&plain) && !function.contains(&format!("{key}="))
}

fn rows(index: &Path) -> Vec<Row> {
    let text = std::fs::read_to_string(index).expect("the index can be read");
    text.lines()
        .skip(1)
        .filter_map(|line| {
            let f: Vec<&str> = line.split('\t').collect();
            Some(Row {
                repo: (*f.first()?).into(),
                commit: (*f.get(1)?).into(),
                path: (*f.get(2)?).into(),
                offset: f.get(3)?.parse().ok()?,
                line: f.get(4)?.parse().ok()?,
                kind: (*f.get(5)?).into(),
                class: (*f.get(6)?).into(),
            })
        })
        .collect()
}

/// Rows that are to be refused: repository, path, line (or `*`), attribute (or `*`), reason.
fn expected(path: &Path) -> HashMap<(String, String, String, String), String> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines()
        .filter(|l| !l.starts_with('#') && !l.trim().is_empty())
        .filter_map(|l| {
            let f: Vec<&str> = l.split('\t').collect();
            let get = |i: usize| f.get(i).map(|s| (*s).to_string());
            Some(((get(0)?, get(1)?, get(2)?, get(3)?), get(4)?))
        })
        .collect()
}

fn print(title: &str, tallies: &BTreeMap<String, Tally>) {
    println!("\n{title}");
    println!("{:<34} {:>5} {:>7} {:>8} {:>8}  refused by reason", "class", "rows", "edited", "damaged", "inexact");
    let mut all = Tally::default();
    for (class, t) in tallies {
        let refused: Vec<String> = t.refused.iter().map(|(c, n)| format!("{c} {n}")).collect();
        println!(
            "{class:<34} {:>5} {:>7} {:>8} {:>8}  {}",
            t.rows,
            t.edited,
            t.damaged,
            t.not_restored,
            refused.join(", ")
        );
        all.rows += t.rows;
        all.edited += t.edited;
        all.damaged += t.damaged;
        all.not_restored += t.not_restored;
        for (c, n) in &t.refused {
            *all.refused.entry(c.clone()).or_default() += n;
        }
    }
    let refused: Vec<String> = all.refused.iter().map(|(c, n)| format!("{c} {n}")).collect();
    println!(
        "{:<34} {:>5} {:>7} {:>8} {:>8}  {}",
        "all",
        all.rows,
        all.edited,
        all.damaged,
        all.not_restored,
        refused.join(", ")
    );
    if all.rows > 0 {
        println!("edited {:.1} %", 100.0 * all.edited as f64 / all.rows as f64);
    }
}

/// Gives texts to `nix-instantiate --parse`; returns the names of those that it refuses.
fn refused_by_nix(texts: &[(String, &str)]) -> Vec<String> {
    let folder = std::env::temp_dir().join(format!("overlayctl-corpus-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a temporary folder");
    let mut out = Vec::new();
    for chunk in texts.chunks(100) {
        let files: Vec<PathBuf> = chunk
            .iter()
            .enumerate()
            .map(|(i, (_, text))| {
                let file = folder.join(format!("{i}.nix"));
                std::fs::write(&file, text).expect("a temporary file");
                file
            })
            .collect();
        let parse = |files: &[PathBuf]| {
            std::process::Command::new("nix-instantiate")
                .arg("--parse")
                .args(files)
                .stdout(std::process::Stdio::null())
                .stderr(std::process::Stdio::null())
                .status()
                .is_ok_and(|s| s.success())
        };
        if !parse(&files) {
            for (file, (name, _)) in files.iter().zip(chunk) {
                if !parse(std::slice::from_ref(file)) {
                    out.push(name.clone());
                }
            }
        }
    }
    let _ = std::fs::remove_dir_all(&folder);
    out
}

/// Times what `patch --dry-run` asks of the library on an overlay of at least `bytes` bytes: parse, plan, check.
fn time(bytes: usize) {
    let mut text = String::from("final: prev: {\n");
    let mut number = 0usize;
    while text.len() < bytes {
        text.push_str(&format!(
            "  package{number} = prev.package{number}.overrideAttrs (old: {{\n    doCheck = false;\n    patches = (old.patches or [ ]) ++ [ ./{number}.patch ];\n  }});\n\n"
        ));
        number += 1;
    }
    text.push_str("}\n");
    let started = std::time::Instant::now();
    let parses = 10u32;
    for _ in 0..parses {
        drop(OverlayFile::parse(Path::new("overlay.nix"), text.clone()));
    }
    println!("{} bytes: parse alone {:.1} ms", text.len(), started.elapsed().as_secs_f64() * 1e3 / f64::from(parses));
    let started = std::time::Instant::now();
    let bare = (0..parses).map(|_| usize::from(rnix::Root::parse(&text).syntax().text_range().end())).sum::<usize>();
    println!("{bare} bytes: rnix alone {:.1} ms", started.elapsed().as_secs_f64() * 1e3 / f64::from(parses));
    let started = std::time::Instant::now();
    let tokens = (0..parses).map(|_| rnix::tokenize(&text).count()).sum::<usize>();
    println!("{tokens} tokens: {:.1} ms", started.elapsed().as_secs_f64() * 1e3 / f64::from(parses));
    for attr in ["musl", "package7"] {
        let request = PatchRequest::new(AttrPath::single(attr), vec![PatchElement::path("./fix.patch")]);
        let mut millis: Vec<f64> = (0..15)
            .map(|_| {
                let text = text.clone();
                let started = std::time::Instant::now();
                let file = OverlayFile::parse(Path::new("overlay.nix"), text).expect("it parses");
                file.add_patches(&overlayctl::overlay::NoFiles, Select::Only, &request).expect("it is edited");
                started.elapsed().as_secs_f64() * 1e3
            })
            .collect();
        millis.sort_by(f64::total_cmp);
        println!("{} bytes, {attr}: median {:.1} ms, least {:.1} ms", text.len(), millis[7], millis[0]);
    }
}

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut dir = None;
    let mut index = manifest.join("../shared/corpus/index.tsv");
    let mut refusals = manifest.join("tests/corpus/expected-refusals.tsv");
    let mut not_packages = manifest.join("tests/corpus/not-packages.tsv");
    let (mut nix, mut verbose, mut only) = (false, false, String::new());
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--index" => index = args.next().map(PathBuf::from).unwrap_or(index),
            "--refusals" => refusals = args.next().map(PathBuf::from).unwrap_or(refusals),
            "--not-packages" => not_packages = args.next().map(PathBuf::from).unwrap_or(not_packages),
            "--only" => only = args.next().unwrap_or_default(),
            "--time" => {
                time(args.next().and_then(|n| n.parse().ok()).unwrap_or(800_000));
                return ExitCode::SUCCESS;
            }
            "--nix" => nix = true,
            "--verbose" => verbose = true,
            _ => dir = Some(PathBuf::from(arg)),
        }
    }
    let Some(dir) = dir else {
        eprintln!("usage: corpus DIR [--index TSV] [--refusals TSV] [--nix] [--verbose] [--only SUBSTRING]");
        return ExitCode::from(2);
    };
    let mut listed = expected(&refusals);
    listed.extend(expected(&not_packages));
    let expected = listed;
    let is_expected = |row: &Row, attr: &str| {
        let key = |line: &str, attr: &str| (row.repo.clone(), row.path.clone(), line.to_string(), attr.to_string());
        let line = row.line.to_string();
        [(line.as_str(), attr), (line.as_str(), "*"), ("*", attr), ("*", "*")]
            .iter()
            .any(|(l, a)| expected.contains_key(&key(l, a)))
    };
    // A function that is to be refused is so with all its keys.
    let is_wrong = |row: &Row, attr: &str| is_expected(row, attr) || is_expected(row, PROBE);
    let started = std::time::Instant::now();
    let mut repositories: HashMap<String, Option<Repository>> = HashMap::new();
    let (mut new, mut existing, mut right, mut within, mut overridden, mut foreign, mut by_maker) = (
        BTreeMap::<String, Tally>::new(),
        BTreeMap::<String, Tally>::new(),
        BTreeMap::<String, Tally>::new(),
        BTreeMap::<String, Tally>::new(),
        BTreeMap::<String, Tally>::new(),
        BTreeMap::<String, Tally>::new(),
        BTreeMap::<String, Tally>::new(),
    );
    let (mut texts, mut damages, mut unrestored, mut failures) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let (mut wanted, mut absent) = (0usize, 0usize);
    let mut kinds: BTreeMap<(String, String), usize> = BTreeMap::new();
    for row in rows(&index) {
        let name = format!("{} {}:{}", row.repo, row.path, row.line);
        if !name.contains(&only) {
            continue;
        }
        wanted += 1;
        let repository = repositories.entry(row.repo.clone()).or_insert_with(|| Repository::open(&dir, &row.repo));
        let Some(text) = repository.as_ref().and_then(|r| r.read(&row.commit, &row.path)) else {
            absent += 1;
            continue;
        };
        let Some(repository) = repository.as_ref() else { continue };
        let Ok(file) = OverlayFile::parse(Path::new(&row.path), text.clone()) else {
            failures.push(format!("{name}: the file is refused"));
            continue;
        };
        let function = file
            .functions()
            .into_iter()
            .find(|f| [&f.place, &f.head].iter().any(|p| p.span.is_some_and(|s| s.start == row.offset)));
        let seen = function.as_ref().map_or("not seen".to_string(), |f| format!("{:?}", f.kind));
        *kinds.entry((row.kind.clone(), seen)).or_default() += 1;
        // A row whose kind in the index is wrong has `+` for its attribute.
        let ours = matches!(row.kind.as_str(), "pkgs" | "pkgOverrides1") || is_expected(&row, "+");
        let keys = function.as_ref().map(|f| f.keys.clone()).unwrap_or_default();
        let made = made(&text, row.offset);
        let files = AtCommit { repository, commit: &row.commit };
        let mut run =
            Run { files, file, row: &row, texts: &mut texts, damages: &mut damages, unrestored: &mut unrestored };
        let mut tally = |tallies: &mut [&mut BTreeMap<String, Tally>],
                         class: &str,
                         attr: &AttrPath,
                         wanted: bool,
                         failures: &mut Vec<String>| {
            let before = run.unrestored.len();
            let outcome = run.edit(attr);
            let inexact = run.unrestored.len() - before;
            let right = wanted && !is_expected(run.row, &attr.to_string());
            for tallies in tallies.iter_mut() {
                let t = tallies.entry(class.to_string()).or_default();
                t.rows += 1;
                t.not_restored += inexact;
                match &outcome {
                    Outcome::Edited => t.edited += 1,
                    Outcome::Damaged => t.damaged += 1,
                    Outcome::Refused(code, _) => *t.refused.entry((*code).to_string()).or_default() += 1,
                }
            }
            let refused = match &outcome {
                Outcome::Refused(code, why) => Some(((*code).to_string(), why.clone())),
                _ => None,
            };
            match outcome {
                Outcome::Refused(code, why) if right => failures.push(format!("{name} {attr}: refused {code} {why}")),
                Outcome::Edited if !right => failures.push(format!("{name} {attr}: edited, but was to be refused")),
                _ => {}
            }
            refused
        };
        if ours {
            let class = if is_expected(&row, PROBE) { "to be refused".to_string() } else { row.class.clone() };
            tally(&mut [&mut new], &class, &AttrPath::single(PROBE), true, &mut failures);
            for key in keys {
                let single = AttrPath::single(key.clone());
                let attr = match longer_path(&text, row.offset, &key).filter(|_| file_binds_longer(&text, &row, &key)) {
                    Some(longer) => longer,
                    None => single,
                };
                let wrong = is_wrong(&row, &key) || is_expected(&row, &attr.to_string());
                let mut into: Vec<&mut BTreeMap<String, Tally>> = vec![&mut existing];
                if !wrong {
                    into.push(&mut right);
                }
                let how = made.iter().find(|(path, _)| path.as_slice() == attr.names()).map(|(_, how)| *how);
                if matches!(how, Some("override" | "overrideAttrs")) {
                    into.push(&mut overridden);
                }
                let refused = tally(&mut into, &row.class, &attr, !wrong, &mut failures);
                if refused.is_some_and(|(code, why)| code == "OV0107" && why.contains("` is a set")) {
                    let mut ignored = Vec::new();
                    tally(
                        &mut [&mut within],
                        &row.class,
                        &AttrPath::parse(&format!("{attr}.{PROBE}")).expect("names and a name"),
                        true,
                        &mut ignored,
                    );
                    if verbose {
                        failures.extend(ignored);
                    }
                }
            }
            // Each once more by what makes it, those within sets too; whether a set is one of packages is not listed.
            for (path, how) in &made {
                let Some(attr) = AttrPath::from_names(path.iter().cloned()) else { continue };
                let class = if path.len() == 1 { (*how).to_string() } else { format!("{how}, within a set") };
                let mut ignored = Vec::new();
                tally(&mut [&mut by_maker], &class, &attr, true, &mut ignored);
                if verbose {
                    failures.extend(ignored);
                }
            }
        } else {
            tally(&mut [&mut foreign], &row.kind, &AttrPath::single(PROBE), false, &mut failures);
        }
    }
    println!(
        "{wanted} rows, {absent} of them in repositories that are not there; {:.1} s",
        started.elapsed().as_secs_f64()
    );
    println!("\nkind in the index -> kind found");
    for ((index, seen), n) in &kinds {
        println!("{index:<14} {seen:<18} {n:>5}");
    }
    print("a new key in a package overlay", &new);
    print("a key that is there: override-style bindings", &overridden);
    print("a key that is there: all bindings", &existing);
    print("a key that is there: bindings for which editing is right", &right);
    print("a key that holds a set of packages: a new package in that set", &within);
    print("a key that is there: by what makes its value", &by_maker);
    print("functions that are no package overlay", &foreign);
    if nix {
        let old: Vec<(String, &str)> = texts.iter().map(|(n, o, _)| (n.clone(), o.as_str())).collect();
        let mut unique: Vec<(String, &str)> = Vec::new();
        for (name, text) in &old {
            if unique.last().is_none_or(|(_, t)| t != text) {
                unique.push((name.clone(), text));
            }
        }
        let bad_before: std::collections::HashSet<&str> = {
            let names = refused_by_nix(&unique);
            unique.iter().filter(|(n, _)| names.contains(n)).map(|(_, t)| *t).collect()
        };
        let good: Vec<(String, &str)> = texts
            .iter()
            .filter(|(_, o, _)| !bad_before.contains(o.as_str()))
            .map(|(n, _, new)| (n.clone(), new.as_str()))
            .collect();
        println!("\nnix-instantiate --parse: {} edited texts whose original it accepts", good.len());
        damages.extend(refused_by_nix(&good).into_iter().map(|n| format!("{n}: Nix refuses the new text")));
    }
    println!("\n{} damaged", damages.len());
    for line in &damages {
        println!("  {line}");
    }
    println!("{} not restored byte by byte", unrestored.len());
    for line in &unrestored {
        println!("  {line}");
    }
    println!("{} unexpected", failures.len());
    for line in &failures {
        println!("  {line}");
    }
    let _ = FnKind::Packages;
    if damages.is_empty() && failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(1) }
}
