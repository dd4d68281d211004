//! `ldd` without running: compared with what the loaders themselves say, where they can be run.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "the helpers of tests are tests as well")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use overlayctl::cross::elf::Linkage;
use overlayctl::cross::ldd::{Disk, Files, Found, Libraries, Loader, libraries};
use overlayctl::cross::{Elf, Error, Platform, emulator};
use overlayctl::ops::ldd;
use proptest::prelude::*;

/// The answer of a loader: needed name to path, `None` for "not found".
type Answer = BTreeMap<String, Option<String>>;

/// Reads what `ldd` and `ld.so --list` print.
fn parse_ldd(text: &str) -> Answer {
    let mut found = Answer::new();
    for line in text.lines() {
        let line = line.trim().split(" (0x").next().unwrap_or("").trim();
        match line.split_once(" => ") {
            Some((name, "not found")) => drop(found.insert(name.to_string(), None)),
            Some((name, path)) => drop(found.insert(name.to_string(), Some(path.to_string()))),
            None => {}
        }
    }
    found
}

/// Our answer in the same shape. The loader itself and vdso have no arrow in theirs.
fn ours(libraries: &Libraries) -> Answer {
    let known = libraries.needed.iter().filter(|n| n.found != Some(Found::Loader));
    known.map(|n| (n.name.clone(), n.path.clone())).collect()
}

fn same(ours: &Answer, theirs: &Answer, canonical: &dyn Fn(&str) -> Option<String>, what: &str) {
    let names = |a: &Answer| a.keys().cloned().collect::<BTreeSet<_>>();
    // A name that is a path is printed without an arrow, or with itself.
    assert_eq!(names(ours), names(theirs), "{what}");
    for (name, path) in ours {
        let (ours, theirs) = (path.as_deref(), theirs[name].as_deref());
        // /lib and /usr/lib are the same directory on merged systems.
        let real = |path: Option<&str>| path.map(|p| canonical(p).unwrap_or_else(|| p.to_string()));
        assert_eq!(real(ours), real(theirs), "{what}: {name}");
    }
}

/// Our answer without what another name brought in already: a loader lists every file once.
fn ours_once(libraries: &Libraries, canonical: &dyn Fn(&str) -> Option<String>) -> Answer {
    let mut seen = BTreeSet::new();
    let real = |path: &str| canonical(path).unwrap_or_else(|| path.to_string());
    let known = libraries.needed.iter().filter(|n| n.found != Some(Found::Loader));
    let once = known.filter(|n| n.path.as_deref().is_none_or(|path| seen.insert(real(path))));
    // A name that is a path has no arrow in theirs.
    once.filter(|n| !n.name.contains('/')).map(|n| (n.name.clone(), n.path.clone())).collect()
}

/// The ELF files below directories, sorted; links are not followed.
fn elf_files(dirs: &[PathBuf]) -> Vec<PathBuf> {
    let mut rest = dirs.to_vec();
    let mut found = Vec::new();
    while let Some(path) = rest.pop() {
        let Ok(kind) = path.symlink_metadata() else { continue };
        if kind.is_dir() {
            rest.extend(std::fs::read_dir(&path).into_iter().flatten().filter_map(|e| Some(e.ok()?.path())));
        } else if kind.is_file() {
            let mut magic = [0; 4];
            let read = std::fs::File::open(&path).and_then(|mut f| std::io::Read::read_exact(&mut f, &mut magic));
            found.extend(Some(path).filter(|_| read.is_ok() && &magic == b"\x7fELF"));
        }
    }
    found.sort();
    found
}

/// Asks the loader about a path, for a processor: whether it was content, and what it printed.
type AskLoader<'l> = &'l dyn Fn(&str, &str) -> Option<(bool, String)>;

/// Compares every `step`th program and library below `dirs` of a system with what its loader lists.
fn compare_system(root: &Path, dirs: &[&str], step: usize, list: AskLoader<'_>) -> usize {
    let disk = if root == Path::new("/") { Disk::here() } else { Disk::below([root.to_path_buf()]) };
    let dirs: Vec<PathBuf> = dirs.iter().map(|dir| root.join(dir)).collect();
    let (mut programs, mut shared, mut refused, mut most) = (0, 0, 0, 0);
    for file in elf_files(&dirs).iter().step_by(step) {
        let path = format!("/{}", file.strip_prefix(root).unwrap().display());
        let found = match libraries(&disk, &path, None) {
            Ok(Some(found)) if found.linkage == Some(Linkage::Dynamic) && !found.needed.is_empty() => found,
            _ => continue,
        };
        let elf = Elf::read(&std::fs::read(file).unwrap()).unwrap().unwrap();
        let Some((listed, text)) = list(&path, elf.machine.cpu.unwrap_or("")) else { continue };
        // musl prints what it does not find as an error; glibc's trace ends with one where a file is not sound.
        let theirs = parse_ldd(&text);
        if !listed {
            assert!(!found.is_complete(), "{path}: {text}");
            refused += 1;
            continue;
        }
        let loaders: BTreeSet<_> =
            found.needed.iter().filter(|n| n.found == Some(Found::Loader)).map(|n| &n.name).collect();
        let mut theirs = theirs;
        theirs.retain(|name, path| !loaders.contains(name) && path.as_deref() != Some(name) && !name.contains('/'));
        same(&ours_once(&found, &|p| disk.canonical(p)), &theirs, &|p| disk.canonical(p), &path);
        assert_eq!(found.is_complete(), theirs.values().all(Option::is_some), "{path} {found:?}");
        most = most.max(found.needed.len());
        if elf.is_program() { programs += 1 } else { shared += 1 }
    }
    eprintln!(
        "{}: {programs} programs and {shared} libraries compared, up to {most} needed; {refused} that neither completes",
        root.display()
    );
    programs + shared
}

