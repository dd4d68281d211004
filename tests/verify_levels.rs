//! `verify` on a small package set: what users report as silent failures ends red with its cause by name, what is right
//! ends green. Real Nix, no compiler but for the library that is linked.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "a test says what it expects"
)]

use std::fs;
use std::path::Path;

use overlayctl::base::process::find_program;
use overlayctl::base::progress::Silent;
use overlayctl::config::Workspace;
use overlayctl::ops::verify::{Options, RunCheck, Verified, verify};
use overlayctl::ops::{Outcome as _, boards, build};
use overlayctl::targets::Selection;
use overlayctl::verify::{Cause, Finding, Level, Verdict};

const PATCH: &str = "Subject: say more\n\n--- a/text\n+++ b/text\n@@ -1,2 +1,3 @@\n one\n+one and a half\n two\n";
const SAY_PATCH: &str = "Subject: good night\n\n--- a/say.c\n+++ b/say.c\n@@ -4,5 +4,7 @@\n const char *greeting(int late)\n {\n+\tif (late > 1)\n+\t\treturn \"good night from the patched library\";\n \tif (late)\n \t\treturn \"good evening from the library\";\n \treturn \"good morning from the library\";\n";

/// A workspace over the small package set.
struct Scene {
    dir: tempfile::TempDir,
}

