//! ELF facts of real programs, compared with what readelf prints, and of damaged ones.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "the helpers of tests are tests as well")]

use std::path::{Path, PathBuf};
use std::process::Command;

use overlayctl::cross::elf::{Class, Endianness, FloatAbi, Kind, Linkage};
use overlayctl::cross::{Elf, Expected, Platform, archive, expected};
use proptest::prelude::*;

/// Compiles `source` with `compiler`; `None`, with the reason printed, when it is not there or cannot.
fn compile(dir: &Path, compiler: &str, name: &str, source: &str, flags: &[&str]) -> Option<PathBuf> {
    let (input, output) = (dir.join(format!("{name}.c")), dir.join(name));
    std::fs::write(&input, source).unwrap();
    let done = Command::new(compiler).arg(&input).arg("-o").arg(&output).args(flags).output();
    match done {
        Ok(done) if done.status.success() => Some(output),
        Ok(done) => {
            eprintln!("skipped: {compiler} {flags:?} cannot: {}", String::from_utf8_lossy(&done.stderr));
            None
        }
        Err(error) => {
            eprintln!("skipped: no {compiler} ({error})");
            None
        }
    }
}

fn readelf(file: &Path, option: &str) -> Option<String> {
    let done = Command::new("readelf").env("LC_ALL", "C").arg("-W").arg(option).arg(file).output();
    match done {
        Ok(done) => Some(String::from_utf8_lossy(&done.stdout).into_owned()),
        Err(error) => {
            eprintln!("skipped: no readelf ({error})");
            None
        }
    }
}

fn read(file: &Path) -> Elf {
    Elf::read(&std::fs::read(file).unwrap()).unwrap().unwrap()
}

/// The values that readelf puts in brackets on the lines that hold `(TAG)`.
fn bracketed(text: &str, tag: &str) -> Vec<String> {
    let tag = format!("({tag})");
    let lines = text.lines().filter(|l| l.contains(&tag));
    lines.filter_map(|l| Some(l.split_once('[')?.1.trim_end().trim_end_matches(']').to_string())).collect()
}

/// Compares every fact that readelf prints too.
fn same_as_readelf(file: &Path) {
    let elf = read(file);
    let (Some(header), Some(dynamic), Some(segments), Some(notes)) =
        (readelf(file, "-h"), readelf(file, "-d"), readelf(file, "-l"), readelf(file, "-n"))
    else {
        return;
    };
    let field = |name: &str| {
        let line = header.lines().find(|l| l.trim_start().starts_with(name));
        line.and_then(|l| l.split_once(':')).map(|(_, v)| v.trim().to_string()).unwrap_or_default()
    };
    let file = file.display();
    assert_eq!(field("Class"), if elf.class == Class::Elf64 { "ELF64" } else { "ELF32" }, "{file}");
    assert_eq!(field("Data").contains("little"), elf.endianness == Endianness::Little, "{file}");
    assert_eq!(field("OS/ABI"), elf.os_abi, "{file}");
    assert_eq!(field("Entry point address"), format!("{:#x}", elf.entry), "{file}");
    let kind = field("Type");
    let expected = match elf.kind {
        Kind::Executable => "EXEC",
        Kind::Pie | Kind::Shared => "DYN",
        Kind::Relocatable => "REL",
        Kind::Core => "CORE",
        Kind::Other => "NONE",
    };
    assert!(kind.starts_with(expected), "{file}: {kind}");
    // binutils tell a position-independent program from a library since 2.36.
    if kind.starts_with("DYN") && kind.contains("Position-Independent") {
        assert_eq!(elf.kind, Kind::Pie, "{file}");
    }
    let flags = field("Flags");
    assert_eq!(flags.split(',').next().unwrap_or(""), format!("{:#x}", elf.flags), "{file}");
    match elf.float_abi {
        Some(FloatAbi::Hard) if elf.machine.name == "Arm" && elf.kind != Kind::Relocatable => {
            assert!(flags.contains("hard-float ABI"), "{file}: {flags}");
        }
        Some(FloatAbi::Soft) if elf.machine.name == "Arm" && elf.kind != Kind::Relocatable => {
            assert!(flags.contains("soft-float ABI"), "{file}: {flags}");
        }
        Some(FloatAbi::Double) => assert!(flags.to_lowercase().contains("double-float"), "{file}: {flags}"),
        _ => {}
    }
    assert_eq!(bracketed(&dynamic, "NEEDED"), elf.needed, "{file}");
    assert_eq!(bracketed(&dynamic, "SONAME"), elf.soname.into_iter().collect::<Vec<_>>(), "{file}");
    assert_eq!(bracketed(&dynamic, "RPATH"), elf.rpath.into_iter().collect::<Vec<_>>(), "{file}");
    assert_eq!(bracketed(&dynamic, "RUNPATH"), elf.runpath.into_iter().collect::<Vec<_>>(), "{file}");
    let asked = segments.split_once("program interpreter: ").map(|(_, rest)| rest.split(']').next().unwrap_or(""));
    assert_eq!(asked, elf.interpreter.as_deref(), "{file}");
    let id = notes.split_once("Build ID: ").map(|(_, rest)| rest.lines().next().unwrap_or(""));
    assert_eq!(id, elf.build_id.as_deref(), "{file}");
    assert_eq!(elf.damage, None, "{file}");
}

