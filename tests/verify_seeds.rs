//! Seeded builds and what `verify` has to say of them: each is one change to a small package set (`tests/verify_seeds`) or to
//! its overlay, built by Nix with the compiler of this machine.
//!
//! A sample runs with the suite. `OVERLAYCTL_SEEDS=all cargo test --test verify_seeds -- --nocapture` runs all and prints the table,
//! `OVERLAYCTL_SEEDS=NAME` those whose names have NAME in them.

#![allow(clippy::unwrap_used, clippy::print_stderr, clippy::print_stdout, reason = "a test says what it expects")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use overlayctl::base::diagnostic::Verdict as Ending;
use overlayctl::base::process::find_program;
use overlayctl::base::progress::Silent;
use overlayctl::config::Workspace;
use overlayctl::ops::verify::{Options, RunCheck, verify};
use overlayctl::ops::{Outcome as _, build};
use overlayctl::targets::Selection;
use overlayctl::verify::Verdict;

#[path = "verify_seeds/right.rs"]
mod right;
#[path = "verify_seeds/stranger.rs"]
mod stranger;
#[path = "verify_seeds/wrong.rs"]
mod wrong;

/// What the overall answer has to be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Wanted {
    Green,
    Red,
    /// Anything but green.
    NotGreen,
    /// Not failed, and not everything is known.
    Unknown,
}

/// One seeded build.
#[derive(Debug, Clone)]
pub(crate) struct Seed {
    pub(crate) name: String,
    pub(crate) wanted: Wanted,
    /// The cause that one of the failed levels has to name.
    pub(crate) cause: Option<&'static str>,
    pub(crate) targets: Vec<String>,
    pub(crate) attr: &'static str,
    /// Edits of the sources that make the patches: for each patch file, what is replaced by what.
    pub(crate) patches: Vec<Vec<(&'static str, &'static str, &'static str)>>,
    /// Attributes beside `patches` in the overlay.
    pub(crate) with: String,
    /// The whole overlay, where it is not the usual one.
    pub(crate) overlay: Option<String>,
    /// Texts of the package set that are replaced: file, what, by what.
    pub(crate) edits: Vec<(String, String, String)>,
    /// Files that are written into the workspace.
    pub(crate) files: Vec<(String, String)>,
    pub(crate) run: Option<RunCheck>,
    pub(crate) replay: bool,
    /// How many leading directories the names in the patches have.
    pub(crate) level: u8,
    pub(crate) after: After,
}

/// What happens between the build and the proof.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum After {
    Nothing,
    /// The log of the patched package is lost.
    LogLost,
    /// The build was made without the overlay.
    Stale,
    /// The build is not made at all.
    NotBuilt,
}

impl Seed {
    pub(crate) fn new(name: impl Into<String>, wanted: Wanted) -> Seed {
        Seed {
            name: name.into(),
            wanted,
            cause: None,
            targets: vec!["pkgsStatic.app".into()],
            attr: "libfoo",
            patches: vec![CODE.to_vec()],
            with: String::new(),
            overlay: None,
            edits: Vec::new(),
            files: Vec::new(),
            run: None,
            replay: false,
            level: 1,
            after: After::Nothing,
        }
    }

    pub(crate) fn cause(mut self, cause: &'static str) -> Seed {
        self.cause = Some(cause);
        self
    }

    pub(crate) fn target(mut self, target: &str) -> Seed {
        self.targets = target.split(' ').map(str::to_string).collect();
        self
    }

    pub(crate) fn of(mut self, attr: &'static str) -> Seed {
        self.attr = attr;
        self
    }