impl Scene {
    /// Makes one; `None`, and says so, where there is no Nix.
    fn new(settings: &str, files: &[(&str, &str)]) -> Option<Scene> {
        if find_program("nix-store").is_none() {
            eprintln!("skipped: Nix is not installed");
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        let scene = Scene { dir };
        let nixpkgs = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/mini-nixpkgs");
        let toml = format!(
            "nixpkgs = {:?}\n{settings}\n[nix.options]\nsubstituters = \"\"\nsandbox = \"false\"\n",
            nixpkgs.display().to_string()
        );
        scene.write("overlayctl.toml", &toml);
        scene.write("fix.patch", PATCH);
        for (name, text) in files {
            scene.write(name, text);
        }
        Some(scene)
    }

    /// One overlay, applied as is usual.
    fn with(overlay: &str) -> Option<Scene> {
        Scene::new("overlays = [\"overlay.nix\"]", &[("overlay.nix", overlay)])
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn workspace(&self) -> Workspace {
        Workspace::open(Some(self.dir.path())).unwrap()
    }

    fn verify(&self, targets: &[&str]) -> Verified {
        self.verify_with(targets, Options::default())
    }

    fn verify_with(&self, targets: &[&str], options: Options) -> Verified {
        let options = Options { selection: selection(targets), ..options };
        verify(&self.workspace(), &options, &mut Silent)
            .unwrap_or_else(|e| panic!("{e}: {:?}", overlayctl::base::diagnostic::Coded::detail(&e)))
    }

    fn build(&self, targets: &[&str]) {
        let options = build::Options { selection: selection(targets), ..build::Options::default() };
        let built = build::build(&self.workspace(), &options, &mut Silent).unwrap();
        assert!(built.failures.is_empty(), "{:?}", built.failures);
    }
}

fn selection(targets: &[&str]) -> Selection {
    Selection { targets: targets.iter().map(ToString::to_string).collect(), ..Selection::default() }
}

fn patched(attr: &str) -> String {
    format!("{attr} = prev.{attr}.overrideAttrs (old: {{ patches = (old.patches or [ ]) ++ [ ./fix.patch ]; }});")
}

fn overlay(attr: &str) -> String {
    format!("final: prev: {{ {} }}", patched(attr))
}

fn at(verified: &Verified, level: Level) -> &Finding {
    verified.findings.iter().find(|f| f.level == level).unwrap()
}

/// The derivation level is red, for this reason.
#[track_caller]
fn red(verified: &Verified, cause: Cause) -> Finding {
    let finding = at(verified, Level::Derivation);
    assert_eq!((finding.verdict, finding.cause), (Verdict::Failed, Some(cause)), "{finding:#?}");
    assert_eq!(finding.code, Some(cause.code()));
    assert!(!verified.verified && verified.verdict().is_some());
    assert!(finding.command.is_some(), "no command shows it: {finding:#?}");
    finding.clone()
}

#[track_caller]
fn all_green(verified: &Verified) {
    let bad = |f: &&Finding| !matches!(f.verdict, Verdict::Ok | Verdict::NotApplicable);
    let wrong: Vec<&Finding> = verified.findings.iter().filter(bad).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(verified.verified && verified.counts.ok > 0);
}

#[test]
fn the_overlay_on_the_wrong_libc_attribute_is_red() {
    let Some(scene) = Scene::with(&overlay("glibc")) else { return };
    let finding = red(&scene.verify(&["pkgsCross.arm.curl"]), Cause::WrongLibcAttribute);
    assert!(finding.why.contains("`glibcCross`"), "{}", finding.why);
    // The one that counts is green.
    let Some(scene) = Scene::with(&overlay("glibcCross")) else { return };
    let verified = scene.verify(&["pkgsCross.arm.curl"]);
    // glibc itself, for the build tools, is another attribute: it is no copy that escaped.
    assert_eq!(at(&verified, Level::Derivation).verdict, Verdict::Ok, "{:#?}", at(&verified, Level::Derivation));
}

#[test]
fn a_typo_in_the_attribute_is_red() {
    let Some(scene) = Scene::with(&overlay("zlbi")) else { return };
    let finding = red(&scene.verify(&["curl"]), Cause::NoSuchAttribute);
    assert!(finding.hint.unwrap().contains("zlib"));
}

#[test]
fn an_overlay_that_does_not_reach_pkgs_cross_is_red() {
    let settings = "overlays = [\"overlay.nix\"]\nconfig = { crossWithoutOverlays = true }";
    let Some(scene) = Scene::new(settings, &[("overlay.nix", &overlay("zlib"))]) else { return };
    let finding = red(&scene.verify(&["pkgsCross.arm.curl"]), Cause::NotInCross);
    assert!(finding.why.contains("aarch64-unknown-linux-gnu"), "{}", finding.why);
    // The same by a condition that is the wrong way round.
    let guarded = "final: prev: { zlib = if prev.stdenv.hostPlatform == prev.stdenv.buildPlatform then \
                   prev.zlib.overrideAttrs (old: { patches = (old.patches or [ ]) ++ [ ./fix.patch ]; }) else prev.zlib; }";
    let Some(scene) = Scene::with(guarded) else { return };
    red(&scene.verify(&["pkgsCross.arm.curl"]), Cause::NotInCross);
}

#[test]
fn an_overlay_that_is_not_wired_in_is_red() {
    let other = "final: prev: { }";
    let files = [("overlays/other.nix", other), ("overlays/zlib.nix", &overlay("zlib")), ("overlays/fix.patch", PATCH)];
    let Some(scene) = Scene::new("overlays = [\"overlays/other.nix\"]", &files) else { return };
    let finding = red(&scene.verify(&["curl"]), Cause::NotWiredIn);
    assert!(finding.why.contains("zlib.nix"), "{}", finding.why);
    // Imported by one that is listed, it is in.
    scene.write("overlays/other.nix", "final: prev: import ./zlib.nix final prev");
    assert_eq!(at(&scene.verify(&["curl"]), Level::Derivation).verdict, Verdict::Ok);
}

#[test]
fn an_overlay_that_the_flake_does_not_name_is_red() {
    let flake = "{ outputs = { self, nixpkgs }: { packages = import ./nix/packages.nix { inherit nixpkgs; }; }; }";
    let packages = "{ nixpkgs }: { curl = (import nixpkgs { overlays = [ ]; }).curl; }";
    let files = [
        ("flake.nix", flake),
        ("nix/packages.nix", packages),
        ("overlays/zlib.nix", &overlay("zlib")),
        ("overlays/fix.patch", PATCH),
    ];
    let Some(scene) = Scene::new("", &files) else { return };
    let finding = red(&scene.verify(&["curl"]), Cause::NotWiredIn);
    assert!(finding.why.contains("flake.nix does not name"), "{}", finding.why);
    // Named by a file that the flake leads to, it is in.
    scene.write("nix/packages.nix", &packages.replace("[ ]", "[ (import ../overlays/zlib.nix) ]"));
    assert_eq!(at(&scene.verify(&["curl"]), Level::Derivation).verdict, Verdict::Ok);
}

/// A target that is an attribute of the user's own code, which applies the overlays itself.
fn own_code(overlays: &str) -> String {
    let nixpkgs = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/mini-nixpkgs");
    format!(
        "let pkgs = import {} {{ overlays = {overlays}; }}; in {{ image = pkgs.curl; inherit pkgs; \
         nixosConfigurations.pi = {{ inherit pkgs; config.system.build.toplevel = pkgs.curl; }}; }}",
        nixpkgs.display()
    )
}

#[test]
fn what_the_users_own_code_makes_is_verified_too() {
    let (with, without) = (own_code("[ (import ./overlay.nix) ]"), own_code("[ ]"));
    let Some(scene) =
        Scene::new("overlays = [\"overlay.nix\"]", &[("overlay.nix", &overlay("zlib")), ("default.nix", &with)])
    else {
        return;
    };
    let system = "nixosConfigurations.pi.config.system.build.toplevel";
    let targets = ["./default.nix#image", system];
    scene.build(&targets);
    let verified = scene.verify(&targets);
    all_green(&verified);
    assert_eq!(verified.targets.iter().map(|t| t.target.as_str()).collect::<Vec<_>>(), targets);
    // The overlay is there, and the user's code does not use it.
    scene.write("default.nix", &without);
    for target in targets {
        red(&scene.verify(&[target]), Cause::NotInEffect);
    }
    scene.write("overlay.nix", &overlay("zlbi"));
    let finding = red(&scene.verify(&[system]), Cause::NoSuchAttribute);
    assert!(finding.hint.unwrap().contains("zlib"));
}

#[test]
fn a_set_that_cannot_be_found_is_unknown() {
    let hidden = own_code("[ ]").replace("image = pkgs.curl; inherit pkgs;", "image = pkgs.curl;");
    let Some(scene) =
        Scene::new("overlays = [\"overlay.nix\"]", &[("overlay.nix", &overlay("zlib")), ("default.nix", &hidden)])
    else {
        return;
    };
    let verified = scene.verify(&["./default.nix#image"]);
    assert_eq!(at(&verified, Level::Derivation).verdict, Verdict::Unknown, "{:#?}", at(&verified, Level::Derivation));
    assert!(!verified.verified);
}

#[test]
fn a_board_names_systems() {
    let settings = "overlays = [\"overlay.nix\"]\n[boards.pi]\nsystems = [\"nixosConfigurations.pi.config.system.build.toplevel\"]";
    let files = [("overlay.nix", overlay("zlib")), ("default.nix", own_code("[ (import ./overlay.nix) ]"))];
    let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (*name, text.as_str())).collect();
    let Some(scene) = Scene::new(settings, &files) else { return };
    let selection = Selection { boards: vec!["pi".into()], ..Selection::default() };
    let state = || boards::boards(&scene.workspace(), None, &mut Silent).unwrap().boards.pop().unwrap().packages;
    assert_eq!(state()[0].state, boards::State::NotBuilt);
    let options = build::Options { selection: selection.clone(), ..build::Options::default() };
    build::build(&scene.workspace(), &options, &mut Silent).unwrap();
    assert_eq!(state()[0].state, boards::State::Built);
    let options = Options { selection, ..Options::default() };
    all_green(&verify(&scene.workspace(), &options, &mut Silent).unwrap());
    scene.write("overlay.nix", "final: prev: { }");
    assert_eq!(state()[0].state, boards::State::Stale);
}

#[test]
fn a_patch_applied_twice_is_red() {
    let twice = "overlays = [\"overlay.nix\", \"again.nix\"]";
    let again = "import ./overlay.nix";
    let Some(scene) = Scene::new(twice, &[("overlay.nix", &overlay("zlib")), ("again.nix", again)]) else { return };
    let finding = red(&scene.verify(&["curl"]), Cause::AppliedTwice);
    assert!(finding.why.contains("fix.patch is 2 times"), "{}", finding.why);
    // The same bytes under two names are the same patch.
    let both = "final: prev: { zlib = prev.zlib.overrideAttrs (old: { patches = [ ./fix.patch ./copy.patch ]; }); }";
    let Some(scene) = Scene::new("overlays = [\"overlay.nix\"]", &[("overlay.nix", both), ("copy.patch", PATCH)])
    else {
        return;
    };
    red(&scene.verify(&["curl"]), Cause::AppliedTwice);
}

#[test]
fn a_package_that_no_target_needs_is_red_and_one_that_some_target_needs_is_not() {
    let Some(scene) = Scene::with(&overlay("openssl")) else { return };
    red(&scene.verify(&["curl"]), Cause::NotADependency);
    // Another version of it is in use.
    let with_other =
        "final: prev: { curl = prev.curl.overrideAttrs (old: { deps = [ final.openssl_1_1 ]; }); OPENSSL }";
    scene.write("overlay.nix", &with_other.replace("OPENSSL", &patched("openssl")));
    let finding = red(&scene.verify(&["curl"]), Cause::NotADependency);
    assert!(finding.hint.unwrap().contains("openssl-1.1"));
    let verified = scene.verify(&["curl", "openssl"]);
    assert_eq!(at(&verified, Level::Derivation).verdict, Verdict::NotApplicable);
    assert_eq!(verified.counts.failed, 0);
}

#[test]
fn a_private_copy_is_red_with_the_chain_to_it() {
    let Some(scene) = Scene::with(&overlay("zlib")) else { return };
    let verified = scene.verify(&["bundler"]);
    red(&verified, Cause::PrivateCopy);
    let closure = at(&verified, Level::Closure);
    assert_eq!((closure.verdict, closure.cause), (Verdict::Failed, Some(Cause::UnpatchedInClosure)));
    assert!(closure.why.ends_with("zlib-1.0 -> bundler-1"), "{}", closure.why);
}

#[test]
fn an_alias_that_escapes_is_named() {
    let Some(scene) = Scene::with(&overlay("perl")) else { return };
    for target in ["script", "pkgsCross.riscv.script"] {
        let finding = red(&scene.verify(&[target]), Cause::PrivateCopy);
        assert!(finding.hint.as_deref().unwrap().contains("`perl528`"), "{finding:#?}");
    }
}

#[test]
fn a_false_condition_and_a_later_overlay_are_red() {
    let never = "final: prev: { zlib = if final.config ? never then prev.zlib.overrideAttrs (old: { patches = [ ./fix.patch ]; }) \
                 else prev.zlib; }";
    let Some(scene) = Scene::with(never) else { return };
    red(&scene.verify(&["curl"]), Cause::NotInEffect);
    let settings = "overlays = [\"overlay.nix\", \"later.nix\"]";
    let later = "final: prev: { zlib = prev.zlib.overrideAttrs (old: { patches = [ ]; }); }";
    let Some(scene) = Scene::new(settings, &[("overlay.nix", &overlay("zlib")), ("later.nix", later)]) else { return };
    red(&scene.verify(&["curl"]), Cause::NotInEffect);
}

#[test]
fn a_patch_that_the_build_skips_is_red_in_the_log() {
    let Some(scene) = Scene::with(&overlay("stubborn")) else { return };
    let before = scene.verify(&["stubborn"]);
    assert_eq!(at(&before, Level::Derivation).verdict, Verdict::Ok);
    // Not built is not known, and not known is not green.
    scene.build(&["stubborn"]);
    let verified = scene.verify(&["stubborn"]);
    let log = at(&verified, Level::Log);
    assert_eq!((log.verdict, log.cause), (Verdict::Failed, Some(Cause::NotApplied)), "{log:#?}");
}

#[test]
fn a_patch_that_fits_with_fuzz_or_not_at_all_is_red_in_the_source() {
    let fuzzy = "--- a/text\n+++ b/text\n@@ -1,4 +1,5 @@\n zero\n two\n+two and a half\n three\n four\n";
    let misfit = "--- a/text\n+++ b/text\n@@ -1,3 +1,3 @@\n one\n+one and a half\n-zwei\n three\n";
    let Some(scene) = Scene::with(&overlay("zlib")) else { return };
    for (patch, word) in [(fuzzy, "fuzz"), (misfit, "does not apply")] {
        // A number that makes it new: no earlier run has built it.
        let fresh = format!("Subject: {:?}\n\n{patch}", std::time::SystemTime::now());
        scene.write("fix.patch", &fresh);
        let verified = scene.verify(&["zlib"]);
        let source = at(&verified, Level::Source);
        assert_eq!((source.verdict, source.cause), (Verdict::Failed, Some(Cause::DoesNotFit)), "{source:#?}");
        assert!(source.why.contains(word), "{}", source.why);
        assert!(source.command.as_deref().unwrap().contains("patch -p1"), "{source:#?}");
    }
    // What the log says of it is the same.
    scene.write("fix.patch", fuzzy);
    scene.build(&["zlib"]);
    let verified = scene.verify(&["zlib"]);
    let source = at(&verified, Level::Source);
    assert_eq!((source.verdict, source.cause), (Verdict::Failed, Some(Cause::DoesNotFit)), "{source:#?}");
    assert!(source.command.as_deref().unwrap().contains("--read-log"), "{source:#?}");
    assert_eq!(at(&verified, Level::Log).verdict, Verdict::Ok);
}

#[test]
fn a_wrapper_without_source_is_not_green() {
    let Some(scene) = Scene::with(&overlay("wrapper")) else { return };
    let verified = scene.verify(&["wrapper"]);
    assert_eq!(at(&verified, Level::Derivation).verdict, Verdict::Unknown);
    assert!(!verified.verified);
}

#[test]
fn what_is_not_built_is_unknown() {
    let fresh = format!("{PATCH}--- a/more\n+++ b/more\n@@ -0,0 +1 @@\n+{:?}\n", std::time::SystemTime::now());
    let Some(scene) = Scene::with(&overlay("zlib")) else { return };
    scene.write("fix.patch", &fresh);
    let verified = scene.verify(&["curl"]);
    assert_eq!(at(&verified, Level::Derivation).verdict, Verdict::Ok);
    // The source is here and says whether the patch fits; all else needs the build.
    assert_eq!(at(&verified, Level::Source).verdict, Verdict::Ok, "{:#?}", at(&verified, Level::Source));
    for level in [Level::Log, Level::Closure, Level::Program] {
        let finding = at(&verified, level);
        assert_eq!(finding.verdict, Verdict::Unknown, "{finding:#?}");
        assert!(finding.hint.as_deref().unwrap().contains("overlayctl build"), "{finding:#?}");
    }
    assert!(!verified.verified);
    let allowed = scene.verify_with(&["curl"], Options { allow_unknown: true, ..Options::default() });
    assert!(allowed.verified && allowed.verdict().is_none());
}

#[test]
fn what_is_built_is_green_in_every_level() {
    let Some(scene) = Scene::with(&overlay("zlib")) else { return };
    let targets = ["curl", "pkgsCross.arm.curl", "pkgsCross.riscv.pkgsStatic.curl"];
    scene.build(&targets);
    let verified = scene.verify(&targets);
    all_green(&verified);
    let closure = at(&verified, Level::Closure);
    assert!(closure.why.contains("none is an unpatched one"), "{}", closure.why);
    // Every verdict has its command.
    assert!(verified.findings.iter().filter(|f| f.verdict == Verdict::Ok).all(|f| f.command.is_some()));
}

#[test]
fn a_host_scoped_patch_asks_nothing_of_the_build_tools() {
    let settings = "cross-overlays = [\"overlay.nix\"]\noverlays = [\"none.nix\"]";
    let files = [("overlay.nix", overlay("zlib")), ("none.nix", "final: prev: { }".into())];
    let files: Vec<(&str, &str)> = files.iter().map(|(n, t)| (*n, t.as_str())).collect();
    let Some(scene) = Scene::new(settings, &files) else { return };
    scene.build(&["pkgsCross.arm.curl"]);
    let verified = scene.verify(&["pkgsCross.arm.curl"]);
    all_green(&verified);
    let evidence = at(&verified, Level::Derivation).evidence.join("\n");
    assert!(evidence.contains("it runs on the build machine"), "{evidence}");
    // To a native target such an overlay does not apply.
    red(&scene.verify(&["curl"]), Cause::NotInEffect);
}

/// A static program in the ELF format: a header and one program header, of the machine with this number.
fn elf(machine: u8) -> Vec<u8> {
    let mut bytes = vec![0x7f, b'E', b'L', b'F', 2, 1, 1, 0];
    bytes.resize(16, 0);
    bytes.extend([2, 0, machine, 0, 1, 0, 0, 0]);
    for word in [0x40_0078_u64, 64, 0] {
        bytes.extend(word.to_le_bytes());
    }
    bytes.extend([0, 0, 0, 0, 64, 0, 56, 0, 1, 0, 64, 0, 0, 0, 0, 0]);
    // PT_LOAD of the whole file.
    bytes.extend([1, 0, 0, 0, 5, 0, 0, 0]);
    for word in [0_u64, 0x40_0000, 0x40_0000, 120, 120, 0x1000] {
        bytes.extend(word.to_le_bytes());
    }
    bytes
}

#[test]
fn a_program_for_another_machine_is_red() {
    const AARCH64: u8 = 183;
    const X86_64: u8 = 62;
    for (machine, wanted) in [(AARCH64, Verdict::Ok), (X86_64, Verdict::Failed)] {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), elf(machine)).unwrap();
        let settings =
            format!("overlays = [\"overlay.nix\"]\nconfig = {{ elf = {:?} }}", file.path().display().to_string());
        let Some(scene) = Scene::new(&settings, &[("overlay.nix", &overlay("zlib"))]) else { return };
        scene.build(&["pkgsCross.arm.program"]);
        let verified = scene.verify(&["pkgsCross.arm.program"]);
        let program = at(&verified, Level::Program);
        assert_eq!(program.verdict, wanted, "{program:#?}");
        if wanted == Verdict::Failed {
            assert_eq!(program.cause, Some(Cause::WrongProgram));
            assert!(program.why.contains("machine"), "{}", program.why);
        }
    }
}