/// A sample; all of them with `OVERLAYCTL_LDD_FULL` set.
#[test]
fn installed_programs_and_libraries_resolve_as_the_loader_resolves_them() {
    let loader = "/lib64/ld-linux-x86-64.so.2";
    if !Path::new(loader).exists() {
        eprintln!("skipped: no {loader}");
        return;
    }
    let step = if std::env::var_os("OVERLAYCTL_LDD_FULL").is_some() { 1 } else { 37 };
    let compared =
        compare_system(Path::new("/"), &["usr/bin", "usr/sbin", "usr/lib", "usr/libexec"], step, &|path, cpu| {
            // As ldd(1) does it; `--list` would end at the first that is missing.
            let mut command = Command::new(loader);
            command.env_remove("LD_LIBRARY_PATH").env("LD_TRACE_LOADED_OBJECTS", "1").current_dir("/");
            let done = command.arg(path).output().ok().filter(|_| cpu == "x86_64")?;
            Some((done.status.success(), String::from_utf8_lossy(&[done.stdout, done.stderr].concat()).into_owned()))
        });
    assert!(compared > 0);
}

/// Whole systems of other processors: `OVERLAYCTL_CHROOTS` names directories that `chroot` can enter, by way of binfmt_misc or with a
/// qemu in them; each is asked by its own loader.
#[test]
fn other_systems_resolve_as_their_own_loaders_resolve_them() {
    let Some(roots) = std::env::var_os("OVERLAYCTL_CHROOTS") else {
        eprintln!("skipped: OVERLAYCTL_CHROOTS is not set");
        return;
    };
    for root in std::env::split_paths(&roots) {
        let names = |dir: &str| std::fs::read_dir(root.join(dir)).into_iter().flatten().flatten();
        let of_loader =
            |name: &str| ["ld-linux", "ld-musl", "ld64.so", "ld.so."].iter().any(|stem| name.starts_with(stem));
        let mut loaders = ["lib", "lib64"].iter().flat_map(|dir| {
            names(dir).filter_map(move |e| {
                Some(format!("/{dir}/{}", e.file_name().into_string().ok().filter(|n| of_loader(n))?))
            })
        });
        let loader = loaders.next().unwrap_or_else(|| panic!("no loader in {}", root.display()));
        // A user-mode qemu, copied in or found by the kernel.
        let qemu = names("usr/bin").filter_map(|e| e.file_name().into_string().ok()).find(|n| n.starts_with("qemu-"));
        let dirs = ["bin", "sbin", "lib", "usr/bin", "usr/sbin", "usr/lib", "usr/libexec"];
        let dirs: Vec<&str> = dirs.into_iter().filter(|dir| !root.join(dir).is_symlink()).collect();
        let compared = compare_system(&root, &dirs, 1, &|path, _| {
            let mut command = Command::new("chroot");
            command.arg(&root).env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
            if let Some(qemu) = &qemu {
                command.args([&format!("/usr/bin/{qemu}"), "-E", "LD_TRACE_LOADED_OBJECTS=1"]);
            } else {
                command.env("LD_TRACE_LOADED_OBJECTS", "1");
            }
            let command = if loader.contains("musl") {
                command.args([&loader, "--list", path])
            } else {
                command.args([&loader, path])
            };
            let done = command.output().ok()?;
            Some((done.status.success(), String::from_utf8_lossy(&[done.stdout, done.stderr].concat()).into_owned()))
        });
        assert!(compared > 0, "{}", root.display());
    }
}

