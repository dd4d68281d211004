//! `ldd` without running: compared with what the loaders themselves say, where they can be run.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "the helpers of tests are tests as well")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use overlayctl::cross::elf::Linkage;
use overlayctl::cross::ldd::{Disk, Files, Found, Libraries, Loader, libraries};
use overlayctl::cross::{Elf, Error, Platform, emulator};
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

#[test]
fn installed_programs_resolve_as_the_loader_resolves_them() {
    let loader = Path::new("/lib64/ld-linux-x86-64.so.2");
    if !loader.exists() {
        eprintln!("skipped: no {}", loader.display());
        return;
    }
    let mut files: Vec<PathBuf> = std::fs::read_dir("/usr/bin").unwrap().filter_map(|e| Some(e.ok()?.path())).collect();
    files.sort();
    let disk = Disk::here();
    let (mut compared, mut most) = (0, 0);
    for file in files.iter().step_by(31) {
        let path = file.to_string_lossy();
        let Ok(Some(found)) = libraries(&disk, &path, None) else { continue };
        if found.linkage != Some(Linkage::Dynamic) || found.interpreter.as_deref() != loader.to_str() {
            continue;
        }
        let done = Command::new(loader).env_remove("LD_LIBRARY_PATH").arg("--list").arg(file).output().unwrap();
        if !done.status.success() {
            continue;
        }
        let theirs = parse_ldd(&String::from_utf8_lossy(&done.stdout));
        // Private directories come by way of ld.so.cache, which is no part of a store.
        if theirs.values().flatten().any(|p| {
            !["/lib/x86_64-linux-gnu/", "/usr/lib/x86_64-linux-gnu/"]
                .iter()
                .any(|d| p.starts_with(d) && !p[d.len()..].contains('/'))
        }) {
            continue;
        }
        same(&ours(&found), &theirs, &|p| disk.canonical(p), &path);
        assert!(found.is_complete(), "{path}");
        compared += 1;
        most = most.max(found.needed.len());
    }
    eprintln!("{compared} programs compared, up to {most} libraries");
    assert!(compared > 0);
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
            let missing: Vec<&str> = found.missing().map(|n| n.name.as_str()).collect();
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
                    // ld.so.cache, which is not followed, would be switched off as well: all is missing for both.
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