/// Files that a board starts before any program: an arm64 kernel image, device trees, a raw boot loader.
#[test]
fn a_kernel_is_verified_as_far_as_that_goes() {
    let Some(scene) = Scene::with(&overlay("kernel")) else { return };
    let mut image = vec![0; 4096];
    image[0x38..0x3c].copy_from_slice(b"ARM\x64");
    let tree = scene.dir.path().join("tree");
    fs::create_dir_all(tree.join("dtbs")).unwrap();
    fs::write(tree.join("Image"), &image).unwrap();
    fs::write(tree.join("u-boot.bin"), b"\xfe\x0f\x1d\xf8raw").unwrap();
    for name in ["a.dtb", "b.dtb"] {
        fs::write(tree.join("dtbs").join(name), b"\xd0\x0d\xfe\xed").unwrap();
    }
    let settings = format!(
        "nixpkgs = {:?}\noverlays = [\"overlay.nix\"]\nconfig = {{ tree = {:?} }}\n[nix.options]\nsandbox = \"false\"\nsubstituters = \"\"\n",
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/mini-nixpkgs").display().to_string(),
        tree.display().to_string()
    );
    scene.write("overlayctl.toml", &settings);
    let target = ["pkgsCross.arm.kernel"];
    scene.build(&target);
    let verified = scene.verify(&target);
    let program = at(&verified, Level::Program);
    assert_eq!(program.verdict, Verdict::NotApplicable, "{program:#?}");
    assert!(program.why.contains("1 x Linux kernel image for 64-bit arm, 2 x device tree"), "{}", program.why);
    assert_eq!(at(&verified, Level::Contents).verdict, Verdict::NotApplicable);
    all_green(&verified);
    // The same kernel on another board does not start.
    let wrong = ["pkgsCross.riscv.kernel"];
    scene.build(&wrong);
    let verified = scene.verify(&wrong);
    let program = at(&verified, Level::Program);
    assert_eq!((program.verdict, program.cause), (Verdict::Failed, Some(Cause::WrongProgram)), "{program:#?}");
}

