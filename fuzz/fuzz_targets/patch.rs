//! Patches: printed as they were read; applied inside of the tree; what `diff`, `reverse` and `refresh` make applies and does
//! what it says. Behind a line `%%%%` may stand the text of every file; else texts are made from what the hunks expect.
#![no_main]

use libfuzzer_sys::fuzz_target;
use overlayctl::patch::*;

const EXACT: Options = Options { strip: 1, fuzz: 0, reverse: false, ..DEFAULT };
const DEFAULT: Options = Options { strip: 1, fuzz: 2, reverse: false };

/// Numbers from a seed: splitmix64.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        (z ^ (z >> 27)) % sides
    }
}

/// Puts a file into a tree; not one below a file, or where a directory is, as no file system has that.
fn put(tree: &mut MemoryTree, path: &str, text: &[u8], mode: u32) {
    let below = |one: &str, other: &str| one.strip_prefix(other).is_some_and(|rest| rest.starts_with('/'));
    if !tree.iter().any(|(other, _)| below(path, other) || below(other, path)) {
        tree.insert(path, text, mode);
    }
}

/// A tree in which the hunks find what they look for; with noise around and in it, when asked.
fn tree_for(patch: &PatchFile<'_>, dice: &mut Dice, noise: bool) -> MemoryTree {
    let mut tree = MemoryTree::new();
    for file in patch.files() {
        let Ok(target) = file.target(1) else { continue };
        let mut text = Vec::new();
        for hunk in &file.hunks {
            if noise {
                (0..dice.roll(4)).for_each(|_| text.extend_from_slice(b"something between\n"));
            }
            for line in hunk.lines.iter().filter(|line| line.kind != LineKind::Added) {
                if !noise || dice.roll(30) > 0 {
                    text.extend_from_slice(line.content(file.strip_cr));
                    text.push(b'\n');
                }
            }
        }
        if file.creates() && dice.roll(2) == 0 {
            continue;
        }
        let mode = if noise { [REGULAR, REGULAR, EXECUTABLE, SYMLINK][dice.roll(4) as usize] } else { REGULAR };
        put(&mut tree, target.path(), &text, mode);
    }
    tree
}

fn after(tree: &MemoryTree, outcome: &Outcome) -> MemoryTree {
    let mut tree = tree.clone();
    tree.update(outcome.changes.clone());
    tree
}

fn shown(tree: &MemoryTree) -> Vec<(String, u32, String)> {
    tree.iter().map(|(path, file)| (path.to_string(), file.mode, file.bytes.escape_ascii().to_string())).collect()
}

fn has_links(tree: &MemoryTree) -> bool {
    tree.iter().any(|(_, file)| file.is_link())
}

/// Parses what the program itself has made, which has to be possible.
fn made<'a>(what: &str, bytes: &'a [u8]) -> PatchFile<'a> {
    PatchFile::parse(bytes).unwrap_or_else(|error| panic!("what {what} makes is no patch: {error}\n{}", bytes.escape_ascii()))
}

/// Applies what the program itself has made; all of it has to fit, at its lines.
fn done(what: &str, tree: &MemoryTree, bytes: &[u8]) -> MemoryTree {
    let outcome = apply(tree, &made(what, bytes), &EXACT)
        .unwrap_or_else(|error| panic!("what {what} makes does not apply: {error}\n{}", bytes.escape_ascii()));
    assert!(outcome.accepted(), "what {what} makes is rejected\n{}\n{:?}", String::from_utf8_lossy(bytes), shown(tree));
    after(tree, &outcome)
}

/// The difference of two trees takes one to the other, and its reverse takes it back.
fn difference(before: &MemoryTree, now: &MemoryTree) {
    let Ok(diff) = diff_trees(before, now) else { return };
    if diff.is_empty() {
        return;
    }
    assert_eq!(shown(&done("diff_trees", before, &diff)), shown(now), "{}", String::from_utf8_lossy(&diff));
    if !has_links(before) && !has_links(now) {
        let back = reverse(&made("diff_trees", &diff)).expect("an own difference can be reversed");
        assert_eq!(shown(&done("reverse", now, &back)), shown(before), "{}", String::from_utf8_lossy(&diff));
    }
}

