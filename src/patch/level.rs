//! Brings a patch from one `-p` level to another. Only the name lines of headers change.
//!
//! Must not change hunks or text.

use super::error::Error;
use super::names::{FileName, in_quotes, quoted};
use super::patch_file::{FileDiff, PatchFile};
use super::strip::BASE_NAME;

/// Returns the patch, whose names have `from` components before the path, with names that have `to`: `a/` and `b/` so many times. The
/// bytes stay where both are the same.
///
/// # Errors
/// [`Error::CannotRelevel`] for names that cannot be told apart or that the level cannot reach; the errors of [`PatchFile::check`].
pub fn to_level(patch: &PatchFile<'_>, from: usize, to: usize) -> Result<Vec<u8>, Error> {
    patch.check(from)?;
    if from == to {
        return Ok(patch.to_bytes());
    }
    let mut out = patch.preamble().to_vec();
    for file in patch.files() {
        out.extend_from_slice(file.lead);
        header(file, from, to, &mut out)?;
        for hunk in &file.hunks {
            out.extend_from_slice(hunk.bytes);
        }
    }
    out.extend_from_slice(patch.trailing());
    Ok(out)
}

fn header(file: &FileDiff<'_>, from: usize, to: usize, out: &mut Vec<u8>) -> Result<(), Error> {
    let refuse = |reason| Error::CannotRelevel { to, reason, at: file.at.clone() };
    let target = file.target(from)?;
    if to == BASE_NAME && target.path().contains('/') {
        return Err(refuse("without -p the build finds files at the top of the source only"));
    }
    let prefixed = |path: &str, side: &str, to: usize| {
        let path = path.trim_start_matches("./");
        if to == BASE_NAME { path.to_string() } else { side.repeat(to) + path }
    };
    // A name that is too short is the other one's.
    let side = |name: Option<&FileName>, prefix: &str| -> Result<String, Error> {
        let path = match name.map(|name| name.stripped(from)) {
            Some(Err(Error::StripTooDeep { .. })) => Some(target.path().to_string()),
            Some(path) => path?,
            None => None,
        };
        Ok(path.map_or("/dev/null".to_string(), |path| prefixed(&path, prefix, to)))
    };
    let (old, new) = file.names();
    for line in file.header.split_inclusive(|b| *b == b'\n') {
        let text = line.strip_suffix(b"\n").unwrap_or(line);
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        let eol = &line[text.len()..];
        let mut write = |start: &str, name: &str, tail: &[u8]| {
            out.extend_from_slice(start.as_bytes());
            // A name ends at a blank where no tab or quote says otherwise.
            let bare = name.contains(' ') && tail.is_empty();
            out.extend_from_slice(if bare { in_quotes(name) } else { quoted(name) }.as_bytes());
            out.extend_from_slice(tail);
            out.extend_from_slice(eol);
        };
        // The timestamp, or the tab behind a name with blanks.
        let tail = |rest: &'static str| -> Vec<u8> {
            let body = &text[rest.len()..];
            body.iter().position(|b| *b == b'\t').map_or_else(Vec::new, |tab| body[tab..].to_vec())
        };
        if text.starts_with(b"--- ") && file.old.is_some() {
            write("--- ", &side(old, "a/")?, &tail("--- "));
        } else if text.starts_with(b"+++ ") && file.new.is_some() {
            write("+++ ", &side(new, "b/")?, &tail("+++ "));
        } else if text.starts_with(b"diff --git ") {
            let names = file.git.as_ref().and_then(|git| Some((git.old.as_ref()?, git.new.as_ref()?)));
            let Some((old, new)) = names else {
                return Err(refuse("the names of its `diff --git` line cannot be told apart"));
            };
            let (old, new) = (side(Some(old), "a/")?, side(Some(new), "b/")?);
            // GNU patch reads these names where there are no others, and then needs quotes around blanks; git tells the names apart up
            // to one component before the path.
            let quotes = file.old.is_none() && file.new.is_none() || to > 1;
            let name = |name: &str| if quotes && name.contains(' ') { in_quotes(name) } else { quoted(name) };
            out.extend_from_slice(format!("diff --git {} {}", name(&old), name(&new)).as_bytes());
            out.extend_from_slice(eol);
        } else if file.old.is_none() && file.new.is_none() && file.git.is_none() && text.starts_with(b"Index:") {
            write("Index: ", &side(old, "a/")?, b"");
        } else {
            // These names have one component less before them.
            let extended = ["rename from ", "rename to ", "copy from ", "copy to "];
            match extended.iter().find(|e| text.starts_with(e.as_bytes())) {
                Some(start) if from > 1 || to > 1 => {
                    let name = FileName::from_extended(&text[start.len()..], file.at.clone())?;
                    let path = name.stripped(from.saturating_sub(1))?;
                    let path = path.ok_or_else(|| refuse("it renames /dev/null"))?;
                    let prefix = if start.ends_with("from ") { "a/" } else { "b/" };
                    out.extend_from_slice(start.as_bytes());
                    out.extend_from_slice(quoted(&prefixed(&path, prefix, to.saturating_sub(1))).as_bytes());
                    out.extend_from_slice(eol);
                }
                _ => out.extend_from_slice(line),
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::{MemoryTree, Options, apply, diff_trees};
    use super::*;
    use proptest::prelude::*;

    fn run(text: &str, from: usize, to: usize) -> Result<String, Error> {
        let out = to_level(&PatchFile::parse(text.as_bytes()).unwrap(), from, to)?;
        Ok(String::from_utf8(out).unwrap())
    }

    #[test]
    fn names_get_the_components_of_the_level() {
        let hunk = "@@ -1 +1 @@\n-a\n+b\n";
        let p1 = format!("text\n--- a/f.c\t2024-01-01 00:00:00 +0000\n+++ b/f.c\n{hunk}-- \n2.1\n");
        assert_eq!(run(&p1, 1, 1).unwrap(), p1);
        let p0 = format!("text\n--- f.c\t2024-01-01 00:00:00 +0000\n+++ f.c\n{hunk}-- \n2.1\n");
        assert_eq!(run(&p0, 0, 1).unwrap(), p1);
        assert_eq!(run(&p1, 1, 0).unwrap(), p0);
        let p2 = format!("text\n--- x/a/f.c\t2024-01-01 00:00:00 +0000\n+++ x/b/f.c\n{hunk}-- \n2.1\n");
        assert_eq!(run(&p2, 2, 1).unwrap(), p1);
        assert_eq!(run(&p1, 1, 2).unwrap(), p2.replace("x/a/", "a/a/").replace("x/b/", "b/b/"));
        assert_eq!(run(&p1, 1, BASE_NAME).unwrap(), p0);
        assert!(matches!(run(&p2, 1, BASE_NAME), Err(Error::CannotRelevel { .. })));
        assert!(matches!(run(&p2, 9, 1), Err(Error::StripTooDeep { .. })));
        let orig = format!("--- src/f.c.orig\n+++ src/f.c\n{hunk}");
        assert_eq!(run(&orig, 0, 1).unwrap(), format!("--- a/src/f.c.orig\n+++ b/src/f.c\n{hunk}"));
        let dot = format!("--- ./f.c\n+++ ./f.c\n{hunk}");
        assert_eq!(run(&dot, 0, 1).unwrap(), format!("--- a/f.c\n+++ b/f.c\n{hunk}"));
        let short = format!("--- f.c.orig\n+++ x/f.c\n{hunk}");
        assert_eq!(run(&short, 1, 0).unwrap(), format!("--- f.c\n+++ f.c\n{hunk}"));
        let blank = format!("--- \"f g.c\"\n+++ \"f g.c\"\n{hunk}");
        assert_eq!(run(&blank, 0, 1).unwrap(), format!("--- \"a/f g.c\"\n+++ \"b/f g.c\"\n{hunk}"));
        let index = format!("Index: x/f.c\n=====\n{hunk}");
        assert_eq!(run(&index, 1, 0).unwrap(), format!("Index: f.c\n=====\n{hunk}"));
    }

    #[test]
    fn git_headers_follow() {
        let p0 = "diff --git old/f.c new/f.c\nsimilarity index 90%\nrename from old/f.c\nrename to new/f.c\n--- old/f.c\n+++ new/f.c\n@@ -1 +1 @@\n-a\n+b\n";
        let p1 = "diff --git a/old/f.c b/new/f.c\nsimilarity index 90%\nrename from old/f.c\nrename to new/f.c\n--- a/old/f.c\n+++ b/new/f.c\n@@ -1 +1 @@\n-a\n+b\n";
        assert_eq!(run(p0, 0, 1).unwrap(), p1);
        assert_eq!(run(p1, 1, 0).unwrap(), p0);
        let p2 = p1
            .replace("a/old", "a/a/old")
            .replace("b/new", "b/b/new")
            .replace("from old", "from a/old")
            .replace("to new", "to b/new");
        assert_eq!(run(p1, 1, 2).unwrap(), p2);
        assert_eq!(run(&p2, 2, 0).unwrap(), p0);
    }

    proptest! {
        /// At whatever level the patch of two trees is written, it turns the one into the other, and back at `-p1` it is the same bytes.
        #[test]
        fn the_files_stay_the_same(
            files in prop::collection::btree_map(prop::sample::select(vec!["f", "d/g", "d/h i", "e/ä"]), (0..3u8, 0..3u8), 1..4),
            level in 0..5usize,
        ) {
            let tree = |new: bool| {
                let mut tree = MemoryTree::new();
                for (path, (before, after)) in &files {
                    let text = ["", "1\n2\n", "1\n3\n"][usize::from(if new { *after } else { *before })];
                    // Of an empty one nothing is there.
                    if !text.is_empty() {
                        tree.insert(*path, text, super::super::REGULAR);
                    }
                }
                tree
            };
            let (before, after) = (tree(false), tree(true));
            let p1 = diff_trees(&before, &after).unwrap();
            if p1.is_empty() { return Ok(()); }
            let bytes = to_level(&PatchFile::parse(&p1).unwrap(), 1, level).unwrap();
            let patch = PatchFile::parse(&bytes).unwrap();
            let outcome = apply(&before, &patch, &Options { strip: level, ..Options::default() }).unwrap();
            prop_assert!(outcome.accepted());
            let mut tree = before.clone();
            tree.update(outcome.changes);
            prop_assert_eq!(tree, after);
            prop_assert_eq!(to_level(&patch, level, 1).unwrap(), p1);
        }
    }
}
