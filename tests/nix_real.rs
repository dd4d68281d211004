//! The nix room against the Nix that is installed (or the one in `OVERLAYCTL_NIX_BIN`): derivations of `/bin/sh`, no
//! nixpkgs, no network. Skipped where there is no Nix.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "tests say what they expect and why they are skipped")]

use std::path::{Path, PathBuf};

use overlayctl::base::diagnostic::Coded as _;
use overlayctl::nix::{
    BuildRequest, BuildState, Evaluated, Event, FailureKind, Fragment, Goal, Nix, NixpkgsRef, Outcome, Overlay,
    PackageSet, Patches, PoolSettings, Reason, Root, Settings, Side, SideResult,
};

/// A package set with nixpkgs' interface, small enough to read: `overlays` and `config` count.
const SET: &str = r#"
{ overlays ? [ ], config ? { }, crossOverlays ? [ ], crossSystem ? null, system ? builtins.currentSystem }:
let
  mk = args: let drv = derivation ({ inherit system; builder = "/bin/sh"; PATH = "/usr/bin:/bin"; salt = @SALT@; } // args
    // { args = [ "-c" args.script ]; }); in drv // { overrideAttrs = f: mk (args // f args); patches = args.patches or null; };
  base = final: {
    libc = mk { name = "libc-1.2"; version = "1.2"; patches = [ ]; script = "echo libc $patches; echo libc > $out"; };
    tool = mk { name = "tool-1"; libc = final.libc; script = "echo using $libc; cat $libc > $out"; };
    slow = mk { name = "slow"; script = "sleep 30; echo > $out"; };
    bad = mk { name = "bad"; script = "echo one; echo two; exit 3"; };
    "odd name.x" = mk { name = "odd"; script = "echo > $out"; };
    needsBad = mk { name = "needs-bad"; bad = final.bad; script = "echo > $out"; };
    wrongHash = mk { name = "wrong-hash"; script = "echo x > $out"; outputHash = "sha256-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="; outputHashMode = "flat"; outputHashAlgo = "sha256"; };
    noOutput = mk { name = "no-output"; script = ":"; };
    twoOutputs = mk { name = "two"; outputs = [ "out" "dev" ]; script = "echo > $out; echo > $dev"; };
    colours = mk { name = "colours"; script = "printf '\\033[31mred\\033[0m\\n'; echo > $out"; };
    throws = throw "no ${"$"}{such} \"thing\"\nsecond line";
    loop = final.loop;
    wrongType = 1 + "a";
    number = 5;
    deep = let f = n: 1 + f (n + 1); in f 0;
    group = { recurseForDerivations = true; inner = final.tool; broken = throw "inner"; };
  };
  fix = f: let x = f x; in x;
  extend = f: overlay: final: let prev = f final; in prev // overlay final prev;
in fix (builtins.foldl' extend base overlays)
"#;

struct Room {
    dir: tempfile::TempDir,
    nix: Nix,
}

impl Room {
    /// Makes a package set of its own (its derivations are nobody else's), or says why it is skipped.
    fn new() -> Option<Room> {
        Room::with(|_| {})
    }

    fn with(change: impl FnOnce(&mut Settings)) -> Option<Room> {
        let mut settings = Settings {
            options: vec![("substituters".into(), String::new())],
            programs: std::env::var_os("OVERLAYCTL_NIX_BIN").map(PathBuf::from),
            store: std::env::var("OVERLAYCTL_TEST_STORE").ok(),
            ..Settings::default()
        };
        change(&mut settings);
        let nix = match Nix::discover(settings) {
            Ok(nix) => nix,
            Err(e) => {
                eprintln!("skipped: {e}");
                return None;
            }
        };
        let dir = tempfile::Builder::new().prefix("a b${c}").tempdir().unwrap();
        let salt = format!("\"{}-{:?}\"", std::process::id(), std::time::SystemTime::now());
        std::fs::write(dir.path().join("set.nix"), SET.replace("@SALT@", &salt.replace(['{', '}', ':'], ""))).unwrap();
        let overlay =
            "final: prev: { libc = prev.libc.overrideAttrs (o: { patches = o.patches ++ [ ./fix.patch ]; }); }";
        std::fs::write(dir.path().join("overlay.nix"), overlay).unwrap();
        std::fs::write(dir.path().join("fix.patch"), "fix\n").unwrap();
        Some(Room { dir, nix })
    }

    fn set(&self) -> PackageSet {
        PackageSet::new(NixpkgsRef::Path(self.dir.path().join("set.nix")))
    }

    fn root(&self) -> Root {
        Root::Packages(Box::new(self.set()))
    }

    fn side(&self, targets: &[&str]) -> Side {
        let targets = targets.iter().map(|t| vec![t.to_string()]).collect();
        Side { name: "plain".into(), root: self.root(), targets }
    }

    fn instantiate(&self, targets: &[&str]) -> SideResult {
        self.nix.instantiate(&[self.side(targets)]).unwrap().remove(0)
    }

    fn request(&self, targets: &[&str]) -> BuildRequest {
        let goals = self
            .instantiate(targets)
            .into_iter()
            .zip(targets)
            .map(|(drv, name)| Goal::of(&drv.unwrap(), Some(self.dir.path().join(format!("result-{name}")))));
        BuildRequest { goals: goals.collect(), ..BuildRequest::default() }
    }
}

fn ignore(_: &Event, _: &BuildState) {}

#[test]
fn two_sides_with_failures_between_the_targets() {
    let Some(room) = Room::new() else { return };
    let targets = ["libc", "throws", "tool", "loop", "tol", "odd name.x", "number", "wrongType", "twoOutputs"];
    let mut patched = room.side(&targets);
    let mut set = room.set();
    set.overlays.push(Overlay::File(room.dir.path().join("overlay.nix")));
    patched.root = Root::Packages(Box::new(set));
    let sides = room.nix.instantiate(&[room.side(&targets), patched]).unwrap();
    let [plain, patched] = &sides[..] else { panic!() };
    let drv = |side: &SideResult, i: usize| side[i].as_ref().unwrap().drv_path.clone();
    assert_ne!(drv(plain, 0), drv(patched, 0));
    assert_ne!(drv(plain, 2), drv(patched, 2));
    assert_eq!(drv(plain, 5), drv(patched, 5));
    let failure = |i: usize| plain[i].as_ref().unwrap_err();
    assert_eq!(failure(1).message, "no ${such} \"thing\"");
    assert!(failure(1).full.contains("second line"));
    assert_eq!(failure(3).kind, FailureKind::InfiniteRecursion);
    assert_eq!(failure(4).kind, FailureKind::MissingAttribute { attribute: "tol".into() });
    assert!(failure(4).near.contains(&"tool".to_string()), "{:?}", failure(4).near);
    assert_eq!(failure(6).kind, FailureKind::NotADerivation);
    assert_eq!(failure(7).kind, FailureKind::Type, "{:?}", failure(7));
    let two = plain[8].as_ref().unwrap();
    assert_eq!(two.outputs.iter().map(|o| o.name.as_str()).collect::<Vec<_>>(), ["out", "dev"]);
    assert!(room.nix.physical(&drv(plain, 0)).unwrap().is_file(), "the derivation is in the store");
}

#[test]
fn what_a_side_looks_at_is_a_key_until_it_changes() {
    let Some(room) = Room::new() else { return };
    // A path that can stand in an expression as it is.
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str| dir.path().join(name);
    std::fs::write(file("read"), "1").unwrap();
    std::thread::sleep(std::time::Duration::from_millis(30));
    let since = std::time::SystemTime::now();
    let key = |text: &str| {
        let text = text.replace("HERE", &dir.path().display().to_string());
        let root =
            format!("{{ it = derivation {{ name = \"it\"; system = \"x\"; builder = \"/b\"; v = [ ({text}) ]; }}; }}");
        let root = Root::Expression(Fragment::parse(root).unwrap());
        let side = Side { name: "one".into(), root, targets: vec![vec!["it".into()]] };
        let (nix, watch) = room.nix.watched([&side.root]);
        nix.instantiate(&[side]).unwrap()[0][0].as_ref().unwrap();
        watch.reads().key(since, &[])
    };
    for pure in [
        "1",
        "builtins.readFile HERE/read",
        "HERE/read",
        "(import <nix/fetchurl.nix> { url = \"http://x/y\"; sha256 = \"0000000000000000000000000000000000000000000000000000\"; }).drvPath",
    ] {
        assert!(key(pure).is_some_and(|key| overlayctl::nix::Reads::still(&key)), "{pure}");
    }
    // The clock, what is fetched without a hash, and what nobody knows.
    for doubtful in [
        "builtins.currentTime",
        "__currentTime",
        "builtins.getEnv \"TERM\"",
        "builtins.fetchurl \"file://HERE/read\"",
        "builtins.readFile (builtins.findFile [ { prefix = \"\"; path = \".\"; } { prefix = \"\"; path = \"HERE\"; } ] \"read\")",
        "(builtins.scopedImport { } (builtins.toFile \"a\" \"builtins.currentTime\"))",
    ] {
        assert_eq!(key(doubtful), None, "{doubtful}");
    }
    let looked = key("builtins.readFile HERE/read").unwrap();
    std::fs::write(file("read"), "2").unwrap();
    assert!(!overlayctl::nix::Reads::still(&looked));
    assert_eq!(key("builtins.readFile HERE/read"), None, "it changed since");
}

#[test]
fn a_target_that_takes_the_evaluator_down_takes_no_other_with_it() {
    let Some(room) = Room::new() else { return };
    let results = room.instantiate(&["libc", "deep", "tool", "deep", "bad"]);
    assert!(results[0].is_ok() && results[2].is_ok() && results[4].is_ok(), "{results:?}");
    for i in [1, 3] {
        let failure = results[i].as_ref().unwrap_err();
        assert_eq!(failure.kind, FailureKind::InfiniteRecursion, "{failure:?}");
    }
}

#[test]
fn an_expression_that_is_no_nix_is_an_error_of_the_side() {
    let Some(room) = Room::new() else { return };
    for (text, code) in [("1 + ;", "OV0503"), ("let x = 1; in y", "OV0503"), ("{ a = 1; a = 2; }", "OV0503")] {
        let root = Root::Expression(Fragment::parse(text).unwrap());
        let side = Side { name: "odd".into(), root, targets: vec![vec!["x".into()]] };
        let error = room.nix.instantiate(&[side]).unwrap_err();
        assert_eq!(error.code(), code, "{text}: {error}");
    }
}

#[test]
fn a_fragment_of_several_lines_and_a_comment_is_one_expression() {
    let Some(room) = Room::new() else { return };
    let text = "{\n  a = ''\n    ${\"x\"}\n\n  ''; # here )\n  b = \"two\nlines\";\n}\n# the end";
    let root = Root::Expression(Fragment::parse(text).unwrap());
    assert_eq!(room.nix.attr_names(&root, &[]).unwrap(), ["a", "b"]);
}

#[test]
fn facts_of_packages() {
    let Some(room) = Room::new() else { return };
    let facts = |name: &str| room.nix.package_facts(&room.root(), &[name.to_string()]).unwrap();
    let libc = facts("libc");
    assert!(libc.exists && libc.is_derivation);
    assert_eq!((libc.patches, libc.has_src), (Patches::List(Vec::new()), Some(false)));
    assert_eq!(libc.pname.as_deref(), Some("libc"));
    assert_eq!(facts("tool").patches, Patches::Null);
    let missing = facts("libk");
    assert!(!missing.exists && missing.near.contains(&"libc".to_string()), "{missing:?}");
    let throws = facts("throws");
    assert!(throws.exists && !throws.is_derivation && throws.failure.is_some());
    assert!(!facts("number").is_derivation);
}

#[test]
fn a_chain_is_built_linked_and_found_again() {
    let Some(room) = Room::new() else { return };
    let request = room.request(&["tool", "twoOutputs", "colours"]);
    let dry = room.nix.dry_run(&request.goals.iter().map(|g| g.drv_path.clone()).collect::<Vec<_>>()).unwrap();
    assert_eq!(dry.will_build.len(), 4, "{dry:?}");
    let mut lines = Vec::new();
    let report = room
        .nix
        .build(&request, &mut |event, _| {
            if let Event::Change(overlayctl::nix::Change::Line(_, line)) = event {
                lines.push(line.clone());
            }
        })
        .unwrap();
    assert_eq!(report.status, Some(0), "{report:?}");
    report.check().unwrap();
    assert_eq!(report.results.values().filter(|r| r.outcome == Outcome::Built).count(), 4);
    assert!(lines.iter().any(|l| l == "red") && lines.iter().any(|l| l.starts_with("using /nix/store/")), "{lines:?}");
    let tool = &request.goals[0];
    let link = std::fs::read_link(room.dir.path().join("result-tool")).unwrap();
    assert!(link.ends_with(Path::new(&tool.outputs[0].path).file_name().unwrap()));
    assert!(room.nix.build_log(&tool.drv_path).unwrap().unwrap().contains("using "));
    // The runtime closure of a text that names nothing is itself; the build closure has both derivations.
    assert_eq!(room.nix.requisites(&[&tool.outputs[0].path]).unwrap().len(), 1);
    let closure = room.nix.requisites(&[&tool.drv_path]).unwrap();
    assert_eq!(closure.iter().filter(|p| p.ends_with(".drv")).count(), 2);
    assert_eq!(room.nix.outputs(&[&tool.drv_path]).unwrap(), [tool.outputs[0].path.clone()]);
    let nope = "/nix/store/00000000000000000000000000000000-nope";
    assert_eq!(room.nix.valid(&[tool.outputs[0].path.as_str(), nope]).unwrap().len(), 1);
    let references = room.nix.references(&[tool.outputs[0].path.as_str(), nope]).unwrap();
    assert_eq!(references.keys().collect::<Vec<_>>(), [&tool.outputs[0].path]);
    // A second run finds everything there.
    let again = room.nix.build(&request, &mut ignore).unwrap();
    assert!(again.results.values().all(|r| r.outcome == Outcome::Already), "{again:?}");
    // A link that cannot be made does not lose the report.
    let mut unlinked = room.request(&["tool"]);
    unlinked.goals[0].link = Some(room.dir.path().join("set.nix/result"));
    let report = room.nix.build(&unlinked, &mut ignore).unwrap();
    assert_eq!((report.unlinked.len(), report.check().unwrap_err().code()), (1, "OV0518"), "{report:?}");
    // And a comparing one finds it the same.
    let mut check = room.request(&["tool"]);
    check.settings.check = true;
    assert_eq!(room.nix.build(&check, &mut ignore).unwrap().status, Some(0));
}

#[test]
fn failures_are_told_with_their_reasons_and_what_they_block() {
    let Some(room) = Room::new() else { return };
    let mut request = room.request(&["needsBad", "wrongHash", "noOutput", "tool"]);
    request.settings.keep_going = true;
    let report = room.nix.build(&request, &mut ignore).unwrap();
    let result = |name: &str| {
        let found = report.results.iter().find(|(drv, _)| overlayctl::base::store_path::drv_name(drv) == name);
        found.unwrap_or_else(|| panic!("no {name} in {report:?}")).1
    };
    let reason = |name: &str| result(name).failure.as_ref().unwrap().reason.clone();
    assert_eq!((result("bad").outcome, reason("bad")), (Outcome::Failed, Reason::Exit { status: 3 }));
    assert_eq!(result("bad").tail, ["one", "two"]);
    assert_eq!(
        (result("needs-bad").outcome, reason("needs-bad")),
        (Outcome::Blocked, Reason::Dependencies { count: 1 })
    );
    assert!(matches!(reason("wrong-hash"), Reason::HashMismatch { .. }), "{:?}", reason("wrong-hash"));
    assert_eq!(reason("no-output"), Reason::NoOutput { output: "out".into() });
    assert_eq!(result("tool-1").outcome, Outcome::Built);
    assert!(room.dir.path().join("result-tool").symlink_metadata().is_ok(), "what was built has its link");
    assert_eq!(report.check().unwrap_err().code(), "OV0504");
}

#[test]
fn a_build_that_takes_too_long_says_so() {
    let Some(room) = Room::new() else { return };
    let mut request = room.request(&["slow"]);
    request.settings.timeout = Some(1);
    let report = room.nix.build(&request, &mut ignore).unwrap();
    let slow = report.results.values().next().unwrap();
    assert_eq!(slow.outcome, Outcome::Failed, "{report:?}");
    assert!(matches!(slow.failure.as_ref().unwrap().reason, Reason::TimedOut { .. }), "{report:?}");
}

#[test]
fn a_pool_goes_through_everything_and_into_sets() {
    let Some(room) = Room::new() else { return };
    assert_eq!(room.nix.attr_names(&room.root(), &[]).unwrap().len(), 16);
    for workers in [1, 2] {
        let settings = PoolSettings { workers, max_memory: None, recurse: true, limit: None };
        let mut found = Vec::new();
        let summary = room
            .nix
            .evaluate_all(&room.root(), vec![Vec::new()], settings, &mut |p, e, _| found.push((p.join("/"), e)))
            .unwrap();
        assert_eq!((summary.attributes, summary.derivations, summary.failed), (18, 11, 5), "{found:?}");
        found.sort_by(|a, b| a.0.cmp(&b.0));
        let of = |name: &str| found.iter().find(|(n, _)| n == name).unwrap().1.clone();
        assert_eq!(of("group"), Evaluated::Set);
        assert_eq!(of("number"), Evaluated::Other);
        assert!(matches!(of("group/inner"), Evaluated::Derivation { .. }));
        let Evaluated::Failed(failure) = of("group/broken") else { panic!() };
        assert_eq!(failure.message, "inner");
        let Evaluated::Failed(failure) = of("loop") else { panic!() };
        assert_eq!(failure.kind, FailureKind::InfiniteRecursion);
    }
}

#[test]
fn a_worker_without_memory_is_an_error_and_not_a_loop() {
    let Some(room) = Room::new() else { return };
    let settings = PoolSettings { workers: 2, max_memory: Some(1), recurse: false, limit: None };
    // Something that takes longer than the time between two looks at the memory.
    let slow = "{ slow = builtins.foldl' (a: b: a + b) 0 (builtins.genList (x: x) 2000000); }";
    let root = Root::Expression(Fragment::parse(slow).unwrap());
    let error = room.nix.evaluate_all(&root, vec![Vec::new()], settings, &mut |_, _, _| {}).unwrap_err();
    assert_eq!(error.code(), "OV0512", "{error}");
}

/// A directory with programs called as Nix's, each a shell script.
fn impostor(nix: &str, nix_store: &str) -> (tempfile::TempDir, Nix) {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    for (name, script) in [("nix", nix), ("nix-store", nix_store), ("nix-instantiate", "exit 1")] {
        let file = dir.path().join(name);
        std::fs::write(&file, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    let settings = Settings {
        programs: Some(dir.path().to_path_buf()),
        eval_limit: Some(std::time::Duration::from_secs(2)),
        ..Settings::default()
    };
    (dir, Nix::discover(settings).unwrap())
}

#[test]
fn evaluators_that_die_hang_or_talk_nonsense() {
    let root = Root::Expression(Fragment::parse("{ }").unwrap());
    let cases = [
        (
            "if [ \"$1\" = --version ]; then echo 'nix (Nix) 2.8.0'; else echo 'error: no room' >&2; exit 7; fi",
            "OV0512",
        ),
        ("if [ \"$1\" = --version ]; then echo 'nix (Nix) 2.3.16'; else echo 'error: no' >&2; exit 1; fi", "OV0502"),
        ("if [ \"$1\" = --version ]; then echo 'nix (Nix) 2.8.0'; else sleep 60; fi", "OV0513"),
        ("if [ \"$1\" = --version ]; then echo 'nix (Nix) 2.8.0'; else yes '@@garbage'; fi", "OV0513"),
        ("if [ \"$1\" = --version ]; then echo 'nix (Nix) 2.8.0'; else head -c 3000000 /dev/urandom; fi", "OV0512"),
        ("kill -9 $$", "OV0512"),
    ];
    for (script, code) in cases {
        let (_dir, nix) = impostor(script, "exit 1");
        let error = nix.attr_names(&root, &[]).unwrap_err();
        assert_eq!(error.code(), code, "{script}: {error}");
        assert!(error.to_string().len() < 500, "{error}");
    }
    let (_dir, nix) = impostor("echo hello", "exit 1");
    assert_eq!(nix.version().unwrap_err().code(), "OV0514");
}

#[test]
fn a_store_that_fails_is_named_for_what_it_is() {
    let cases = [
        ("echo 'error: cannot connect to socket at /nix/x: Connection refused' >&2; exit 1", "OV0507"),
        ("echo 'error: writing to file: No space left on device' >&2; exit 1", "OV0508"),
        ("echo 'error: database disk image is malformed' >&2; exit 1", "OV0506"),
        ("head -c 100000 /dev/urandom >&2; exit 1", "OV0515"),
        ("exit 1", "OV0515"),
    ];
    for (script, code) in cases {
        let (_dir, nix) = impostor("echo 'nix (Nix) 2.8.0'", script);
        assert_eq!(nix.requisites(&["/nix/store/x"]).unwrap_err().code(), code, "{script}");
        let request = BuildRequest {
            goals: vec![Goal { drv_path: "/nix/store/x.drv".into(), outputs: Vec::new(), link: None }],
            ..BuildRequest::default()
        };
        let report = nix.build(&request, &mut ignore).unwrap();
        assert_eq!(report.check().unwrap_err().code(), code, "{script}");
    }
}

#[test]
fn a_build_that_the_evaluation_needs_is_refused_where_that_is_asked_for() {
    let refuse = |settings: &mut Settings| {
        settings.options.push(("allow-import-from-derivation".into(), "false".into()));
    };
    let Some(room) = Room::with(refuse) else { return };
    let set = room.set().to_nix().unwrap();
    let root = Root::Expression(Fragment::parse(format!("{{ x = import ({set}).tool; }}")).unwrap());
    let side = Side { name: "ifd".into(), root, targets: vec![vec!["x".into()]] };
    let failure = room.nix.instantiate(&[side]).unwrap().remove(0).remove(0).unwrap_err();
    assert_eq!(failure.kind, FailureKind::ImportFromDerivation, "{failure:?}");
}

#[test]
fn what_is_in_a_cache_is_fetched_and_not_built() {
    let Some(room) = Room::new() else { return };
    let request = room.request(&["tool"]);
    room.nix.build(&request, &mut ignore).unwrap().check().unwrap();
    let out = request.goals[0].outputs[0].path.clone();
    let cache = tempfile::tempdir().unwrap();
    let url = format!("file://{}", cache.path().display());
    room.nix.copy_to(&url, &[&out]).unwrap();

    let other = tempfile::tempdir().unwrap();
    let fetching = |settings: &mut Settings| {
        settings.store = Some(other.path().display().to_string());
        settings.options = vec![("substituters".into(), url.clone()), ("require-sigs".into(), "false".into())];
    };
    let Some(mut fresh) = Room::with(fetching) else { return };
    fresh.dir = room.dir;
    let request = fresh.request(&["tool"]);
    assert_eq!(request.goals[0].outputs[0].path, out, "the same derivation");
    let dry = fresh.nix.dry_run(&[&format!("{}!out", request.goals[0].drv_path)]).unwrap();
    assert_eq!((dry.will_build.len(), dry.will_fetch.as_slice()), (0, &[out.clone()][..]), "{dry:?}");
    assert!(dry.download.is_some(), "{dry:?}");
    let report = fresh.nix.build(&request, &mut ignore).unwrap();
    assert_eq!(report.results[&request.goals[0].drv_path].outcome, Outcome::Substituted, "{report:?}");
    assert!(report.fetches.iter().any(|f| f.path == out && f.from.contains("file://") && f.ended), "{report:?}");
    assert_eq!(fresh.nix.build_log(&request.goals[0].drv_path).unwrap(), None, "what was fetched has no log here");
}
