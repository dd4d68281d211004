//! The patches of a derivation sorted out: nixpkgs' own, the files of the queue, and what else the overlays name.
//!
//! Must not apply anything.

use std::path::Path;

use crate::nix::Input;
use crate::queue::Error;
use crate::queue::series::{Entry, Series};

/// A patch of a derivation that is no file of the queue.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Listed<'a> {
    pub(crate) input: &'a Input,
    /// Whether an overlay names it, not nixpkgs.
    pub(crate) of_overlay: bool,
    /// How many patches of the queue stand before it.
    pub(crate) behind: usize,
}

/// Returns the patches that are no files of the queue, in their order. Without a queue all are nixpkgs' own.
pub(crate) fn arrange<'a>(
    patches: &'a [Input],
    queue: Option<&Series>,
    read: &dyn Fn(&Input) -> Result<Vec<u8>, Error>,
) -> Vec<Listed<'a>> {
    let entries = queue.map(|queue| queue.patches.as_slice()).unwrap_or_default();
    let mut which: Vec<Option<usize>> =
        patches.iter().map(|input| entries.iter().position(|entry| is_file(input, entry))).collect();
    // An overlay that is evaluated from a copy in the store (that of a flake) names the copies. The last with these bytes is the
    // queue's: nixpkgs' own stand before, and may hold the same.
    for (at, entry) in entries.iter().enumerate().rev() {
        if which.contains(&Some(at)) {
            continue;
        }
        let is_copy =
            |i: usize| which[i].is_none() && is_input(&patches[i]) && read(&patches[i]).is_ok_and(|b| b == entry.bytes);
        if let Some(i) = (0..patches.len()).rev().find(|i| is_copy(*i)) {
            which[i] = Some(at);
        }
    }
    let mut listed = Vec::new();
    let mut behind = 0;
    for (input, which) in patches.iter().zip(which) {
        match which {
            Some(at) => behind = behind.max(at + 1),
            None => listed.push(Listed { input, of_overlay: behind > 0, behind }),
        }
    }
    // What an overlay adds stands behind nixpkgs' own: as many of the last before the queue as are not accounted for.
    let others = queue.map_or(0, |queue| queue.others.len());
    let missing = others.saturating_sub(listed.iter().filter(|l| l.of_overlay).count());
    listed.iter_mut().rev().filter(|l| !l.of_overlay).take(missing).for_each(|l| l.of_overlay = true);
    listed
}

/// Says whether a patch of the derivation is this very file of the queue.
fn is_file(input: &Input, entry: &Entry) -> bool {
    let real = |path: &Path| path.canonicalize().ok();
    is_input(input) && real(Path::new(&input.path)).is_some_and(|path| real(&entry.path) == Some(path))
}

/// Of one that Nix still has to make nothing is known; it is none of the workspace's files.
fn is_input(input: &Input) -> bool {
    input.drv_path.is_none()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::overlay::AttrPath;

    #[test]
    fn each_patch_has_its_place() {
        let input = |path: &str, drv: bool| Input {
            path: path.into(),
            drv_path: drv.then(|| "/nix/store/x.drv".into()),
            name: path.rsplit('/').next().unwrap().into(),
        };
        let entry = |path: &str, text: &str| Entry { path: path.into(), bytes: text.into(), conditional: false };
        let series = |others: usize| Series {
            patches: vec![entry("q/0001-a.patch", "a"), entry("q/0002-b.patch", "b")],
            others: vec!["(fetchpatch { })".into(); others],
            ..Series::new(AttrPath::parse("a").unwrap(), "q".into())
        };
        let read = |input: &Input| {
            let text = if input.path.ends_with("copy") { "b" } else { &input.name[5..6] };
            Ok(text.as_bytes().to_vec())
        };
        let patches = [
            input("/nix/store/n-own.patch", false),
            input("/nix/store/n-first", true),
            input("/w/q/0001-a.patch", false),
            input("/nix/store/n-between", true),
            input("/nix/store/n-copy", false),
            input("/nix/store/n-last", true),
        ];
        let names = |others: usize| -> Vec<(String, bool, usize)> {
            let series = series(others);
            let listed = arrange(&patches, Some(&series), &read);
            listed.iter().map(|l| (l.input.name.clone(), l.of_overlay, l.behind)).collect()
        };
        let of = |name: &str, overlay, behind| (name.to_string(), overlay, behind);
        let expected =
            [of("n-own.patch", false, 0), of("n-first", true, 0), of("n-between", true, 1), of("n-last", true, 2)];
        assert_eq!(names(3), expected);
        // nixpkgs' own patch of the same bytes is nixpkgs' own.
        let twice =
            [input("/nix/store/n-copy", false), input("/w/q/0001-a.patch", false), input("/nix/store/o-copy", false)];
        let only: Vec<_> = arrange(&twice, Some(&series(0)), &read).into_iter().map(|l| &l.input.path).collect();
        assert_eq!(only, ["/nix/store/n-copy"]);
        assert!(!names(2)[1].1, "without a word of the overlay it is nixpkgs' own");
        assert!(arrange(&patches, None, &read).iter().all(|l| !l.of_overlay && l.behind == 0));
    }
}
