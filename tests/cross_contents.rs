//! Patched code in statically linked programs, on real archives: one library built without a patch, with it, and once
//! more as somebody else would build it.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "the helpers of tests are tests as well")]

use std::path::PathBuf;
use std::process::Command;

use overlayctl::cross::contents::{Contents, Library, Verdict};
use proptest::prelude::*;

const TOOLCHAINS: [&str; 4] = ["", "aarch64-linux-gnu-", "riscv64-linux-gnu-", "arm-linux-gnueabihf-"];

/// The number of functions that no patch changes.
const WORKERS: u32 = 22;

/// What the patch does to the library.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Patch {
    None,
    /// Changes a condition in the middle of a function.
    Code,
    /// Changes a text in a table.
    Table,
    /// Changes a string literal.
    Literal,
    /// Adds a function, called by a function that changes by that call alone.
    Added,
    /// Takes a check out, so that what is left stands in the old version too.
    Removed,
}

/// The sources of a small C library: a changed member, and many that stay the same.
fn sources(patch: Patch) -> Vec<(String, String)> {
    let on = |which| patch == which;
    let open = format!(
        "int low(int a, int b);\n{}int lib_open(const unsigned char *name, int flags) {{\n\
           int sum = 7;\n\
           for (int i = 0; name[i]; i++) {{ sum = sum * 31 + name[i]; if ({}) sum ^= flags << 3; }}\n\
           {}\n  sum = low(sum, flags); {}\n  return sum + 12;\n}}\n",
        if on(Patch::Added) { "int added(int);\n" } else { "" },
        if on(Patch::Code) { "sum > 4096 || flags == 99" } else { "sum > 2048" },
        if on(Patch::Removed) { "" } else { "if (flags & 64) { sum = low(sum, 5) | 0x5a5a00; }" },
        if on(Patch::Added) { "sum = added(sum);" } else { "" },
    );
    let error = format!(
        "static const char table[] = \"Success\\0No such file{}\\0Permission denied\\0Not a directory\";\n\
         const char *lib_error(int n) {{ const char *s = table; while (n--) while (*s++); return s; }}\n\
         const char *lib_name(int n) {{ return n ? \"{}\" : \"a library that is called by another name\"; }}\n",
        if on(Patch::Table) { " [patched]" } else { "" },
        if on(Patch::Literal) { "the patched library of the test" } else { "the small library of the test" },
    );
    let mut all = vec![("open.c".to_string(), open), ("error.c".to_string(), error)];
    all.push(("low.c".to_string(), "int low(int a, int b) { return (a ^ b) + (a >> 3) * 5; }\n".to_string()));
    if on(Patch::Added) {
        let body = "int added(int a) { int r = 1; for (int i = 0; i < a; i++) r = r * 33 ^ (i + 0x1234); return r; }\n";
        all.push(("added.c".to_string(), body.to_string()));
    }
    // Several to a member, for the compiler's time.
    for member in 0..4 {
        let work = |n: u32| {
            let (factor, bit, less) = (n * 6 + 5, 1 << (n % 7), n * 1001);
            format!(
                "int work{n}(int a, int b) {{\n  int r = {n};\n  for (int i = 0; i < a; i++) {{ r = r * {factor} + (b ^ i); \
                 if (r & {bit}) r = low(r, i + {n}); }}\n  return r - {less};\n}}\n"
            )
        };
        let bodies: String = (0..WORKERS).filter(|n| n % 4 == member).map(work).collect();
        all.push((format!("work{member}.c"), format!("int low(int a, int b);\n{bodies}")));
    }
    // What makes it a C library: every static program starts there.
    let start = "int main(void);\nint work0(int a, int b);\nint work1(int a, int b);\nint __libc_start_main(int a) {\n  \
         int r = main(); for (int i = 0; i < a; i++) r = work0(r, i) * work1(i, r); return r;\n}\n";
    all.push(("start.c".to_string(), start.to_string()));
    all
}

struct Bench {
    dir: tempfile::TempDir,
    prefix: &'static str,
}

impl Bench {
    /// `None`, with the reason printed, where the toolchain is not there.
    fn new(prefix: &'static str) -> Option<Bench> {
        let compiler = if prefix.is_empty() { "cc".to_string() } else { format!("{prefix}gcc") };
        match Command::new(&compiler).arg("--version").output() {
            Ok(_) => Some(Bench { dir: tempfile::tempdir().unwrap(), prefix }),
            Err(error) => {
                eprintln!("skipped: no {compiler} ({error})");
                None
            }
        }
    }

