//! Archives of every kind, and those that mean harm.

use std::io::Write as _;

use proptest::prelude::*;

use super::*;
use crate::patch::{EXECUTABLE, REGULAR, SYMLINK};

/// An entry: its kind, its path, its contents or target.
type Entry<'a> = (tar::EntryType, &'a str, &'a str);

/// Makes a tar without the checks of the library: what is written is what is asked for.
fn tarball(entries: &[Entry<'_>]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (kind, path, text) in entries {
        let mut header = tar::Header::new_gnu();
        header.as_gnu_mut().unwrap().name[..path.len()].copy_from_slice(path.as_bytes());
        let data = if kind.is_file() { text.as_bytes() } else { b"" };
        if !kind.is_file() {
            header.as_gnu_mut().unwrap().linkname[..text.len()].copy_from_slice(text.as_bytes());
        }
        header.set_entry_type(*kind);
        header.set_mode(if path.ends_with(".sh") { 0o755 } else { 0o644 });
        header.set_size(data.len() as u64);
        header.set_cksum();
        builder.append(&header, data).unwrap();
    }
    builder.into_inner().unwrap()
}

const FILE: tar::EntryType = tar::EntryType::Regular;
const LINK: tar::EntryType = tar::EntryType::Symlink;
const HARD: tar::EntryType = tar::EntryType::Link;

fn unpacked(bytes: &[u8], limits: &Limits) -> Result<Gathered, QueueError> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    let mut gathered = Gathered::default();
    archive::unpack(file.path(), limits, &mut gathered)?;
    Ok(gathered)
}

fn good() -> Vec<u8> {
    tarball(&[
        (tar::EntryType::Directory, "x-1/", ""),
        (FILE, "./x-1/a.c", "int a;\n"),
        (FILE, "x-1/run.sh", "#!/bin/sh\n"),
        (LINK, "x-1/link", "a.c"),
        (HARD, "x-1/copy.c", "x-1/a.c"),
    ])
}

#[test]
fn every_packing_gives_the_same_tree() {
    let tar = good();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&tar).unwrap();
    let mut bzip2 = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    bzip2.write_all(&tar).unwrap();
    let mut xz = lzma_rust2::XzWriter::new(Vec::new(), lzma_rust2::XzOptions::with_preset(0)).unwrap();
    xz.write_all(&tar).unwrap();
    let mut lzip = lzma_rust2::LzipWriter::new(Vec::new(), lzma_rust2::LzipOptions::with_preset(0));
    lzip.write_all(&tar).unwrap();
    let packed = [
        ("tar", tar.clone()),
        ("gzip", gzip.finish().unwrap()),
        ("bzip2", bzip2.finish().unwrap()),
        ("xz", xz.finish().unwrap()),
        ("lzip", lzip.finish().unwrap()),
        ("zstd", zstd::encode_all(tar.as_slice(), 1).unwrap()),
    ];
    for (kind, bytes) in packed {
        let mut gathered = unpacked(&bytes, &Limits::default()).unwrap();
        assert_eq!(gathered.tops.iter().collect::<Vec<_>>(), ["x-1"], "{kind}");
        let tree = gathered.take_below("x-1");
        let files: Vec<_> = tree.iter().map(|(p, f)| (p, f.bytes.as_ref(), f.mode)).collect();
        let wanted: [(&str, &[u8], u32); 4] = [
            ("a.c", b"int a;\n", REGULAR),
            ("copy.c", b"int a;\n", REGULAR),
            ("link", b"a.c", SYMLINK),
            ("run.sh", b"#!/bin/sh\n", EXECUTABLE),
        ];
        assert_eq!(files, wanted, "{kind}");
    }
}

#[test]
fn zip_archives() {
    let make = |name: &str| {
        let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
        let options = zip::write::SimpleFileOptions::default();
        zip.start_file(name, options.unix_permissions(0o755)).unwrap();
        zip.write_all(b"text").unwrap();
        zip.finish().unwrap().into_inner()
    };
    let gathered = unpacked(&make("x/run"), &Limits::default()).unwrap();
    assert_eq!(gathered.tree.get("x/run").map(|f| f.mode), Some(EXECUTABLE));
    assert!(matches!(unpacked(&make("../x"), &Limits::default()), Err(QueueError::Unpack { .. })));
}