#[test]
fn installed_programs_and_libraries_are_read_as_readelf_reads_them() {
    let mut seen = 0;
    for dir in
        ["/bin", "/usr/sbin", "/lib/x86_64-linux-gnu", "/usr/aarch64-linux-gnu/lib", "/usr/riscv64-linux-gnu/lib"]
    {
        let Ok(entries) = std::fs::read_dir(dir) else {
            eprintln!("skipped: no {dir}");
            continue;
        };
        let mut files: Vec<PathBuf> = entries.filter_map(|e| Some(e.ok()?.path())).filter(|p| p.is_file()).collect();
        files.sort();
        let elf = |f: &PathBuf| std::fs::read(f).is_ok_and(|b| b.starts_with(b"\x7fELF"));
        for file in files.iter().filter(|f| elf(f)).take(40) {
            same_as_readelf(file);
            seen += 1;
        }
    }
    eprintln!("{seen} files compared");
}

const HELLO: &str = "#include <stdio.h>\nint main(void) { puts(\"hello\"); return 0; }\n";

#[test]
fn cross_compiled_programs_are_what_their_platform_wants() {
    let dir = tempfile::tempdir().unwrap();
    for (compiler, platform, wrong) in [
        ("aarch64-linux-gnu-gcc", "aarch64-linux", "armv7l-linux"),
        ("riscv64-linux-gnu-gcc", "riscv64-linux", "riscv32-linux"),
        ("arm-linux-gnueabihf-gcc", "armv7l-linux", "armv5tel-linux"),
        ("cc", "x86_64-linux", "aarch64-linux"),
    ] {
        if compiler == "cc" && std::env::consts::ARCH != "x86_64" {
            eprintln!("skipped: cc compiles for another processor here");
            continue;
        }
        let wanted = expected(&Platform::parse(platform).unwrap());
        let unwanted = expected(&Platform::parse(wrong).unwrap());
        for (name, flags, kind, linkage) in [
            ("pie", &["-pie", "-fPIE"][..], Kind::Pie, Some(Linkage::Dynamic)),
            ("exec", &["-no-pie"], Kind::Executable, Some(Linkage::Dynamic)),
            ("static", &["-static"], Kind::Executable, Some(Linkage::Static)),
            ("static-pie", &["-static-pie", "-fPIE"], Kind::Pie, Some(Linkage::StaticPie)),
            ("lib.so", &["-shared", "-fPIC", "-Wl,-soname,lib.so.1"], Kind::Shared, Some(Linkage::Dynamic)),
            ("object.o", &["-c"], Kind::Relocatable, None),
            ("rpath", &["-Wl,--disable-new-dtags,-rpath,$ORIGIN/../lib:/x"], Kind::Pie, Some(Linkage::Dynamic)),
            ("runpath", &["-Wl,--enable-new-dtags,-rpath,/y", "-s"], Kind::Pie, Some(Linkage::Dynamic)),
        ] {
            let Some(file) = compile(dir.path(), compiler, &format!("{platform}-{name}"), HELLO, flags) else {
                continue;
            };
            let (bytes, elf) = (std::fs::read(&file).unwrap(), read(&file));
            assert_eq!((elf.kind, elf.linkage()), (kind, linkage), "{compiler} {name}");
            assert_eq!(elf.stripped, Some(name == "runpath"), "{compiler} {name}");
            assert_eq!(wanted.matches(&bytes), Ok(()), "{compiler} {name}");
            assert!(unwanted.matches(&bytes).is_err(), "{compiler} {name} on {wrong}");
            same_as_readelf(&file);
        }
    }
}