/// Both numbers of each hunk name the same place (else GNU patch, backwards, may find other lines that read the same), and the file
/// has the mode that the patch says, if it says both.
fn agrees(file: &FileDiff<'_>, tree: &MemoryTree) -> bool {
    let git = file.git.as_ref();
    let (old, new) = (git.and_then(|g| g.old_mode), git.and_then(|g| g.new_mode));
    let there = file.target(1).ok().and_then(|target| Some(tree.read(target.path()).ok()??.mode));
    if old.is_some() != new.is_some() || old.is_some_and(|old| there.is_some_and(|there| there != old)) {
        return false;
    }
    let before = |start: u64, count: u64| start as i128 - i128::from(count > 0);
    let mut growth = 0;
    file.hunks.iter().all(|hunk| {
        let agree = before(hunk.new_start, hunk.new_count) == before(hunk.old_start, hunk.old_count) + growth;
        growth += hunk.new_count as i128 - hunk.old_count as i128;
        agree
    })
}

fn check(parsed: &PatchFile<'_>, tree: &MemoryTree, options: &Options) {
    let Ok(outcome) = apply(tree, parsed, options) else { return };
    let _ = outcome.verdict();
    for path in outcome.changes.keys() {
        assert!(!path.starts_with('/') && !path.split('/').any(|part| part == ".."), "it leaves the tree: {path}");
    }
    let result = after(tree, &outcome);
    difference(tree, &result);
    let at_its_place = outcome.accepted() && outcome.max_offset() == 0 && outcome.max_fuzz() == 0;
    let clean = at_its_place && outcome.files.iter().all(|file| !file.already_applied);
    if clean && options.fuzz == 0 && !options.reverse {
        // Backwards, by a patch turned round and by `-R`, it is the same.
        if let (Ok(turned), [file]) = (reverse(parsed), parsed.files()) {
            let turned = made("reverse", &turned);
            let there = apply(&result, &turned, &EXACT);
            let minus_r = apply(&result, parsed, &Options { reverse: true, ..EXACT });
            if let (Ok(there), Ok(minus_r)) = (&there, &minus_r)
                && there.accepted()
                && minus_r.accepted()
            {
                assert_eq!(shown(&after(&result, there)), shown(&after(&result, minus_r)), "reverse and -R");
            }
            if let Ok(there) = &there
                && there.accepted()
                && there.max_offset() == 0
                && !file.creates()
                && !file.deletes()
                && agrees(file, tree)
            {
                assert_eq!(shown(&after(&result, there)), shown(tree), "there and back\n{turned:?}");
            }
        }
    }
    if !options.reverse
        && let Ok(Refreshed::Rewritten(new)) = refresh(tree, parsed, options)
    {
        let again = apply(tree, &made("refresh", &new), options).expect("a refreshed patch applies");
        let said = String::from_utf8_lossy(&new);
        assert!(again.accepted() && again.changes == outcome.changes, "refreshed, it does the same\n{said}");
        assert!(again.max_offset() == 0 && again.max_fuzz() == 0, "refreshed, it fits at its lines\n{said}");
    }
}

fuzz_target!(|data: &[u8]| {
    let split = data.windows(6).position(|window| window == b"\n%%%%\n");
    let (bytes, text) = split.map_or((data, None), |at| (&data[..=at], Some(&data[at + 6..])));
    mailbox::split(bytes).into_iter().for_each(|piece| drop(PatchFile::parse(piece)));
    let _ = (lint::upstream_status(bytes), recount(bytes), as_gnu_reads(bytes).is_ok());
    let Ok(parsed) = PatchFile::parse(bytes) else { return };
    assert!(parsed.to_bytes() == bytes, "parse, print");
    let _ = (parsed.headers(), parsed.message(), parsed.check(0), parsed.check(1), parsed.strip_level());
    let _ = lint::lint("0001-CVE-2024-1.patch", &parsed, &Default::default());
    if let Ok(turned) = reverse(&parsed) {
        made("reverse", &turned);
    }
    let seed = bytes.iter().fold(7u64, |hash, byte| hash.wrapping_mul(31).wrapping_add(u64::from(*byte)));
    let mut dice = Dice(seed);
    let trees = match text {
        Some(text) => {
            let mut tree = MemoryTree::new();
            for target in parsed.files().iter().filter_map(|file| file.target(1).ok()) {
                put(&mut tree, target.path(), text, REGULAR);
            }
            vec![tree]
        }
        None => vec![tree_for(&parsed, &mut dice, false), tree_for(&parsed, &mut dice, true)],
    };
    for tree in &trees {
        for options in [DEFAULT, EXACT, Options { reverse: true, ..EXACT }] {
            check(&parsed, tree, &options);
        }
    }
});