/// Every program below the directories of `OVERLAYCTL_BUILT` (separated by colons, say the outputs of the demo),
/// asked of its own loader, through qemu where it is for another processor.
#[test]
fn built_programs_resolve_as_their_own_loaders_resolve_them() {
    let Some(built) = std::env::var_os("OVERLAYCTL_BUILT") else {
        eprintln!("skipped: OVERLAYCTL_BUILT is not set");
        return;
    };
    let mut rest: Vec<PathBuf> = std::env::split_paths(&built).collect();
    let disk = Disk::here();
    let here = Platform::here().unwrap();
    let (mut compared, mut read, mut missing) = (0, 0, 0);
    while let Some(path) = rest.pop() {
        let Ok(kind) = path.symlink_metadata() else { continue };
        if kind.is_dir() {
            rest.extend(std::fs::read_dir(&path).into_iter().flatten().filter_map(|e| Some(e.ok()?.path())));
        }
        let text = path.to_string_lossy().into_owned();
        if !kind.is_file() || !std::fs::read(&path).is_ok_and(|b| b.starts_with(b"\x7fELF")) {
            continue;
        }
        let elf = Elf::read(&std::fs::read(&path).unwrap()).unwrap().unwrap();
        let readelf = Command::new("readelf").env("LC_ALL", "C").args(["-Wd", &text]).output().unwrap();
        let lines = String::from_utf8_lossy(&readelf.stdout).into_owned();
        let needed = lines.lines().filter(|l| l.contains("(NEEDED)")).filter_map(|l| l.split_once('['));
        let needed: Vec<_> = needed.map(|(_, rest)| rest.trim_end().trim_end_matches(']')).collect();
        assert_eq!(needed, elf.needed, "{text}");
        read += 1;
        let Some(interpreter) = elf.interpreter.clone().filter(|_| elf.is_program()) else { continue };
        let Some(platform) = elf.machine.cpu.map(|cpu| if cpu == "arm" { "armv7l" } else { cpu }) else { continue };
        let platform = Platform::parse(&format!("{platform}-linux")).unwrap();
        let emulator = emulator(&platform, &here);
        let name = emulator.programs().first().cloned().unwrap_or_default();
        let argv = emulator.argv(&name, None, &interpreter, &["--list".to_string(), text.clone()]).unwrap();
        let found = libraries(&disk, &text, None).unwrap().unwrap();
        let Ok(done) = Command::new(&argv[0]).args(&argv[1..]).current_dir("/").output() else { continue };
        if !done.status.success() {
            // The loader gives up where something is missing; then so must ours.
            assert!(!found.is_complete(), "{text}: {}", String::from_utf8_lossy(&done.stderr));
            missing += 1;
            continue;
        }
        let mut theirs = parse_ldd(&String::from_utf8_lossy(&done.stdout));
        // musl prints itself with an arrow.
        theirs.retain(|_, path| path.as_ref() != Some(&interpreter));
        same(&ours(&found), &theirs, &|p| disk.canonical(p), &text);
        compared += 1;
    }
    eprintln!(
        "{read} ELF files read, {compared} programs compared with their loaders, {missing} that neither completes"
    );
    assert!(read > 0);
}

/// A toolchain and how its programs are asked: the loader, started through an emulator.
struct Target {
    compiler: &'static str,
    emulator: &'static str,
    sysroot: &'static str,
    loader: &'static str,
}

const TARGETS: [Target; 4] = [
    Target { compiler: "cc", emulator: "", sysroot: "/", loader: "/lib64/ld-linux-x86-64.so.2" },
    Target {
        compiler: "aarch64-linux-gnu-gcc",
        emulator: "qemu-aarch64",
        sysroot: "/usr/aarch64-linux-gnu",
        loader: "/lib/ld-linux-aarch64.so.1",
    },
    Target {
        compiler: "riscv64-linux-gnu-gcc",
        emulator: "qemu-riscv64",
        sysroot: "/usr/riscv64-linux-gnu",
        loader: "/lib/ld-linux-riscv64-lp64d.so.1",
    },
    Target {
        compiler: "arm-linux-gnueabihf-gcc",
        emulator: "qemu-arm",
        sysroot: "/usr/arm-linux-gnueabihf",
        loader: "/lib/ld-linux-armhf.so.3",
    },
];

impl Target {
    fn disk(&self) -> Disk {
        Disk::below([PathBuf::from(self.sysroot), PathBuf::from("/")])
    }

    fn compile(&self, dir: &Path, output: &str, source: &str, flags: &[&str]) -> bool {
        let input = dir.join(format!("{}.c", output.replace('/', "_")));
        std::fs::write(&input, source).unwrap();
        if let Some(parent) = dir.join(output).parent() {
            std::fs::create_dir_all(parent).unwrap();
        }
        let done = Command::new(self.compiler).current_dir(dir).arg(&input).args(["-o", output]).args(flags).output();
        match done {
            Ok(done) if done.status.success() => true,
            Ok(done) => panic!("{} {output}: {}", self.compiler, String::from_utf8_lossy(&done.stderr)),
            Err(error) => {
                eprintln!("skipped: no {} ({error})", self.compiler);
                false
            }
        }
    }