#[test]
fn soft_and_hard_float_and_the_arm_version_are_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    let source = "double half(double x) { return x / 2; }\n";
    let compiler = "arm-linux-gnueabihf-gcc";
    let soft = ["-c", "-mfloat-abi=softfp", "-march=armv7-a+fp"];
    let v6 = ["-c", "-marm", "-march=armv6+fp", "-mfloat-abi=hard"];
    let hard = ["-c", "-march=armv7-a+fp", "-mfloat-abi=hard"];
    let raspberry = Platform::parse("armv6l-unknown-linux-gnueabihf").unwrap();
    let Expected::Elf(wanted) = expected(&raspberry) else { panic!("Linux is ELF") };
    let made = |name, flags: &[&str]| compile(dir.path(), compiler, name, source, flags).map(|f| read(&f));
    let (Some(soft), Some(v6), Some(hard)) = (made("soft.o", &soft), made("v6.o", &v6), made("hard.o", &hard)) else {
        return;
    };
    assert_eq!((v6.float_abi, v6.arm_version), (Some(FloatAbi::Hard), Some(6)));
    assert_eq!((hard.float_abi, hard.arm_version), (Some(FloatAbi::Hard), Some(7)));
    // An object without the tag says nothing; the program linked from it does, in its flags.
    assert_eq!(soft.float_abi, None);
    assert_eq!(wanted.matches(&v6), Ok(()));
    assert_eq!(wanted.matches(&hard).unwrap_err().what, "Arm version");
    let library = ["-shared", "-nostdlib", "-fPIC", "-mfloat-abi=softfp", "-march=armv7-a+fp"];
    if let Some(soft) = made("soft.so", &library) {
        assert_eq!(soft.float_abi, Some(FloatAbi::Soft));
        assert_eq!(wanted.matches(&soft).unwrap_err().what, "float ABI");
    }
}

#[test]
fn riscv_float_abis_are_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    let source = "int one(void) { return 1; }\n";
    for (abi, march, float) in [
        ("lp64", "rv64imac", FloatAbi::Soft),
        ("lp64f", "rv64imafc", FloatAbi::Single),
        ("lp64d", "rv64gc", FloatAbi::Double),
    ] {
        let flags = [format!("-mabi={abi}"), format!("-march={march}"), "-c".to_string()];
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        let Some(file) = compile(dir.path(), "riscv64-linux-gnu-gcc", &format!("{abi}.o"), source, &flags) else {
            return;
        };
        assert_eq!(read(&file).float_abi, Some(float), "{abi}");
    }
}

#[test]
fn archives_list_their_members_with_long_names_and_thin() {
    let dir = tempfile::tempdir().unwrap();
    let long = "a_member_whose_name_is_longer_than_sixteen_bytes.o";
    let Some(_) = compile(dir.path(), "cc", "a.o", "int a;\n", &["-c"]) else { return };
    let Some(_) = compile(dir.path(), "cc", long, "int b;\n", &["-c"]) else { return };
    for (name, flags) in [("whole.a", "rcs"), ("thin.a", "rcsT")] {
        let done = Command::new("ar").current_dir(dir.path()).args([flags, name, "a.o", long]).status();
        if !done.is_ok_and(|s| s.success()) {
            eprintln!("skipped: no ar");
            return;
        }
        let bytes = std::fs::read(dir.path().join(name)).unwrap();
        let members = archive::members(&bytes).unwrap().unwrap();
        let names: Vec<_> = members.iter().map(|m| String::from_utf8_lossy(m.name).into_owned()).collect();
        assert_eq!(names, ["a.o", long], "{name}");
        for member in members {
            let whole = std::fs::read(dir.path().join(String::from_utf8_lossy(member.name).as_ref())).unwrap();
            assert_eq!(member.data, (name == "whole.a").then_some(&whole[..]), "{name}");
        }
        // Cut anywhere, it is an error or a shorter list, never a panic.
        for cut in 0..bytes.len() {
            let _ = archive::members(&bytes[..cut]);
        }
    }
    assert_eq!(archive::members(b"\x7fELF"), Ok(None));
}