#[test]
fn a_program_linked_with_another_copy_is_red_in_the_contents_only() {
    if find_program("gcc").is_none() || !Path::new("/usr/bin/patch").exists() {
        eprintln!("skipped: gcc or patch is not installed");
        return;
    }
    let overlay = overlay("say").replace("fix.patch", "say.patch");
    let Some(scene) =
        Scene::new("overlays = [\"overlay.nix\"]", &[("overlay.nix", &overlay), ("say.patch", SAY_PATCH)])
    else {
        return;
    };
    scene.build(&["greeter", "greeter-self-contained"]);
    let check = |args: &str, expect: &str| Options {
        run: Some(RunCheck { args: args.into(), expect: expect.into(), program: None }),
        ..Options::default()
    };
    let verified = scene.verify_with(&["greeter"], check("x y", "good night from the patched"));
    let contents = at(&verified, Level::Contents);
    assert_eq!(contents.verdict, Verdict::Ok, "{contents:#?}");
    // argc > 1 is 1: the program never asks for the night.
    let run = at(&verified, Level::Run);
    assert_eq!((run.verdict, run.cause), (Verdict::Failed, Some(Cause::WrongOutput)), "{run:#?}");
    let verified = scene.verify_with(&["greeter"], check("x", "good evening"));
    all_green(&verified);

    let verified = scene.verify(&["greeter-self-contained"]);
    for finding in &verified.findings {
        let wanted = if finding.level == Level::Contents { Verdict::Failed } else { Verdict::Ok };
        assert_eq!(finding.verdict, wanted, "{finding:#?}");
    }
    let contents = at(&verified, Level::Contents);
    assert_eq!(contents.cause, Some(Cause::AnotherCopyLinked));
    assert!(contents.hint.as_deref().unwrap().contains("private-say"), "{contents:#?}");
}