    /// What the loader says; `None` with the reason where it cannot be run.
    fn list(&self, file: &Path) -> Option<Answer> {
        let loader = Path::new(self.sysroot).join(self.loader.trim_start_matches('/'));
        // As ldd(1) does it; `--list` would end at the first that is missing. qemu must not trace itself.
        let trace = "LD_TRACE_LOADED_OBJECTS=1";
        let mut command = match self.emulator {
            "" => Command::new("env"),
            emulator => {
                let mut command = Command::new(emulator);
                command.args(["-L", self.sysroot, "-E"]);
                command
            }
        };
        match command.env_remove("LD_LIBRARY_PATH").current_dir("/").arg(trace).arg(&loader).arg(file).output() {
            Ok(done) if !done.stdout.is_empty() => Some(parse_ldd(&String::from_utf8_lossy(&done.stdout))),
            Ok(done) => {
                eprintln!("skipped: {}: {}", self.emulator, String::from_utf8_lossy(&done.stderr));
                None
            }
            Err(error) => {
                eprintln!("skipped: no {} ({error})", self.emulator);
                None
            }
        }
    }
}

/// Libraries that need each other, with every kind of search path, below `dir`.
fn build_tree(target: &Target, dir: &Path) -> bool {
    let shared = ["-shared", "-fPIC", "-Wl,--no-as-needed"];
    let lib = |output: &str, symbol: &str, flags: &[&str]| {
        let source = format!("int {symbol}(void) {{ return 1; }}\n");
        target.compile(dir, output, &source, &[&shared[..], flags].concat())
    };
    // deep: in a directory that only the program's RPATH names; mid needs it and has no search path of its own.
    lib("deep/libdeep.so", "deep", &["-Wl,-soname,libdeep.so"])
        && lib("mid/libmid.so", "mid", &["-Wl,-soname,libmid.so", "-Ldeep", "-ldeep"])
        // midrun has a RUNPATH of its own, which switches the program's RPATH off for what it needs.
        && lib("mid/libmidrun.so", "midrun", &["-Wl,-soname,libmidrun.so", "-Ldeep", "-ldeep", "-Wl,--enable-new-dtags,-rpath,/nowhere"])
        && lib("mid/libmidorigin.so", "midorigin", &["-Wl,-soname,libmidorigin.so", "-Ldeep", "-ldeep", "-Wl,--enable-new-dtags,-rpath,$ORIGIN/../deep"])
        // A library that calls itself otherwise than its file.
        && lib("other/libfile.so", "other", &["-Wl,-soname,libfile.so"])
        && std::os::unix::fs::symlink("../other/libfile.so", dir.join("deep/liblink.so")).is_ok()
        && lib("path/libpath.so", "path", &[])
}

#[test]
fn search_paths_are_followed_as_the_loader_follows_them() {
    for target in &TARGETS {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().canonicalize().unwrap();
        if !build_tree(target, &dir) {
            continue;
        }
        let root = dir.display();
        let rpath = |kind: &str, dirs: &str| format!("-Wl,--{kind}-new-dtags,-rpath,{dirs}");
        let both = format!("{root}/mid:{root}/deep");
        let absolute = format!("{root}/path/libpath.so");
        let cases: Vec<(&str, Vec<String>)> = vec![
            ("rpath-is-inherited", vec!["-Lmid".into(), "-lmid".into(), rpath("disable", &both)]),
            ("runpath-is-not", vec!["-Lmid".into(), "-lmid".into(), rpath("enable", &both)]),
            ("own-runpath-beats-rpath", vec!["-Lmid".into(), "-lmidrun".into(), rpath("disable", &both)]),
            ("origin", vec!["-Lmid".into(), "-lmidorigin".into(), rpath("enable", "$ORIGIN/mid")]),
            (
                "origin-braces",
                vec!["-Lmid".into(), "-lmidorigin".into(), rpath("disable", "${ORIGIN}/../x/mid:${ORIGIN}/mid")],
            ),
            ("nothing", vec!["-Lmid".into(), "-lmid".into()]),
            (
                "link",
                vec![
                    "-Lother".into(),
                    "-lfile".into(),
                    "-Lmid".into(),
                    "-lmid".into(),
                    rpath("disable", &format!("{root}/other:{both}")),
                ],
            ),
            ("a-path", vec![absolute, rpath("disable", "/x")]),
            ("no-default", vec!["-Wl,-z,nodefaultlib".into()]),
        ];
        let mut compared = 0;
        for (name, flags) in &cases {
            let mut flags: Vec<&str> =
                [&["-Wl,--no-as-needed"], &flags.iter().map(String::as_str).collect::<Vec<_>>()[..]].concat();
            flags.extend(["-Wl,--unresolved-symbols=ignore-all", "-Wl,-rpath-link,deep"]);
            assert!(target.compile(&dir, name, "int main(void) { return 0; }\n", &flags));
            let file = dir.join(name);
            let disk = target.disk();
            let found = libraries(&disk, &file.to_string_lossy(), None).unwrap().unwrap();
            assert_eq!((found.loader, found.linkage), (Some(Loader::Glibc), Some(Linkage::Dynamic)), "{name}");
            let missing: Vec<&str> =
                found.needed.iter().filter(|n| n.path.is_none()).map(|n| n.name.as_str()).collect();
            match *name {
                "rpath-is-inherited" | "origin" | "origin-braces" | "link" | "a-path" => {
                    assert!(found.is_complete(), "{name} {found:?}")
                }
                "runpath-is-not" | "own-runpath-beats-rpath" => assert_eq!(missing, ["libdeep.so"], "{name}"),
                "nothing" => assert!(missing.contains(&"libmid.so")),
                _ => {}
            }
            // qemu hands paths of the sysroot on as they are seen from outside or inside, by version.
            if let Some(theirs) = target.list(&file) {
                let inside = |path: &str| {
                    disk.canonical(path.strip_prefix(target.sysroot).filter(|_| target.sysroot != "/").unwrap_or(path))
                };
                let mut mine = ours(&found);
                mine.retain(|name, _| !name.starts_with('/'));
                let mut theirs = theirs;
                theirs.retain(|name, _| !name.starts_with('/'));
                if *name == "no-default" {
                    // What the cache has in the default directories is switched off as well: all is missing for both.
                    assert!(mine.values().all(Option::is_none), "{name} {mine:?}");
                }
                same(&mine, &theirs, &inside, &format!("{} {name}", target.compiler));
                compared += 1;
            }
        }
        eprintln!("{}: {compared} of {} compared with its loader", target.compiler, cases.len());
    }
}