/// Writes a dynamic program of any class and byte order: one segment from 0 on, an interpreter, a dynamic section.
fn program(wide: bool, big: bool, machine: u16, flags: u32) -> Vec<u8> {
    let number = |value: u64, size: usize| {
        let bytes = if big { value.to_be_bytes() } else { value.to_le_bytes() };
        if big { bytes[8 - size..].to_vec() } else { bytes[..size].to_vec() }
    };
    let word = if wide { 8 } else { 4 };
    let strings = b"\0libone.so.1\0libtwo.so\0/run:$ORIGIN\0/lib/ld.so\0";
    let (header, entry) = if wide { (64, 56) } else { (52, 32) };
    let strings_at = header + 3 * entry;
    let interpreter_at = strings_at + 36;
    let dynamic_at = (strings_at + strings.len() as u64).next_multiple_of(8);
    let dynamic =
        [(1, 1), (1, 13), (29, 23), (5, strings_at), (10, strings.len() as u64), (0x6fff_fffb, 0x0800_0000), (0, 0)];
    let end = dynamic_at + 2 * word as u64 * dynamic.len() as u64;

    let mut out = vec![0x7f, b'E', b'L', b'F', if wide { 2 } else { 1 }, if big { 2 } else { 1 }, 1];
    out.resize(16, 0);
    for (value, size) in
        [(3, 2), (u64::from(machine), 2), (1, 4), (0x1234, word), (header, word), (0, word), (u64::from(flags), 4)]
    {
        out.extend(number(value, size));
    }
    for half in [header, entry, 3, if wide { 64 } else { 40 }, 0, 0] {
        out.extend(number(half, 2));
    }
    for (kind, at, size) in [(1, 0, end), (2, dynamic_at, end - dynamic_at), (3, interpreter_at, 11)] {
        out.extend(number(kind, 4));
        if wide {
            out.extend(number(4, 4));
        }
        for value in [at, at, at, size, size] {
            out.extend(number(value, word));
        }
        if !wide {
            out.extend(number(4, 4));
        }
        out.extend(number(8, word));
    }
    out.extend(strings);
    out.resize(usize::try_from(dynamic_at).unwrap(), 0);
    for (tag, value) in dynamic {
        out.extend([number(tag, word), number(value, word)].concat());
    }
    out
}

