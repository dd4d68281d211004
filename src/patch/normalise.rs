//! Brings a patch to `-p1`, the level at which nixpkgs applies patches. Only the name lines of headers change.
//!
//! Must not change hunks or text.

use super::error::Error;
use super::names::{FileName, in_quotes, quoted};
use super::patch_file::{FileDiff, PatchFile};

/// Returns the patch with names such that `-p1` finds the files, and the input's bytes where it is so already: read as
/// [`PatchFile::strip_level`] says.
///
/// # Errors
/// As [`normalise_from`].
pub fn normalise(patch: &PatchFile<'_>) -> Result<Vec<u8>, Error> {
    normalise_from(patch, patch.strip_level())
}

/// Returns the patch, whose names have `level` components too many, with names for `-p1`.
///
/// # Errors
/// [`Error::CannotNormalise`] for a file that only an `Index:` line names; the errors of [`PatchFile::check`].
pub fn normalise_from(patch: &PatchFile<'_>, level: usize) -> Result<Vec<u8>, Error> {
    patch.check(level)?;
    if level == 1 {
        return Ok(patch.to_bytes());
    }
    let mut out = patch.preamble().to_vec();
    for file in patch.files() {
        out.extend_from_slice(file.lead);
        header(file, level, &mut out)?;
        for hunk in &file.hunks {
            out.extend_from_slice(hunk.bytes);
        }
    }
    out.extend_from_slice(patch.trailing());
    Ok(out)
}

fn header(file: &FileDiff<'_>, level: usize, out: &mut Vec<u8>) -> Result<(), Error> {
    let refuse = |reason| Error::CannotNormalise { reason, at: file.at.clone() };
    if file.old.is_none() && file.new.is_none() && file.git.is_none() {
        return Err(refuse("only an `Index:` line names the file"));
    }
    let (old, new) = file.names();
    let side = |name: Option<&FileName>, prefix: &str| -> Result<Option<String>, Error> {
        Ok(name
            .map(|n| n.stripped(level))
            .transpose()?
            .map(|path| path.map_or("/dev/null".to_string(), |p| format!("{prefix}{p}"))))
    };
    let (old_new, new_new) = (side(old, "a/")?, side(new, "b/")?);
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
        if let (true, Some(name)) = (text.starts_with(b"--- "), &old_new) {
            write("--- ", name, &tail("--- "));
        } else if let (true, Some(name)) = (text.starts_with(b"+++ "), &new_new) {
            write("+++ ", name, &tail("+++ "));
        } else if text.starts_with(b"diff --git ") {
            let git = file.git.as_ref();
            let (Some(a), Some(b)) = (
                git.and_then(|g| side(g.old.as_ref(), "a/").transpose()),
                git.and_then(|g| side(g.new.as_ref(), "b/").transpose()),
            ) else {
                return Err(refuse("the names of its `diff --git` line cannot be told apart"));
            };
            write(&format!("diff --git {} ", quoted(&a?)), &b?, b"");
        } else {
            let extended = ["rename from ", "rename to ", "copy from ", "copy to "];
            let kept = level.saturating_sub(1);
            match extended.iter().find(|e| text.starts_with(e.as_bytes())) {
                Some(start) if kept > 0 => {
                    let name = FileName::from_extended(&text[start.len()..], file.at.clone())?;
                    let path = name.stripped(kept)?.ok_or_else(|| refuse("a rename of /dev/null"))?;
                    write(start, &path, b"");
                }
                _ => out.extend_from_slice(line),
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(text: &str, level: Option<usize>) -> Result<String, Error> {
        let patch = PatchFile::parse(text.as_bytes()).unwrap();
        let out = level.map_or_else(|| normalise(&patch), |l| normalise_from(&patch, l))?;
        Ok(String::from_utf8(out).unwrap())
    }

    #[test]
    fn p0_and_p2_become_p1_and_p1_stays() {
        let hunk = "@@ -1 +1 @@\n-a\n+b\n";
        let p1 = format!("text\n--- a/src/f.c\t2024-01-01 00:00:00 +0000\n+++ b/src/f.c\n{hunk}-- \n2.1\n");
        assert_eq!(run(&p1, None).unwrap(), p1);
        let p0 = format!("text\n--- f.c\t2024-01-01 00:00:00 +0000\n+++ f.c\n{hunk}-- \n2.1\n");
        assert_eq!(run(&p0, None).unwrap(), p1.replace("src/", ""));
        let p2 = format!("text\n--- x/a/src/f.c\t2024-01-01 00:00:00 +0000\n+++ x/b/src/f.c\n{hunk}-- \n2.1\n");
        assert_eq!(run(&p2, Some(2)).unwrap(), p1);
        assert!(matches!(run(&p2, Some(9)), Err(Error::StripTooDeep { .. })));
        let orig = format!("--- src/f.c.orig\n+++ src/f.c\n{hunk}");
        assert_eq!(run(&orig, Some(0)).unwrap(), format!("--- a/src/f.c.orig\n+++ b/src/f.c\n{hunk}"));
        let blank = format!("--- \"f g.c\"\n+++ \"f g.c\"\n{hunk}");
        assert_eq!(run(&blank, None).unwrap(), format!("--- \"a/f g.c\"\n+++ \"b/f g.c\"\n{hunk}"));
        let same = format!("--- src/f.c\n+++ src/f.c\n{hunk}");
        assert_eq!(run(&same, Some(0)).unwrap(), format!("--- a/src/f.c\n+++ b/src/f.c\n{hunk}"));
    }

    #[test]
    fn git_headers_follow() {
        let p0 = "diff --git old/f.c new/f.c\nsimilarity index 90%\nrename from old/f.c\nrename to new/f.c\n--- old/f.c\n+++ new/f.c\n@@ -1 +1 @@\n-a\n+b\n";
        assert_eq!(
            run(p0, Some(0)).unwrap(),
            "diff --git a/old/f.c b/new/f.c\nsimilarity index 90%\nrename from old/f.c\nrename to new/f.c\n--- a/old/f.c\n+++ b/new/f.c\n@@ -1 +1 @@\n-a\n+b\n"
        );
    }
}