#[test]
fn a_library_for_another_machine_is_passed_over() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().canonicalize().unwrap();
    let [here, there, ..] = &TARGETS;
    let source = "int f(void) { return 1; }\n";
    let shared = ["-shared", "-fPIC", "-Wl,-soname,libf.so"];
    if !here.compile(&dir, "good/libf.so", source, &shared) || !there.compile(&dir, "wrong/libf.so", source, &shared) {
        return;
    }
    let flags = format!("-Wl,-rpath,{0}/wrong:{0}/good", dir.display());
    assert!(here.compile(&dir, "program", "int f(void); int main(void) { return f(); }\n", &["-Lgood", "-lf", &flags]));
    let found = libraries(&Disk::here(), &dir.join("program").to_string_lossy(), None).unwrap().unwrap();
    let f = found.needed.iter().find(|n| n.name == "libf.so").unwrap();
    assert_eq!(f.path.as_deref(), Some(format!("{}/good/libf.so", dir.display()).as_str()));
    if let Some(theirs) = here.list(&dir.join("program")) {
        assert_eq!(theirs["libf.so"], f.path);
    }
}

#[test]
fn what_stops_the_loader_is_not_passed_over() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().canonicalize().unwrap();
    let [here, ..] = &TARGETS;
    let source = "int f(void) { return 1; }\n";
    if !here.compile(&dir, "good/libf.so", source, &["-shared", "-fPIC", "-Wl,-soname,libf.so"]) {
        return;
    }
    let sound = std::fs::read(dir.join("good/libf.so")).unwrap();
    let flags = format!("-Wl,-rpath,{0}/bad:{0}/good", dir.display());
    assert!(here.compile(&dir, "program", "int f(void); int main(void) { return f(); }\n", &["-Lgood", "-lf", &flags]));
    let bad = dir.join("bad/libf.so");
    std::fs::create_dir(dir.join("bad")).unwrap();
    let changed = |at: usize, byte: u8| {
        let mut bytes = sound.clone();
        bytes[at] = byte;
        bytes
    };
    let cases: [(&str, Vec<u8>); 7] = [
        ("empty", Vec::new()),
        ("short", sound[..40].to_vec()),
        ("text", b"INPUT(libother.so) a script for the linker, long enough to be more than a header is".to_vec()),
        ("other byte order", changed(5, 2)),
        ("an object file", changed(16, 1)),
        ("other class", changed(4, 1)),
        ("other machine", changed(18, 40)),
    ];
    for (name, bytes) in cases {
        std::fs::write(&bad, bytes).unwrap();
        let found = libraries(&Disk::here(), &dir.join("program").to_string_lossy(), None).unwrap().unwrap();
        let f = found.needed.iter().find(|n| n.name == "libf.so").unwrap();
        let passed_over = name == "other class" || name == "other machine";
        assert_eq!(found.is_complete(), passed_over, "{name} {f:?}");
        let place = if passed_over { "good" } else { "bad" };
        assert_eq!(f.path.as_deref(), dir.join(place).join("libf.so").to_str(), "{name}");
        assert_eq!(f.problem.is_none(), passed_over, "{name}");
        if let Some(theirs) = here.list(&dir.join("program")) {
            assert_eq!(theirs.get("libf.so").cloned().flatten().is_some(), passed_over, "{name}: the loader");
        }
    }
    // A directory of that name.
    std::fs::remove_file(&bad).unwrap();
    std::fs::create_dir(&bad).unwrap();
    assert!(!libraries(&Disk::here(), &dir.join("program").to_string_lossy(), None).unwrap().unwrap().is_complete());
}

