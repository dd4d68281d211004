//! What the patch room makes of every patch below a folder, with GNU patch and git beside it, as a table.
//!
//! `cargo run --release --example patches -- DIR...` reads each `*.patch` and `*.diff`: is it taken, as `import` takes patches, where `git
//! apply --numstat` and GNU patch read it; does it do to the files that its own hunks describe what GNU patch does; are the bytes the
//! same after a mailbox, a trailer added and removed, a message quoted and unquoted; does `git am` read the mailbox. `--list` names the files
//! behind each count, `--patch PROGRAM` takes another GNU patch than the one on PATH. Exit status 1 when more than 0.3 % of what both peers read is refused, or a round trip loses a byte.

#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr, reason = "a tool of the tests")]

use std::collections::BTreeMap;
use std::io::Write as _;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use overlayctl::base::diagnostic::Coded as _;
use overlayctl::patch::{self, MemoryTree, Options, PatchFile, REGULAR, SYMLINK, mailbox};

fn below(dir: &Path, out: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => below(&path, out),
            Ok(kind) if kind.is_file() && path.extension().is_some_and(|e| e == "patch" || e == "diff") => {
                out.push(path)
            }
            _ => {}
        }
    }
}

/// Runs a program in a folder with bytes on its standard input; returns whether it ended with success, and what it wrote.
fn run(program: &str, args: &[&str], dir: &Path, input: &[u8]) -> (bool, String) {
    let mut child = Command::new(program)
        .args(args)
        .current_dir(dir)
        .env("LC_ALL", "C")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CEILING_DIRECTORIES", dir.parent().unwrap_or(dir))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let bytes = input.to_vec();
    let writer = std::thread::spawn(move || drop(stdin.write_all(&bytes)));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    (output.status.success(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
}

/// Both peers read it: git counts its lines, and GNU patch neither gives up nor finds only garbage.
fn read_by_peers(patch: &str, bytes: &[u8], empty: &Path) -> bool {
    let (git, _) = run("git", &["apply", "--numstat", "-"], empty, bytes);
    git && {
        let (_, said) = run(patch, &["-p1", "--dry-run", "-f"], empty, bytes);
        !said.contains("patch: ****") && !said.contains("git binary diffs are not supported")
    }
}

/// Takes a patch as `import` does without a source.
fn taken(bytes: &[u8]) -> Result<(), patch::Error> {
    let parsed = PatchFile::parse(bytes)?;
    let normal = patch::to_level(&parsed, parsed.strip_level(), 1)?;
    PatchFile::parse(&normal)?.check(1).map(drop)
}

/// Makes the files that the hunks of a patch were made from, lines between them made up.
fn source_of(parsed: &PatchFile<'_>, level: usize) -> Option<MemoryTree> {
    let mut tree = MemoryTree::new();
    for file in parsed.files() {
        let target = file.target(level).ok()?;
        // One file that comes twice, or is renamed, is another matter.
        let path = target.old.filter(|_| file.git.as_ref().is_none_or(|g| g.rename.is_none() && g.copy.is_none()));
        let Some(path) = path.map(|path| path.trim_start_matches("./").to_string()) else { continue };
        let (old, new) = file.names();
        let absent = file.creates() || [old, new].into_iter().flatten().any(|n| n.whole.is_some());
        if absent || tree.get(&path).is_some() {
            continue;
        }
        let mut text: Vec<u8> = Vec::new();
        let mut line = 1;
        for hunk in &file.hunks {
            while line < hunk.old_start {
                text.extend(format!("made up {line}\n").into_bytes());
                line += 1;
            }
            text.extend(hunk.side(false, file.strip_cr));
            line += hunk.old_count;
        }
        let link = file.git.as_ref().is_some_and(|g| g.old_mode.is_some_and(|m| m >> 12 == 0o12));
        tree.insert(path, text, if link { SYMLINK } else { REGULAR });
    }
    Some(tree)
}

/// Applies with GNU patch; returns whether it took the patch, and the files.
fn gnu(patch: &str, tree: &MemoryTree, bytes: &[u8], level: usize) -> (bool, BTreeMap<String, Vec<u8>>) {
    let dir = tempfile::tempdir().unwrap();
    for (path, file) in tree.iter() {
        let at = dir.path().join(path);
        std::fs::create_dir_all(at.parent().unwrap()).unwrap();
        match file.is_link() {
            true => std::os::unix::fs::symlink(std::ffi::OsStr::from_bytes(&file.bytes), at).unwrap(),
            false => std::fs::write(at, &file.bytes).unwrap(),
        }
    }
    let (done, _) = run(patch, &[&format!("-p{level}"), "-s"], dir.path(), bytes);
    let (mut files, mut todo) = (BTreeMap::new(), vec![dir.path().to_path_buf()]);
    while let Some(here) = todo.pop() {
        for entry in std::fs::read_dir(here).unwrap().map(|e| e.unwrap()) {
            let (path, kind) = (entry.path(), entry.file_type().unwrap());
            let name = path.strip_prefix(dir.path()).unwrap().to_string_lossy().into_owned();
            match () {
                () if kind.is_dir() => todo.push(path),
                () if kind.is_symlink() => {
                    drop(files.insert(name, std::fs::read_link(path).unwrap().into_os_string().into_vec()))
                }
                () if name.ends_with(".rej") || name.ends_with(".orig") => {}
                () => drop(files.insert(name, std::fs::read(path).unwrap())),
            }
        }
    }
    (done, files)
}

/// Both on the files that the patch describes.
fn applies_alike(program: &str, parsed: &PatchFile<'_>, bytes: &[u8]) -> Option<bool> {
    let level = parsed.strip_level();
    let tree = source_of(parsed, level)?;
    let outcome = patch::apply(&tree, parsed, &Options { strip: level, ..Options::default() }).ok()?;
    let accepted = outcome.accepted();
    let mut after = tree.clone();
    after.update(outcome.changes);
    let ours =
        after.iter().filter(|(p, _)| !p.ends_with(".orig")).map(|(p, f)| (p.to_string(), f.bytes.to_vec())).collect();
    Some((accepted, ours) == gnu(program, &tree, bytes, level))
}

/// The diff that git finds in a mail is the end of what is read, and git finds the same trailers.
fn reads_as_git(bytes: &[u8], dir: &Path) -> Result<(), &'static str> {
    let (done, _) = run("git", &["mailinfo", "msg", "diff"], dir, bytes);
    let message = std::fs::read(dir.join("msg")).unwrap_or_default();
    let diff = std::fs::read(dir.join("diff")).unwrap_or_default();
    if !done || diff.is_empty() || !bytes.starts_with(b"From") {
        return Ok(());
    }
    let read = patch::mail::decode(bytes).map_err(|_| "a mail that git decodes")?;
    if !read.ends_with(&diff) {
        return Err("another diff than `git mailinfo` finds");
    }
    let Ok(parsed) = PatchFile::parse(&read) else { return Ok(()) };
    let (_, theirs) = run("git", &["interpret-trailers", "--parse"], dir, &[&b"subject\n\n"[..], &message].concat());
    let ours: Vec<String> = parsed.trailers().iter().map(|t| format!("{}: {}", t.key, t.value)).collect();
    let theirs: Vec<&str> = theirs.lines().map(str::trim_end).collect();
    let same = ours.iter().map(|line| line.trim_end()).eq(theirs);
    // Text that is no UTF-8 comes as it is from git.
    if same || std::str::from_utf8(&message).is_err() {
        Ok(())
    } else {
        Err("other trailers than `git interpret-trailers` finds")
    }
}

fn main() -> ExitCode {
    let (mut files, mut list, mut program) = (Vec::new(), false, "patch".to_string());
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--list" => list = true,
            "--patch" => program = args.next().unwrap(),
            file if Path::new(file).is_file() => files.push(file.into()),
            dir => below(Path::new(dir), &mut files),
        }
    }
    files.sort();
    let dir = tempfile::tempdir().unwrap();
    let empty = dir.path().join("empty");
    std::fs::create_dir(&empty).unwrap();
    let mut table: BTreeMap<String, Vec<&Path>> = BTreeMap::new();
    let (mut both, mut refused, mut alike, mut lost) = (0, 0, 0, 0);
    for path in &files {
        let bytes = std::fs::read(path).unwrap();
        let mut count = |what: &str| table.entry(what.to_string()).or_default().push(path);
        let peers = read_by_peers(&program, &bytes, &empty);
        both += usize::from(peers);
        if let Err(error) = taken(&bytes) {
            let who = if peers { "refused" } else { "refused, as a peer does" };
            count(&format!("{who}: {} {}", error.code(), error.to_string().split('`').next().unwrap_or_default()));
            refused += usize::from(peers);
        }
        if mailbox::read(&mailbox::join([&bytes])).ok().is_none_or(|back| back != [bytes.as_slice()]) {
            count("NOT THE SAME after a mailbox");
            lost += 1;
        }
        if let Err(what) = reads_as_git(&bytes, &empty) {
            count(&format!("NOT AS git: {what}"));
        }
        match patch::as_gnu_reads(&bytes) {
            Ok((_, odd)) if odd.is_empty() => {}
            Ok((own, odd)) => {
                count(&format!("read as GNU patch does: {}", odd[0].what));
                if !own.is_empty()
                    && PatchFile::parse(&own).ok().and_then(|p| applies_alike(&program, &p, &bytes)) != Some(true)
                {
                    count("NOT AS GNU patch applies it, read as it does");
                }
            }
            Err(_) => count("no patch for GNU patch either, or one that is not read as it does"),
        }
        let Ok(parsed) = PatchFile::parse(&bytes) else { continue };
        if parsed.to_bytes() != bytes {
            count("NOT THE SAME as parsed");
            lost += 1;
        }
        let key = ("Tested-by", "A <a@example.org>");
        let back =
            patch::add_trailer(&bytes, key.0, key.1).and_then(|more| patch::remove_trailer(&more, key.0, Some(key.1)));
        if back.ok().is_none_or(|back| back != bytes) {
            count("NOT THE SAME after a trailer was added and removed");
            lost += 1;
        }
        match applies_alike(&program, &parsed, &bytes) {
            Some(true) => alike += 1,
            Some(false) => count("NOT AS GNU patch applies it"),
            None => count("not applied: no patch of text files"),
        }
        if !parsed.quoted_diffs().is_empty() {
            count("a diff is quoted where GNU patch sees it");
        }
        if !parsed.miscounted().is_empty() {
            count("lines behind a hunk that its header does not count");
        }
        if parsed.message().body.contains(char::REPLACEMENT_CHARACTER) {
            count("NOT THE SAME: a character is lost");
        }
    }
    let (_, version) = run(&program, &["--version"], &empty, b"");
    println!("{}", version.lines().next().unwrap_or_default());
    println!("{:6} files; {both} are read by `git apply --numstat` and by GNU patch", files.len());
    println!("{alike:6} applied as GNU patch does");
    for (what, files) in &table {
        println!("{:6} {what}", files.len());
        for path in files.iter().filter(|_| list) {
            println!("         {}", path.display());
        }
    }
    if lost > 0 || refused * 1000 > both * 3 { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