#[test]
fn paths_that_lead_out_refuse_the_archive() {
    let cases: &[&[Entry<'_>]] = &[
        &[(FILE, "../evil", "x")],
        &[(FILE, "/etc/evil", "x")],
        &[(FILE, "a/../../evil", "x")],
        &[(LINK, "a/dir", "b"), (FILE, "a/dir/evil", "x")],
        &[(FILE, "a/b/c", "x"), (LINK, "a/b", "c")],
        &[(FILE, "a", "x"), (HARD, "b", "../../etc/passwd")],
        &[(FILE, "a", "x"), (HARD, "b", "/etc/passwd")],
        &[(FILE, "a", "x"), (FILE, "a/b", "x")],
    ];
    for case in cases {
        let result = unpacked(&tarball(case), &Limits::default());
        assert!(matches!(result, Err(QueueError::Unpack { .. })), "{case:?}: {result:?}");
    }
}

#[test]
fn links_that_lead_out_and_devices_are_left_out_and_named() {
    let bytes = tarball(&[
        (FILE, "a/x", "x"),
        (LINK, "a/out", "/etc/passwd"),
        (LINK, "a/up", "../../x"),
        (LINK, "a/in", "../a/x"),
        (tar::EntryType::Char, "a/null", ""),
        (tar::EntryType::Fifo, "a/pipe", ""),
    ]);
    let gathered = unpacked(&bytes, &Limits::default()).unwrap();
    let names: Vec<_> = gathered.tree.iter().map(|(p, _)| p).collect();
    assert_eq!(names, ["a/in", "a/x"]);
    let skipped: Vec<_> = gathered.skipped.iter().map(|(p, _)| p.as_str()).collect();
    assert_eq!(skipped, ["a/out", "a/up", "a/null", "a/pipe"]);
}

#[test]
fn bombs_end_at_the_limit() {
    let small = Limits { bytes: 1 << 20, entries: 10 };
    let zeros = "\0".repeat(1 << 16);
    let large: Vec<Entry<'_>> = (0..9).map(|_| (FILE, "a", zeros.as_str())).collect();
    assert!(unpacked(&tarball(&large), &small).is_ok());
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    let mut header = tar::Header::new_gnu();
    header.set_path("bomb").unwrap();
    header.set_size(1 << 33);
    header.set_cksum();
    gzip.write_all(header.as_bytes()).unwrap();
    for _ in 0..64 {
        gzip.write_all(&[0; 1 << 16]).unwrap();
    }
    let bomb = gzip.finish().unwrap();
    assert!(bomb.len() < 10_000);
    assert!(matches!(unpacked(&bomb, &small), Err(QueueError::TooLarge { .. })));
    let many: Vec<Entry<'_>> = (0..11).map(|_| (FILE, "a", "")).collect();
    assert!(matches!(unpacked(&tarball(&many), &small), Err(QueueError::TooLarge { .. })));
    // Hard links to one large file, each a copy in memory.
    let mut copies: Vec<Entry<'_>> = vec![(FILE, "a", zeros.as_str())];
    copies.extend((0..9).map(|_| (HARD, "b", "a")));
    assert!(matches!(
        unpacked(&tarball(&copies), &Limits { bytes: 5 << 16, entries: 100 }),
        Err(QueueError::TooLarge { .. })
    ));
}

#[test]
fn the_source_directory_is_found_as_nixpkgs_finds_it() {
    let attr = AttrPath::parse("x").unwrap();
    let of = |bytes: &[u8]| unpacked(bytes, &Limits::default()).unwrap();
    let one = of(&good());
    let root = |named: Option<&str>, gathered: &Gathered| source_root(&attr, named, gathered).ok();
    assert_eq!(root(None, &one).as_deref(), Some("x-1"));
    assert_eq!(root(Some("x-1"), &one).as_deref(), Some("x-1"));
    assert_eq!(root(Some("."), &one).as_deref(), Some(""));
    assert_eq!(root(Some("x-2"), &one), None);
    assert_eq!(root(Some("../x-1"), &one), None);
    assert_eq!(root(Some("$name"), &one), None);
    let two = of(&tarball(&[(FILE, "a/x", ""), (FILE, "b/sub/x", "")]));
    assert_eq!(root(None, &two), None);
    assert_eq!(root(Some("b/sub/"), &two).as_deref(), Some("b/sub"));
}

#[test]
fn a_directory_is_a_source_too() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(&dir.path().join("a/x.c"), b"x").unwrap();
    fs::write(&dir.path().join(".git/config"), b"x").unwrap();
    std::os::unix::fs::symlink("/etc", dir.path().join("out")).unwrap();
    std::os::unix::fs::symlink("a", dir.path().join("in")).unwrap();
    let tree = read(dir.path(), &Limits::default()).unwrap();
    assert_eq!(tree.iter().map(|(p, _)| p).collect::<Vec<_>>(), ["a/x.c", "in"]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Damaged archives are an error or some tree, never a panic, never more than the limit.
    #[test]
    fn damage_never_panics(at in 0usize..4000, with in any::<u8>(), cut in 0usize..6000, packed in any::<bool>()) {
        let limits = Limits { bytes: 1 << 20, entries: 100 };
        let mut bytes = good();
        if packed {
            bytes = zstd::encode_all(bytes.as_slice(), 1).unwrap();
        }
        let at = at % bytes.len();
        bytes[at] ^= with;
        bytes.truncate(cut.max(1));
        if let Ok(gathered) = unpacked(&bytes, &limits) {
            prop_assert!(gathered.bytes <= limits.bytes);
        }
    }
}