#[test]
fn a_file_that_is_cut_off_is_never_complete() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().canonicalize().unwrap();
    let [here, ..] = &TARGETS;
    if !here.compile(&dir, "program", "int main(void) { return 0; }\n", &[]) {
        return;
    }
    let path = dir.join("cut");
    let sound = std::fs::read(dir.join("program")).unwrap();
    for length in (0..sound.len()).step_by(61).chain([sound.len() - 1]) {
        std::fs::write(&path, &sound[..length]).unwrap();
        match libraries(&Disk::here(), &path.to_string_lossy(), None) {
            Ok(Some(found)) => assert!(!found.is_complete(), "{length} of {} bytes: {found:?}", sound.len()),
            Ok(None) => assert!(length < 4, "{length}"),
            Err(error) => assert!(matches!(error, Error::Elf { .. }), "{length}: {error}"),
        }
    }
    // What it needs is cut off.
    let shared = ["-shared", "-fPIC", "-Wl,-soname,libf.so"];
    assert!(here.compile(&dir, "libf.so", "int f(void) { return 1; }\n", &shared));
    let flags = format!("-Wl,-rpath,{}", dir.display());
    assert!(here.compile(&dir, "user", "int f(void); int main(void) { return f(); }\n", &["-L.", "-lf", &flags]));
    let library = std::fs::read(dir.join("libf.so")).unwrap();
    std::fs::write(dir.join("libf.so"), &library[..library.len() / 2]).unwrap();
    assert!(!libraries(&Disk::here(), &dir.join("user").to_string_lossy(), None).unwrap().unwrap().is_complete());
}

#[test]
fn below_a_root_nothing_of_this_machine_counts() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().canonicalize().unwrap().join("board");
    let [here, ..] = &TARGETS;
    std::fs::create_dir_all(root.join("usr/bin")).unwrap();
    if !here.compile(&root, "usr/bin/program", "int main(void) { return 0; }\n", &[]) {
        return;
    }
    std::os::unix::fs::symlink("/usr/bin/program", root.join("usr/bin/link")).unwrap();
    let ask = |file: &str| {
        let options = ldd::Options { file: file.into(), root: Some(root.clone()), ..ldd::Options::default() };
        ldd::ldd(&options)
    };
    let outside = format!("{}/usr/bin/program", root.display());
    for file in ["/usr/bin/program", "usr/bin/program", &outside, "/usr/bin/link"] {
        let found = ask(file).unwrap();
        assert!(!found.complete && !found.libraries.interpreter_found, "{file} {found:?}");
        assert!(found.libraries.needed.iter().all(|n| n.path.is_none()), "{file} {found:?}");
    }
    // What is here and not there is not read either.
    assert!(ask("/bin/sh").is_err());
    let interpreter = ask("/usr/bin/program").unwrap().elf.interpreter.unwrap();
    let copy = root.join(interpreter.trim_start_matches('/'));
    std::fs::create_dir_all(copy.parent().unwrap()).unwrap();
    std::fs::copy(&interpreter, &copy).unwrap();
    assert!(ask("/usr/bin/program").unwrap().libraries.interpreter_found);
    std::fs::write(&copy, b"\x7fELF").unwrap();
    let cut = ask("/usr/bin/program").unwrap();
    assert!(cut.libraries.problem.is_some_and(|p| p.contains(&interpreter)), "a loader that is cut off");
}

/// Files that are handed in.
struct Given(BTreeMap<String, Vec<u8>>);

impl Files for Given {
    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, Error> {
        Ok(self.0.get(path).cloned())
    }

    fn canonical(&self, path: &str) -> Option<String> {
        self.0.contains_key(path).then(|| path.to_string())
    }
}

/// Writes a little-endian 64-bit x86-64 program or library with these dynamic entries, one segment from 0 on.
fn fake(interpreter: Option<&str>, entries: &[(u64, &str)]) -> Vec<u8> {
    let mut strings = vec![0];
    let mut dynamic = Vec::new();
    for (tag, text) in entries {
        dynamic.push((*tag, strings.len() as u64));
        strings.extend_from_slice(text.as_bytes());
        strings.push(0);
    }
    let segments: u64 = if interpreter.is_some() { 3 } else { 2 };
    let strings_at = 64 + 56 * segments;
    let interpreter_at = strings_at + strings.len() as u64;
    let interpreter_bytes = interpreter.map(|i| [i.as_bytes(), &[0]].concat()).unwrap_or_default();
    let dynamic_at = (interpreter_at + interpreter_bytes.len() as u64).next_multiple_of(8);
    dynamic.extend([(5, strings_at), (10, strings.len() as u64), (0, 0)]);
    let end = dynamic_at + 16 * dynamic.len() as u64;

    let mut out = b"\x7fELF\x02\x01\x01".to_vec();
    out.resize(16, 0);
    out.extend([3u16.to_le_bytes(), 62u16.to_le_bytes()].concat());
    out.extend(1u32.to_le_bytes());
    out.extend([0x1000u64.to_le_bytes(), 64u64.to_le_bytes(), 0u64.to_le_bytes()].concat());
    out.extend(0u32.to_le_bytes());
    for half in [64u16, 56, u16::try_from(segments).unwrap(), 64, 0, 0] {
        out.extend(half.to_le_bytes());
    }
    let mut segment = |kind: u32, at: u64, size: u64| {
        out.extend([kind.to_le_bytes(), 4u32.to_le_bytes()].concat());
        for word in [at, at, at, size, size, 8] {
            out.extend(word.to_le_bytes());
        }
    };
    segment(1, 0, end);
    segment(2, dynamic_at, end - dynamic_at);
    if interpreter.is_some() {
        segment(3, interpreter_at, interpreter_bytes.len() as u64);
    }
    out.extend(strings);
    out.extend(interpreter_bytes);
    out.resize(usize::try_from(dynamic_at).unwrap(), 0);
    for (tag, value) in dynamic {
        out.extend([tag.to_le_bytes(), value.to_le_bytes()].concat());
    }
    out
}