#[test]
fn every_class_byte_order_and_abi_is_read() {
    let dir = tempfile::tempdir().unwrap();
    for (wide, big, machine, flags, good, bad) in [
        (true, true, 22, 0, "s390x-linux", "aarch64-linux"),
        (false, true, 8, 0x1007, "mips-unknown-linux-gnu", "mipsel-unknown-linux-gnu"),
        (false, true, 8, 0x8000_0020, "mips64-unknown-linux-gnuabin32", "mips-unknown-linux-gnu"),
        (true, false, 8, 0x8000_0000, "mips64el-unknown-linux-gnuabi64", "mips64el-unknown-linux-gnuabin32"),
        (false, true, 20, 0, "powerpc-none-eabi", "powerpc64-linux"),
        (true, true, 21, 2, "powerpc64-unknown-linux-gnuabielfv2", "powerpc64-unknown-linux-gnuabielfv1"),
        (true, true, 21, 1, "powerpc64-unknown-linux-gnuabielfv1", "powerpc64-unknown-linux-musl"),
        (true, false, 21, 2, "powerpc64le-linux", "powerpc64-linux"),
        (true, false, 258, 0x43, "loongarch64-linux", "riscv64-linux"),
        (true, false, 243, 5, "riscv64-linux", "riscv32-linux"),
        (true, false, 243, 1, "riscv64-none-elf", "riscv64-linux"),
        (false, false, 40, 0x0500_0400, "armv7l-linux", "armv5tel-linux"),
        (false, false, 40, 0x0500_0200, "armv5tel-linux", "armv7l-linux"),
        (false, true, 4, 0, "m68k-linux", "mips-unknown-linux-gnu"),
        (true, true, 183, 0, "aarch64_be-none-elf", "aarch64-linux"),
        (false, false, 62, 0, "x86_64-unknown-linux-gnux32", "x86_64-linux"),
        (true, true, 43, 0, "sparc64-linux", "sparc-linux"),
        (false, false, 3, 0, "i686-linux", "x86_64-linux"),
    ] {
        let bytes = program(wide, big, machine, flags);
        let elf = Elf::read(&bytes).unwrap().unwrap();
        assert_eq!(elf.damage, None, "{good}");
        assert_eq!(elf.needed, ["libone.so.1", "libtwo.so"], "{good}");
        assert_eq!(elf.runpath.as_deref(), Some("/run:$ORIGIN"), "{good}");
        assert_eq!(elf.interpreter.as_deref(), Some("/lib/ld.so"), "{good}");
        assert_eq!((elf.kind, elf.linkage()), (Kind::Pie, Some(Linkage::Dynamic)), "{good}");
        assert_eq!(expected(&Platform::parse(good).unwrap()).matches(&bytes), Ok(()), "{good}");
        let mismatch = expected(&Platform::parse(bad).unwrap()).matches(&bytes);
        assert!(mismatch.is_err(), "a program for {good} must not pass for {bad}");
        let file = dir.path().join(good);
        std::fs::write(&file, &bytes).unwrap();
        same_as_readelf(&file);
        for cut in 0..bytes.len() {
            let _ = Elf::read(&bytes[..cut]);
        }
    }
}

/// A few real files of different classes and byte orders, and hand-made ones.
fn samples() -> Vec<Vec<u8>> {
    let mut found: Vec<Vec<u8>> =
        ["/bin/true", "/usr/arm-linux-gnueabihf/lib/libdl.so.2", "/usr/riscv64-linux-gnu/lib/libdl.so.2"]
            .iter()
            .filter_map(|f| std::fs::read(f).ok())
            .collect();
    for (wide, big) in [(false, false), (false, true), (true, false), (true, true)] {
        found.push(program(wide, big, if wide { 21 } else { 8 }, 0));
    }
    found
}

#[test]
fn a_file_cut_anywhere_in_its_headers_is_read_or_refused() {
    for bytes in samples() {
        for cut in (0..bytes.len().min(1200)).chain((1200..bytes.len()).step_by(997)) {
            match Elf::read(&bytes[..cut]) {
                Ok(Some(elf)) => assert!(cut >= 52 || elf.damage.is_some()),
                Ok(None) => assert!(cut < 4),
                Err(_) => assert!(cut < 64),
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn changed_bytes_never_panic(
        which in 0usize..8,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), any::<bool>()), 1..12),
        cut in any::<prop::sample::Index>(),
    ) {
        let all = samples();
        let mut bytes = all[which % all.len()].clone();
        // Half of the changes in the headers, where they matter.
        let head = bytes.len().min(1024);
        for (at, to, early) in changes {
            let len = if early { head } else { bytes.len() };
            let at = at.index(len);
            bytes[at] = to;
        }
        let _ = Elf::read(&bytes);
        let _ = Elf::read(&bytes[..cut.index(bytes.len())]);
        let linux = expected(&Platform::parse("aarch64-linux").unwrap());
        let _ = linux.matches(&bytes);
    }

    #[test]
    fn any_bytes_after_the_magic_never_panic(rest in prop::collection::vec(any::<u8>(), 0..400), class in 0u8..4, order in 0u8..4) {
        let mut bytes = vec![0x7f, b'E', b'L', b'F', class, order, 1];
        bytes.extend(rest);
        let _ = Elf::read(&bytes);
    }

    #[test]
    fn any_archive_never_panics(rest in prop::collection::vec(any::<u8>(), 0..400), thin in any::<bool>()) {
        let mut bytes = if thin { b"!<thin>\n".to_vec() } else { b"!<arch>\n".to_vec() };
        bytes.extend(rest);
        let _ = archive::members(&bytes);
    }
}