    fn run(&self, tool: &str, args: &[&str]) {
        let tool =
            if self.prefix.is_empty() && tool == "gcc" { "cc".to_string() } else { format!("{}{tool}", self.prefix) };
        let done = Command::new(&tool).current_dir(self.dir.path()).args(args).output().unwrap();
        assert!(done.status.success(), "{tool} {args:?}: {}", String::from_utf8_lossy(&done.stderr));
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap()
    }

    /// Builds the library as `name`; all members in one call of the compiler.
    fn library(&self, name: &str, patch: Patch, flags: &[&str]) {
        let dir = self.path(&format!("{name}.d"));
        std::fs::create_dir_all(&dir).unwrap();
        let sources = sources(patch);
        let mut args = vec!["-c", "-ffreestanding", "-fno-stack-protector", "-fno-asynchronous-unwind-tables", "-g"];
        args.extend(flags);
        for (file, text) in &sources {
            std::fs::write(dir.join(file), text).unwrap();
        }
        args.extend(sources.iter().map(|s| s.0.as_str()));
        let here = Bench { dir: tempfile::tempdir_in(&dir).unwrap(), prefix: self.prefix };
        for (file, _) in &sources {
            std::fs::copy(dir.join(file), here.path(file)).unwrap();
        }
        here.run("gcc", &args);
        let objects: Vec<String> = sources.iter().map(|s| s.0.replace(".c", ".o")).collect();
        let archive = self.path(name);
        let mut args = vec!["rcs", archive.to_str().unwrap()];
        args.extend(objects.iter().map(String::as_str));
        here.run("ar", &args);
    }

    /// Links a program with `library`; it calls everything, or everything that the patch does not touch.
    fn program(&self, name: &str, library: &str, all: bool, flags: &[&str]) -> Vec<u8> {
        let calls: String = (0..WORKERS).map(|n| format!("  r += work{n}(r, {n});\n")).collect();
        let text = format!(
            "int lib_open(const unsigned char *, int); const char *lib_error(int); const char *lib_name(int); int __libc_start_main(int);\n\
             {}\nint main(void) {{ int r = 1;\n{calls}{}  return r; }}\nvoid _start(void) {{ __libc_start_main(4); for (;;); }}\n",
            (0..WORKERS).map(|n| format!("int work{n}(int, int);")).collect::<String>(),
            if all { "  r += lib_open((const unsigned char *) lib_error(r), r) + *lib_name(r);\n" } else { "" },
        );
        std::fs::write(self.path("main.c"), text).unwrap();
        let mut args = vec![
            "-ffreestanding",
            "-fno-stack-protector",
            "-O2",
            "-nostdlib",
            "-static",
            "-o",
            name,
            "main.c",
            library,
        ];
        args.extend(flags);
        self.run("gcc", &args);
        self.read(name)
    }
}

fn contents(before: &[u8], after: &[u8], program: &[u8]) -> Result<Contents, overlayctl::cross::Error> {
    Library::archive(before, after)?.map_or_else(Ok, |library| library.look(program))
}

fn ask(bench: &Bench, program: &[u8]) -> Contents {
    contents(&bench.read("before.a"), &bench.read("after.a"), program).unwrap()
}

#[test]
fn patched_and_unpatched_programs_are_told_apart() {
    for prefix in TOOLCHAINS {
        let Some(bench) = Bench::new(prefix) else { continue };
        bench.library("before.a", Patch::None, &["-O2"]);
        // Relaxation makes RISC-V the hard one; where there is none, one toolchain stands for the others.
        let thorough = prefix.starts_with("riscv");
        let patches = [Patch::Code, Patch::Literal, Patch::Table, Patch::Added, Patch::Removed];
        for patch in patches.into_iter().take(if thorough { 5 } else { 2 }) {
            bench.library("after.a", patch, &["-O2"]);
            let elsewhere = ["-Wl,--gc-sections", "-Wl,-z,noseparate-code,-Ttext=0x7000000"];
            for flags in [&[][..], &["-s"], &elsewhere].into_iter().take(if patch == Patch::Code { 3 } else { 2 }) {
                let what = format!("{prefix} {patch:?} {flags:?}");
                let patched = ask(&bench, &bench.program("new", "after.a", true, flags));
                assert_eq!(patched.verdict, Verdict::Patched, "{what}: {patched:?}");
                let unpatched = ask(&bench, &bench.program("old", "before.a", true, flags));
                assert_eq!(unpatched.verdict, Verdict::Unpatched, "{what}: {unpatched:?}");
                let member = if matches!(patch, Patch::Table | Patch::Literal) { "error.o" } else { "open.o" };
                assert!(patched.changed_members.contains(&member.to_string()), "{what}: {patched:?}");
                // gcc may copy literals into the caller; the rest of the library stays out of it.
                assert!(patched.changed_members.iter().all(|m| m == member || m == "added.o"), "{what}: {patched:?}");
                assert!(patched.evidence.iter().all(|e| e.patched && e.bytes >= 10), "{what}");
                let unused = ask(&bench, &bench.program("unused", "after.a", false, flags));
                assert_eq!(unused.verdict, Verdict::Unused, "{what}: {unused:?}");
            }
        }
    }
}