const NEEDED: u64 = 1;
const SONAME: u64 = 14;
const RPATH: u64 = 15;
const RUNPATH: u64 = 29;

#[test]
fn musl_inherits_runpaths_and_is_its_own_libc() {
    let loader = "/nix/store/971qyph05ykg6i7akswlz0pq4dzl26r5-musl-1.2.5/lib/ld-musl-x86_64.so.1";
    let program = fake(
        Some(loader),
        &[(NEEDED, "libmid.so"), (NEEDED, "libm.so.6"), (NEEDED, "libc.so"), (RUNPATH, "/mid:/deep")],
    );
    let mut files = BTreeMap::from([
        ("/bin/p".to_string(), program),
        (loader.to_string(), fake(None, &[(SONAME, "libc.so")])),
        ("/mid/libmid.so".to_string(), fake(None, &[(NEEDED, "libdeep.so"), (NEEDED, "libsys.so")])),
        ("/deep/libdeep.so".to_string(), fake(None, &[(NEEDED, "libc.so")])),
        ("/usr/lib/libsys.so".to_string(), fake(None, &[])),
    ]);
    let resolved = |files: &BTreeMap<String, Vec<u8>>| {
        let found = libraries(&Given(files.clone()), "/bin/p", None).unwrap().unwrap();
        assert_eq!(found.loader, Some(Loader::Musl));
        found.needed.into_iter().map(|n| (n.name, n.path.unwrap_or_default())).collect::<Vec<_>>()
    };
    let pair = |name: &str, path: &str| (name.to_string(), path.to_string());
    let expected = [
        pair("libmid.so", "/mid/libmid.so"),
        pair("libm.so.6", loader),
        pair("libc.so", loader),
        pair("libdeep.so", "/deep/libdeep.so"),
        pair("libsys.so", "/usr/lib/libsys.so"),
    ];
    assert_eq!(resolved(&files), expected);
    // The list of directories beside the loader replaces the built-in one.
    let list = "/nix/store/971qyph05ykg6i7akswlz0pq4dzl26r5-musl-1.2.5/etc/ld-musl-x86_64.path";
    files.insert(list.to_string(), b"/opt/lib\n/opt/lib2\n".to_vec());
    assert_eq!(resolved(&files)[4], pair("libsys.so", ""));
    files.insert("/opt/lib2/libsys.so".to_string(), fake(None, &[]));
    assert_eq!(resolved(&files)[4], pair("libsys.so", "/opt/lib2/libsys.so"));
}

#[test]
fn glibc_in_a_store_knows_its_own_directory_only() {
    let lib = "/nix/store/971qyph05ykg6i7akswlz0pq4dzl26r5-glibc-2.40/lib";
    let loader = format!("{lib}/ld-linux-x86-64.so.2");
    let files = Given(BTreeMap::from([
        ("/bin/p".to_string(), fake(Some(&loader), &[(NEEDED, "libc.so.6"), (NEEDED, "libz.so.1"), (RPATH, "/x")])),
        (loader.clone(), fake(None, &[(SONAME, "ld-linux-x86-64.so.2")])),
        (format!("{lib}/libc.so.6"), fake(None, &[(NEEDED, "ld-linux-x86-64.so.2"), (SONAME, "libc.so.6")])),
        ("/usr/lib/libz.so.1".to_string(), fake(None, &[])),
    ]));
    let found = libraries(&files, "/bin/p", None).unwrap().unwrap();
    let names: Vec<_> = found.needed.iter().map(|n| (n.name.as_str(), n.path.as_deref())).collect();
    let libc = format!("{lib}/libc.so.6");
    let expected =
        [("libc.so.6", Some(libc.as_str())), ("libz.so.1", None), ("ld-linux-x86-64.so.2", Some(loader.as_str()))];
    assert_eq!(names, expected);
    assert!(found.interpreter_found && !found.is_complete());
    // A program whose loader was collected as garbage.
    let lost = Given(files.0.into_iter().filter(|(path, _)| *path != loader).collect());
    assert!(!libraries(&lost, "/bin/p", None).unwrap().unwrap().interpreter_found);
    assert!(matches!(libraries(&lost, "/bin/none", None), Err(Error::File { .. })));
}

