//! What the codes of the patch queue mean, for `--explain`.

use crate::base::diagnostic::Explanation;

/// The codes of the patch queue.
pub static EXPLANATIONS: &[Explanation] = &[
    Explanation {
        code: "OV1160",
        title: "a patch reaches none of the targets",
        text: "The workspace has the patch, and no derivation that the named targets need has it. The reason is told: nothing applies \
               the overlay, the package set has no such package, something that is applied later binds it anew, it is for another board \
               or another stage, or nothing that the targets need uses the package. `--strict` makes `impact` end with 1.",
    },
    Explanation {
        code: "OV1161",
        title: "a patch would have no effect",
        text: "The workspace was evaluated with the patch in the overlay, and no package set of it has the patch then. An overlay that \
               nothing applies is only taken when it is named with --overlay.",
    },
    Explanation {
        code: "OV1162",
        title: "a change was not evaluated before it was written",
        text: "Before anything is written the workspace is evaluated as it would be. Where it does not evaluate, or there is no nixpkgs, \
               that cannot be done, and the change rests on the text of the overlays alone.",
    },
    Explanation {
        code: "OV1163",
        title: "the change would do damage",
        text: "The workspace was evaluated as it would be, and something that evaluates today would not any more, or a set of packages \
               would lose names. Nothing was written.",
    },
    Explanation {
        code: "OV1136",
        title: "nixpkgs takes the patches twice",
        text: "The package hands its `patches` on to another derivation that adds them to its own, as bootstrap stages do. The second \
               time the patch does not apply.",
    },
    Explanation {
        code: "OV1040",
        title: "the package has no source",
        text: "It has neither `src` nor `srcs`, so no patch is ever applied to it. Wrappers are such packages.",
    },
    Explanation {
        code: "OV1041",
        title: "a source cannot be unpacked",
        text: "overlayctl unpacks tar archives (plain, or compressed by gzip, bzip2, xz, zstd or lzip), zip archives and \
               directories, and refuses archives whose paths lead out of them.",
    },
    Explanation {
        code: "OV1042",
        title: "a source is too large",
        text: "Sources are unpacked in memory. The limits keep a small archive that unpacks to something huge from taking all of it.",
    },
    Explanation {
        code: "OV1043",
        title: "the source directory is unknown",
        text: "As nixpkgs' unpackPhase: patches apply in `sourceRoot`, or else in the only directory that unpacking makes.",
    },
    Explanation {
        code: "OV1044",
        title: "a source is not there",
        text: "The source is a fixed-output derivation that is not in the store and could not be fetched. `nix-store --add-fixed` \
               puts a file that you have into the store.",
    },
    Explanation {
        code: "OV1045",
        title: "the package has no patch queue",
        text: "Neither an overlay of the workspace names a patch of it, nor is there a folder with patches for it.",
    },
    Explanation {
        code: "OV1046",
        title: "a patch does not apply",
        text: "Applied in order after nixpkgs' own patches, as `patch` does it. `overlayctl check` shows where; `overlayctl rebase` \
               brings a queue to another source by a three-way merge.",
    },
    Explanation {
        code: "OV1047",
        title: "the package is being edited already",
        text: "There is a worktree for it. `overlayctl finish ATTR` takes its commits into the queue, `overlayctl finish ATTR --abort` \
               throws them away.",
    },
    Explanation {
        code: "OV1164",
        title: "the strip level of the package was not asked",
        text: "nixpkgs' patchPhase gives `patchFlags` to `patch`, `-p1` where there are none, and patches are stored so that they apply \
               with that level. Nix was not asked for it here (--offline, no nixpkgs, or the package does not evaluate), so -p1 is taken. \
               A package with another level would not take the patch: `overlayctl check` asks Nix and says so.",
    },
    Explanation {
        code: "OV1165",
        title: "the names of a patch were brought to another level",
        text: "The build applies patches with the level in the package's `patchFlags`, so the patch is stored with names for that one; \
               hunks and text are as they came. The level that a patch is for is the one given with -p or in a quilt series; else the one at \
               which the source has its files, where the source is there already; else the one that `git apply` takes.",
    },
    Explanation {
        code: "OV1048",
        title: "the package is not being edited",
        text: "`overlayctl edit ATTR` makes a git worktree with one commit for each patch.",
    },
    Explanation {
        code: "OV1049",
        title: "changes that are not committed",
        text: "Only commits become patches. Commit the changes with git, or put them away with `git stash`.",
    },
    Explanation {
        code: "OV1050",
        title: "the commits are no line of patches",
        text: "A queue is a line: the commits have to follow the base one by one, without merges. `git rebase` makes a line of them.",
    },
    Explanation {
        code: "OV1051",
        title: "the overlay cannot follow the queue",
        text: "The list of patches in the overlay is written in a way in which elements cannot be moved with certainty: it is \
               computed, split over several lists, or in several overlays. Nothing was changed.",
    },
    Explanation {
        code: "OV1052",
        title: "it cannot be imported",
        text: "`import` takes patch files, a directory of them, a mailbox, a quilt series (a directory with `series`), or commits: \
               REPO..RANGE.",
    },
    Explanation {
        code: "OV1053",
        title: "the queue has no such patch",
        text: "A patch is named by its number, its file name or its path; `overlayctl list ATTR` shows them.",
    },
    Explanation {
        code: "OV1054",
        title: "no rebase is under way, or one is",
        text: "A rebase that met a conflict waits in .overlayctl/rebase: --continue after resolving, --skip to drop the patch, \
               --abort to leave everything as it was.",
    },
    Explanation {
        code: "OV1055",
        title: "the queue changed in the meantime",
        text: "A patch file is not what it was when `edit` or `rebase` began, so writing the queue would lose that change. Put the \
               file back, or end the session with --abort and begin again.",
    },
    Explanation {
        code: "OV1056",
        title: "there is no history to look through",
        text: "`rebase --time-machine` looks through the commits between two revisions of nixpkgs, so it needs one git repository that \
               has both. `--to` takes a clone (its HEAD counts), DIR@REV for another revision of it, or a revision of the repository \
               that the old nixpkgs is in. The old one is the workspace's, or --from; a flake.lock, npins or niv say its revision.",
    },
    Explanation {
        code: "OV1057",
        title: "a commit cannot become a patch",
        text: "nixpkgs applies patches with GNU patch, which takes text only: a binary file that a commit adds or changes cannot be in \
               one. Commit it apart, take that commit out again, and copy the file in `postPatch` of the override.",
    },
    Explanation {
        code: "OV1060",
        title: "the build changes the source before its patches",
        text: "The package has `prePatch`, `postUnpack`, an `unpackPhase` or a `patchPhase` of its own. They run shell commands, which \
               overlayctl does not do on its own: what it says is about the source as unpacked. `overlayctl build` has the last word.",
    },
    Explanation {
        code: "OV1061",
        title: "a patch that Nix fetches could not be had",
        text: "The overlay names a patch that is no file of the queue: Nix fetches or makes it. It is applied in its place like the \
               others, but this one could not be got, so what was said is about the source without it.",
    },
    Explanation {
        code: "OV1062",
        title: "an entry of the source was left out",
        text: "Links that lead out of the source, and devices, cannot be held; no patch can change them.",
    },
    Explanation {
        code: "OV1064",
        title: "the overlays do not evaluate here",
        text: "Sources are asked for with the overlays of the workspace, since these may have a source of their own. Where the \
               package does not evaluate with them (most often on another nixpkgs), it is looked at as nixpkgs has it.",
    },
    Explanation {
        code: "OV1065",
        title: "the build changes the source after its patches",
        text: "nixpkgs' patchPhase runs `prePatch`, applies the patches, then runs `postPatch` (substitutions, most often of paths). A patch \
               has to fit the files as they are before postPatch, so that is what `edit` shows. `overlayctl build --edited ATTR` runs \
               postPatch on top of them, as any build does.",
    },
    Explanation {
        code: "OV1066",
        title: "a patch of a series was turned round",
        text: "quilt applies it with -R. The build has no such thing, so the queue has the patch that does the same: its sides are \
               exchanged, its text is kept, which may still say the opposite.",
    },
    Explanation {
        code: "OV1063",
        title: "a patch of a series changes nothing",
        text: "The file has no diff: it is empty, or only text is left of it. It was not taken into the queue.",
    },
];