#[test]
fn a_library_of_somebody_elses_build_is_noticed() {
    for prefix in TOOLCHAINS {
        let Some(bench) = Bench::new(prefix) else { continue };
        bench.library("before.a", Patch::None, &["-O2"]);
        bench.library("after.a", Patch::Code, &["-O2"]);
        // The same sources without the patch, by another compiler: what rustc carries.
        bench.library("own.a", Patch::None, &["-O0"]);
        for flags in [&[][..], &["-s"]] {
            let found = ask(&bench, &bench.program("foreign", "own.a", true, flags));
            assert_eq!(found.verdict, Verdict::Unpatched, "{prefix} {flags:?}: {found:?}");
            assert!(found.evidence.is_empty() && found.why.contains("another"), "{prefix} {flags:?}: {found:?}");
        }
    }
}

#[test]
fn two_copies_in_one_program_are_noticed() {
    for prefix in TOOLCHAINS {
        let Some(bench) = Bench::new(prefix) else { continue };
        bench.library("before.a", Patch::None, &["-O2"]);
        bench.library("after.a", Patch::Code, &["-O2"]);
        bench.run("objcopy", &["--prefix-symbols=hidden_", "before.a", "hidden.a"]);
        let both = bench.program("both", "after.a", true, &["-Wl,-u,hidden_lib_open", "hidden.a"]);
        let found = ask(&bench, &both);
        assert_eq!(found.verdict, Verdict::Mixed, "{prefix}: {found:?}");
    }
}

#[test]
fn what_cannot_be_told_says_why() {
    let Some(bench) = Bench::new("") else { return };
    bench.library("before.a", Patch::None, &["-O2"]);
    bench.library("after.a", Patch::Code, &["-O2"]);
    let why = |before: &[u8], after: &[u8], program: &[u8]| {
        let found = contents(before, after, program).unwrap();
        assert_eq!(found.verdict, Verdict::Unknown, "{found:?}");
        found.why
    };
    let (before, after) = (bench.read("before.a"), bench.read("after.a"));
    let program = bench.program("new", "after.a", true, &[]);
    assert_eq!(contents(&before, &before, &program).unwrap().verdict, Verdict::Unchanged);
    assert!(why(&before, &after, b"#!/bin/sh").contains("no ELF"));
    assert!(why(b"x", &after, &program).contains("no archive"));
    assert!(why(b"!<arch>\n", &after, &program).contains("no machine code"));
    // Rebuilt with nothing changed but the debugging information.
    bench.library("again.a", Patch::None, &["-O2", "-g3"]);
    assert_eq!(contents(&before, &bench.read("again.a"), &program).unwrap().verdict, Verdict::Unchanged);
    if let Ok(dynamic) = std::fs::read("/bin/true") {
        assert!(why(&before, &after, &dynamic).contains("linked dynamically"));
    }
    if let Some(cross) = Bench::new("aarch64-linux-gnu-") {
        cross.library("after.a", Patch::None, &["-O2"]);
        let other = cross.program("other", "after.a", true, &[]);
        assert!(why(&before, &after, &other).contains("another processor"));
    }
    assert!(contents(b"!<arch>\nx", &after, &program).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn damaged_archives_and_programs_never_panic(changes in prop::collection::vec((0usize..3, any::<prop::sample::Index>(), any::<u8>()), 1..30), cut in any::<prop::sample::Index>()) {
        use std::sync::LazyLock;
        static FILES: LazyLock<Option<[Vec<u8>; 3]>> = LazyLock::new(|| {
            let bench = Bench::new("")?;
            bench.library("before.a", Patch::None, &["-O2"]);
            bench.library("after.a", Patch::Code, &["-O2"]);
            let program = bench.program("new", "after.a", true, &[]);
            Some([bench.read("before.a"), bench.read("after.a"), program])
        });
        if let Some(files) = &*FILES {
            let mut files = files.clone();
            for (file, at, to) in changes {
                let at = at.index(files[file].len());
                files[file][at] = to;
            }
            let [before, after, program] = &files;
            let _ = contents(before, after, program);
            let _ = contents(&before[..cut.index(before.len())], after, program);
            let _ = contents(before, after, &program[..cut.index(program.len())]);
        }
    }
}