#[test]
fn a_library_of_a_system_finds_what_the_system_has() {
    let glibc = |dirs: &str| {
        [fake(None, &[(SONAME, "ld-linux-x86-64.so.2")]), format!("\0{dirs}\0/etc/ld.so.cache\0").into()].concat()
    };
    let library =
        fake(None, &[(NEEDED, "libz.so.1"), (NEEDED, "libopt.so"), (NEEDED, "libc.so.6"), (SONAME, "libcurl.so.4")]);
    let libc = fake(None, &[(NEEDED, "ld-linux-x86-64.so.2"), (SONAME, "libc.so.6")]);
    let loader = "/lib64/ld-linux-x86-64.so.2";
    let mut files = BTreeMap::from([
        ("/usr/lib/x86_64-linux-gnu/libcurl.so.4".to_string(), library.clone()),
        (loader.to_string(), glibc("/lib/x86_64-linux-gnu/\0/usr/lib/x86_64-linux-gnu/\0/lib/\0/usr/lib/")),
        ("/lib/x86_64-linux-gnu/libc.so.6".to_string(), libc),
        ("/usr/lib/x86_64-linux-gnu/libz.so.1".to_string(), fake(None, &[])),
        ("/usr/lib64/libz.so.1".to_string(), fake(None, &[])),
        ("/opt/lib/libopt.so".to_string(), fake(None, &[(NEEDED, "libcurl.so.4")])),
    ]);
    let path = "/usr/lib/x86_64-linux-gnu/libcurl.so.4";
    let find = |files: &BTreeMap<String, Vec<u8>>, name: &str| {
        let found = libraries(&Given(files.clone()), path, None).unwrap().unwrap();
        assert_eq!(found.loader, Some(Loader::Glibc));
        found.needed.into_iter().find(|n| n.name == name).unwrap()
    };
    assert_eq!(find(&files, "libz.so.1").path.as_deref(), Some("/usr/lib/x86_64-linux-gnu/libz.so.1"));
    assert_eq!(find(&files, "libc.so.6").path.as_deref(), Some("/lib/x86_64-linux-gnu/libc.so.6"));
    assert_eq!(find(&files, "ld-linux-x86-64.so.2").found, Some(Found::Loader));
    // What only ld.so.conf names is not found by the loader; it is said.
    assert_eq!(find(&files, "libopt.so").problem, None);
    files.insert("/etc/ld.so.conf".to_string(), b"/opt/lib\n".to_vec());
    let configured = find(&files, "libopt.so");
    assert!(configured.path.is_none() && configured.problem.unwrap().contains("/opt/lib/libopt.so"));
    // The same library on a system of musl.
    let musl = fake(None, &[(NEEDED, "libz.so.1"), (NEEDED, "libc.musl-x86_64.so.1")]);
    files.insert("/usr/lib/libm.so".to_string(), musl);
    files.insert("/lib/ld-musl-x86_64.so.1".to_string(), fake(None, &[(SONAME, "libc.musl-x86_64.so.1")]));
    files.insert("/etc/ld-musl-x86_64.path".to_string(), b"/usr/lib64\n".to_vec());
    let found = libraries(&Given(files), "/usr/lib/libm.so", None).unwrap().unwrap();
    assert_eq!(found.loader, Some(Loader::Musl));
    let paths: Vec<_> = found.needed.iter().map(|n| n.path.as_deref().unwrap_or("")).collect();
    assert_eq!(paths, ["/usr/lib64/libz.so.1", "/lib/ld-musl-x86_64.so.1"]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_web_of_libraries_ends(
        edges in prop::collection::vec((0usize..6, 0usize..8, prop::sample::select(vec![NEEDED, SONAME, RPATH, RUNPATH])), 0..40),
        musl in any::<bool>(),
        noise in prop::collection::vec((0usize..6, any::<prop::sample::Index>(), any::<u8>()), 0..6),
    ) {
        let loader = if musl { "/l/ld-musl-x86_64.so.1" } else { "/l/ld-linux-x86-64.so.2" };
        let names = ["/l/a", "/l/libb.so", "/l/libc.so", "/m/libd.so", "/m/libe.so", loader];
        let words = ["libb.so", "libc.so", "libd.so", "/m/libe.so", "/m:$ORIGIN", "$LIB/${ORIGIN}::", "a", ""];
        let mut files = BTreeMap::new();
        for (index, name) in names.iter().enumerate() {
            let entries: Vec<(u64, &str)> =
                edges.iter().filter(|e| e.0 == index).map(|e| (e.2, words[e.1])).collect();
            files.insert((*name).to_string(), fake((index == 0).then_some(loader), &entries));
        }
        for (file, at, to) in noise {
            let bytes = files.get_mut(names[file]).unwrap();
            let at = at.index(bytes.len());
            bytes[at] = to;
        }
        if let Ok(Some(found)) = libraries(&Given(files), "/l/a", None) {
            let mut names: Vec<_> = found.needed.iter().map(|n| &n.name).collect();
            names.sort();
            let before = names.len();
            names.dedup();
            prop_assert_eq!(names.len(), before);
        }
    }
}