/// Fifty packages, each patched in one of the ways in which people write overlays.
#[test]
fn fifty_correct_overlays_are_green() {
    let files = [("overlay.nix", "final: prev: { }")];
    let Some(scene) = Scene::new("overlays = [\"overlay.nix\"]", &files) else { return };
    let patched = "overrideAttrs (old: { patches = (old.patches or [ ]) ++ [ ./fix.patch ]; })";
    let shapes = [
        "final: prev: { NAME = prev.NAME.PATCHED; }",
        "self: super: { NAME = super.NAME.PATCHED; }",
        "final: prev: with prev; { NAME = NAME.PATCHED; }",
        "final: prev: let fixed = prev.NAME.PATCHED; in { NAME = fixed; }",
        "final: prev: { inherit (prev) curl; } // { NAME = prev.NAME.PATCHED; }",
        "_: prev: rec { NAME = prev.NAME.PATCHED; }",
        "final: prev: { NAME = prev.NAME.overrideAttrs (_: { patches = [ ./fix.patch ]; }); }",
        "final: prev: {\n  # a comment\n  \"NAME\" = (prev.NAME).PATCHED;\n}",
        "final: prev: { NAME = if prev.stdenv.hostPlatform != prev.stdenv.buildPlatform then prev.NAME.PATCHED else prev.NAME; }",
        "final: prev: { NAME = prev.NAME.overrideAttrs (old: rec { patches = old.patches or [ ] ++ [ ./fix.patch ]; }); }",
    ];
    let sets = ["pkgsCross.arm", "pkgsCross.riscv", "pkgsCross.arm.pkgsStatic"];
    for number in 1..=50 {
        let name = format!("lib{number:02}");
        let shape = shapes[number % shapes.len()];
        scene.write("overlay.nix", &shape.replace("PATCHED", patched).replace("NAME", &name));
        let verified = scene.verify(&[&format!("{}.everything", sets[number % sets.len()])]);
        let finding = at(&verified, Level::Derivation);
        assert_eq!(finding.verdict, Verdict::Ok, "{shape}: {finding:#?}");
        assert_eq!(verified.counts.failed, 0, "{shape}: {:#?}", verified.findings);
    }
}