    pub(crate) fn patch(mut self, edits: &[(&'static str, &'static str, &'static str)]) -> Seed {
        self.patches = vec![edits.to_vec()];
        self
    }

    pub(crate) fn and_patch(mut self, edits: &[(&'static str, &'static str, &'static str)]) -> Seed {
        self.patches.push(edits.to_vec());
        self
    }

    pub(crate) fn with(mut self, attributes: &str) -> Seed {
        self.with = attributes.into();
        self
    }

    /// Links the program otherwise.
    pub(crate) fn link(self, by: &str) -> Seed {
        self.edit("packages.nix", LINK, by)
    }

    /// Installs more than the program.
    pub(crate) fn install(self, more: &str) -> Seed {
        self.edit("packages.nix", INSTALLED, &format!("cp app $out/bin; {more}\""))
    }

    /// Adds a package to the set.
    pub(crate) fn package(self, text: &str) -> Seed {
        self.edit("packages.nix", KERNEL, &format!("{text}\n\n{KERNEL}"))
    }

    pub(crate) fn overlay(mut self, text: impl Into<String>) -> Seed {
        self.overlay = Some(text.into());
        self
    }

    /// Runs the program as well: what it has to print, and how it has to end.
    pub(crate) fn run(mut self, expect: Option<&str>, exit: i32) -> Seed {
        self.run = Some(RunCheck { args: String::new(), expect: expect.map(Into::into), exit, program: None });
        self
    }

    pub(crate) fn edit(mut self, file: &str, what: &str, by: &str) -> Seed {
        self.edits.push((file.into(), what.into(), by.into()));
        self
    }
}

pub(crate) type Edit = (&'static str, &'static str, &'static str);
/// How programs are linked: a word for names, and the target.
pub(crate) const LINKAGES: [(&str, &str); 2] = [("static", "pkgsStatic.app"), ("dynamic", "app")];
/// What is changed of the code.
pub(crate) const CHANGES: [(&str, &[Edit]); 2] = [("text", CODE), ("code", SUM)];
/// Texts of the package set: how the program is linked and installed, and what stands behind it.
pub(crate) const LINK: &str = "$CC -O2 app.c -o app -lfoo $LINK";
pub(crate) const INSTALLED: &str = "cp app $out/bin\"";
const KERNEL: &str = "  # A kernel and a module";

/// Links a copy of the library's source in.
pub(crate) fn bundled(flags: &str) -> String {
    format!("$CC {flags} -I$vendored app.c $vendored/foo.c -o app -lfoo $LINK")
}

/// A text of the code.
pub(crate) const CODE: &[Edit] = &[("foo.c", "version one of the seeds", "version PATCHED two of them")];
/// Code without a text.
pub(crate) const SUM: &[Edit] = &[("foo.c", "n += table[i % 64];", "n += 7 * table[i % 64] + 11;")];
/// A file that is not compiled.
pub(crate) const UNCOMPILED: &[Edit] = &[("windows.c", "return 1", "return 2")];

fn command(dir: &Path, line: &str) {
    let done = Command::new("sh").args(["-ec", line]).current_dir(dir).output().unwrap();
    assert!(done.status.success(), "{line}: {}", String::from_utf8_lossy(&done.stderr));
}

fn replace(file: &Path, what: &str, by: &str) {
    let text = fs::read_to_string(file).unwrap_or_default();
    assert!(what.is_empty() || text.contains(what), "{what} is not in {}", file.display());
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(file, if what.is_empty() { format!("{text}{by}") } else { text.replace(what, by) }).unwrap();
}

/// What came of a seed.
struct Shown {
    /// `None` when the seed does not build or verify at all.
    overall: Option<Wanted>,
    causes: Vec<String>,
    lines: Vec<String>,
}

fn workspace(seed: &Seed) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    let set = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/verify_seeds/nixpkgs");
    command(root, &format!("cp -r '{}' nixpkgs && chmod -R u+w nixpkgs", set.display()));
    let later = if seed.files.iter().any(|(file, _)| file == "later") { ", \"overlays/zz.nix\"" } else { "" };
    let toml = format!(
        "nixpkgs = \"./nixpkgs\"\noverlays = [\"overlays/default.nix\"{later}]\n[nix.options]\nsubstituters = \"\"\nsandbox = \"false\"\n"
    );
    fs::write(root.join("overlayctl.toml"), toml).unwrap();
    let queue = root.join("patches").join(seed.attr);
    fs::create_dir_all(&queue).unwrap();
    command(root, "cp -r nixpkgs/src before");
    let mut names = Vec::new();
    for (at, edits) in seed.patches.iter().enumerate() {
        command(root, "rm -rf a b && cp -r before a && cp -r before b");
        for (file, what, by) in edits {
            if by == &"-" {
                fs::remove_file(root.join("b").join(file)).unwrap();
            } else {
                replace(&root.join("b").join(file), what, by);
            }
        }
        let name = format!("{:04}-change.patch", at + 1);
        let header = format!("Subject: [PATCH] change {}\n\n---\n", at + 1);
        let (a, b) = match seed.level {
            0 => ("", ""),
            1 => ("a/", "b/"),
            _ => ("a/x/", "b/x/"),
        };
        let renamed = format!("diff -urN a b | sed -e '/^diff /d' -e 's#^--- a/#--- {a}#' -e 's#^+++ b/#+++ {b}#'");
        let diff = Command::new("sh").args(["-c", &renamed]).current_dir(root).output().unwrap();
        fs::write(queue.join(&name), [header.as_bytes(), &diff.stdout].concat()).unwrap();
        names.push(format!("../patches/{}/{name}", seed.attr));
        command(root, "rm -rf before && mv b before");
    }
    command(root, "rm -rf a before");
    let usual = format!(
        "final: prev: {{\n  {0} = prev.{0}.overrideAttrs (old: {{\n    patches = (old.patches or [ ]) ++ [ {1} ];\n{2}\n  }});\n}}\n",
        seed.attr,
        names.join(" "),
        seed.with
    );
    fs::create_dir_all(root.join("overlays")).unwrap();
    let overlay = seed.overlay.clone().map_or(usual, |text| text.replace("PATCHES", &names.join(" ")));
    fs::write(root.join("overlays/default.nix"), overlay).unwrap();
    for (file, text) in &seed.files {
        replace(&root.join(file), "", text);
    }
    for (file, what, by) in &seed.edits {
        replace(&root.join("nixpkgs").join(file), what, by);
    }
    // A package that bundles the library's source is another one than one that does not.
    let set = root.join("nixpkgs/packages.nix");
    let text = fs::read_to_string(&set).unwrap();
    if !text.contains("$vendored") {
        fs::write(&set, text.replace("vendored = ./src;", "")).unwrap();
    }
    dir
}

fn build_all(dir: &Path, seed: &Seed) -> Result<(), String> {
    let options = build::Options { selection: selection(seed), ..build::Options::default() };
    let built = build::build(&Workspace::open(Some(dir)).unwrap(), &options, &mut Silent);
    let built = built.map_err(|e| e.to_string())?;
    let failed = built.failures.first().map(|f| f.tail.join("\n"));
    failed.map_or(Ok(()), |why| Err(format!("does not build: {why}")))
}

fn selection(seed: &Seed) -> Selection {
    Selection { targets: seed.targets.clone(), ..Selection::default() }
}

fn judge(seed: &Seed) -> Shown {
    let dir = workspace(seed);
    let root = dir.path();
    let overlay = root.join("overlays/default.nix");
    let built = match seed.after {
        After::NotBuilt => Ok(()),
        After::Stale => {
            let text = fs::read_to_string(&overlay).unwrap();
            fs::write(&overlay, "final: prev: { }\n").unwrap();
            let built = build_all(root, seed);
            fs::write(&overlay, text).unwrap();
            built
        }
        _ => build_all(root, seed),
    };
    if let Err(why) = built {
        return Shown { overall: None, causes: vec![], lines: vec![why] };
    }
    if seed.after == After::LogLost {
        let drvs = "nix-store -qR $(nix-store -q --deriver $(readlink -f result-*))";
        command(
            root,
            &format!(
                "for drv in $({drvs} | grep -e -{}-); do name=$(basename $drv); \
                 rm -f /nix/var/log/nix/drvs/$(echo $name | cut -c1-2)/$(echo $name | cut -c3-)*; done; rm -rf .overlayctl/logs",
                seed.attr
            ),
        );
    }
    let options =
        Options { selection: selection(seed), run: seed.run.clone(), replay: seed.replay, ..Options::default() };
    let verified = match verify(&Workspace::open(Some(root)).unwrap(), &options, &mut Silent) {
        Ok(verified) => verified,
        Err(error) => return Shown { overall: None, causes: vec![], lines: vec![error.to_string()] },
    };
    let mut causes = Vec::new();
    let mut lines = Vec::new();
    for finding in &verified.findings {
        if finding.verdict == Verdict::Failed {
            causes
                .extend(finding.cause.map(|cause| serde_json::to_value(cause).unwrap().as_str().unwrap().to_string()));
        }
        if finding.verdict != Verdict::Ok {
            lines.push(format!("{} {:?}: {}", finding.level.name(), finding.verdict, finding.why));
        }
    }
    let overall = match verified.verdict() {
        None => Wanted::Green,
        Some(Ending::No) if verified.counts.failed == 0 => Wanted::Unknown,
        Some(_) => Wanted::Red,
    };
    Shown { overall: Some(overall), causes, lines }
}

fn is_right(seed: &Seed, shown: &Shown) -> bool {
    match seed.wanted {
        Wanted::NotGreen => matches!(shown.overall, Some(Wanted::Red | Wanted::Unknown)),
        wanted => shown.overall == Some(wanted),
    }
}

fn names_cause(seed: &Seed, shown: &Shown) -> bool {
    seed.cause.is_none_or(|cause| shown.overall != Some(Wanted::Red) || shown.causes.iter().any(|c| c == cause))
}

#[test]
fn every_seed_ends_as_it_should() {
    for program in ["nix-store", "gcc", "patch", "diff", "readelf", "objcopy"] {
        if find_program(program).is_none() {
            eprintln!("skipped: {program} is not installed");
            return;
        }
    }
    let asked = std::env::var("OVERLAYCTL_SEEDS").unwrap_or_default();
    let all = [right::seeds(), wrong::seeds(), stranger::seeds()].concat();
    let mut by_name: BTreeMap<&str, usize> = BTreeMap::new();
    all.iter().for_each(|seed| *by_name.entry(&seed.name).or_default() += 1);
    assert!(by_name.values().all(|count| *count == 1), "two seeds of one name: {by_name:?}");
    let chosen: Vec<&Seed> = match asked.as_str() {
        "all" => all.iter().collect(),
        // Every kind is in the sample: they stand in the order of their kinds.
        "" => all.iter().step_by(all.len().div_ceil(SAMPLE)).collect(),
        name => all.iter().filter(|seed| seed.name.contains(name)).collect(),
    };
    let (mut wrong, mut causes) = (Vec::new(), Vec::new());
    for seed in &chosen {
        let shown = judge(seed);
        let right = is_right(seed, &shown);
        println!(
            "{} {:44} wanted {:9} said {:9} {}",
            if right { "ok " } else { "BAD" },
            seed.name,
            format!("{:?}", seed.wanted),
            shown.overall.map_or("nothing".into(), |overall| format!("{overall:?}")),
            shown.causes.join(" ")
        );
        if !right {
            shown.lines.iter().for_each(|line| println!("        {line}"));
            wrong.push(seed.name.clone());
        } else if !names_cause(seed, &shown) {
            println!("        cause: {} wanted", seed.cause.unwrap_or_default());
            causes.push(seed.name.clone());
        }
    }
    println!(
        "{} of {} seeds, {} right, {} of them with another cause",
        chosen.len(),
        all.len(),
        chosen.len() - wrong.len(),
        causes.len()
    );
    assert!(wrong.is_empty(), "{wrong:?}");
    assert!(causes.is_empty(), "{causes:?}");
}

/// How many seeds run with the suite.
const SAMPLE: usize = 40;
