//! The help texts of the codes of this room, which `overlayctl --explain CODE` prints.

use crate::base::diagnostic::Explanation;

/// The codes of this room, those of the patch queue apart.
pub static EXPLANATIONS: &[Explanation] = &[
    Explanation {
        code: "OV1001",
        title: "something stands where a new file would go",
        text: "overlayctl never overwrites what it did not write. Choose another directory, or move the old one away.",
    },
    Explanation {
        code: "OV1002",
        title: "the arguments do not fit together",
        text: "The message says which; `overlayctl COMMAND --help` has examples.",
    },
    Explanation {
        code: "OV1003",
        title: "a target does not evaluate",
        text: "Nix could not evaluate the target with the overlays. Its message is shown shortened, whole with --verbose.",
    },
    Explanation {
        code: "OV1004",
        title: "there is no target",
        text: "Name what you ship: `--target pkgsCross.aarch64-multiplatform-musl.ripgrep`, a board of overlayctl.toml with --board, or `targets` there.",
    },
    Explanation {
        code: "OV1005",
        title: "an overlay names a patch that is not there",
        text: "The overlay would not evaluate. Put the file back, or take the patch out of the overlay.",
    },
    Explanation {
        code: "OV1006",
        title: "Nix was not asked about the package",
        text: "There is no Nix or no nixpkgs at hand, or it does not evaluate. The overlay can be edited all the same, but whether the \
               attribute exists and is the one that counts was not checked.",
    },
    Explanation {
        code: "OV1007",
        title: "a target evaluates only with the overlays",
        text: "Without the overlays the target does not exist or fails, so there is nothing to compare with: all that only it needs counts as new.",
    },
    Explanation {
        code: "OV1008",
        title: "no overlay found",
        text: "overlayctl looks at `overlays` in overlayctl.toml, else at overlays/*.nix, overlay.nix, overlays.nix, default.nix and flake.nix.",
    },
    Explanation {
        code: "OV1009",
        title: "several overlays could be meant",
        text: "Where one of them binds the package already, that one is taken. Otherwise say which: --overlay PATH:LINE names the function \
               whose first argument stands on that line.",
    },
    Explanation {
        code: "OV1010",
        title: "the package has no such patch",
        text: "`unpatch` takes a patch by its file name, its number or its path, and without one every patch of the package's queue.",
    },
    Explanation {
        code: "OV1011",
        title: "nixpkgs has no such attribute",
        text: "An overlay that binds a name nobody uses changes nothing, and Nix says nothing about it. So the name is looked up first.",
    },
    Explanation {
        code: "OV1012",
        title: "the package has no source of its own",
        text: "Wrappers (binutils, clang, many -wrapped programs) have neither `src` nor `srcs`; `patches` there is ignored. The unwrapped \
               package is meant.",
    },
    Explanation {
        code: "OV1013",
        title: "the patch has CR LF line ends",
        text: "The header lines end with CR LF, so a mailer or editor converted the whole file. GNU patch strips them, with the effect \
               that the patch does not fit a source that has them.",
    },
    Explanation {
        code: "OV1014",
        title: "a program could not be run",
        text: "The program is missing or the system refused to start it; the message says which. Its name is looked up in PATH.",
    },
    Explanation {
        code: "OV1020",
        title: "the overlay patches another C library than the one in use",
        text: "A cross toolchain's C library is not always the attribute with its name: `glibc` patched for a cross build rebuilds \
               the build tools, and the programs get `glibcCross`. TARGET.stdenv.cc.libc says which it is; patch that attribute.",
    },
    Explanation {
        code: "OV1021",
        title: "the overlay patches an attribute that nixpkgs does not have",
        text: "An overlay may bind any name, so a typo is silently a new attribute that nothing uses. Without the overlay the \
               name does not exist.",
    },
    Explanation {
        code: "OV1022",
        title: "the overlay does not reach the cross package set",
        text: "The native package has the patch, the one for the board has not. pkgsCross is a package set of its own: it gets the \
               overlays that nixpkgs is imported with, not what is added to a finished set (`pkgs.extend`, `pkgs // { ... }`), and a \
               condition on the platform may be the wrong way round.",
    },
    Explanation {
        code: "OV1023",
        title: "the overlay is not wired in",
        text: "The file names the patch, but it is not among the overlays that are applied: not in `overlays` of overlayctl.toml, \
               and no overlay that is applied imports it.",
    },
    Explanation {
        code: "OV1024",
        title: "a patch is applied twice",
        text: "The derivation has the same patch more than once: the overlay is listed twice, or listed and composed into another, \
               or nixpkgs has the patch by now. The build will fail, or ask whether to reverse it.",
    },
    Explanation {
        code: "OV1025",
        title: "no target depends on the patched package",
        text: "The patch changes nothing that is shipped. Perhaps the target uses another version (`openssl_1_1` instead of \
               `openssl`), or a copy of its own.",
    },
    Explanation {
        code: "OV1026",
        title: "the program is linked with another copy of the library",
        text: "Everything was rebuilt, and the program still holds code without the patch. Rust's own builds for musl targets carry \
               a musl and link it whatever the toolchain has (`-Clink-self-contained=no` turns that off); other languages bundle \
               libraries too.",
    },
    Explanation {
        code: "OV1027",
        title: "an unpatched copy of the package is used beside the patched one",
        text: "The same source is built a second time without the patch: an alias (`python37` beside `python3`), a private copy, a \
               bootstrap stage. The chain says who needs it.",
    },
    Explanation {
        code: "OV1028",
        title: "the overlay is applied and the package does not have the patch",
        text: "A condition around it is false for this platform, or a later overlay sets `patches` anew.",
    },
    Explanation {
        code: "OV1029",
        title: "the build did not apply the patch",
        text: "The derivation names the patch and the log has no `applying patch` line for it: the package replaces or skips \
               patchPhase, or is a wrapper without source.",
    },
    Explanation {
        code: "OV1030",
        title: "something refers to the unpatched package",
        text: "The unpatched build of the package is still needed, to run the target or to build it. The chain leads from it to the \
               target; the first link is the one to look at.",
    },
    Explanation {
        code: "OV1031",
        title: "a program is not what the board needs",
        text: "Wrong machine, byte order or float ABI; a library, loader or interpreter of a script that is not in the closure; a file \
               that is empty, cut off or not executable; a dynamic program where a static one was asked for; or a program of the \
               build machine among what the target needs to run.",
    },
    Explanation {
        code: "OV1032",
        title: "the patch does not fit the source",
        text: "It applies with fuzz only, or not at all: its context is not that of this version. Refresh it, and look at the result.",
    },
    Explanation {
        code: "OV1033",
        title: "the program does not print what was expected",
        text: "`verify --run ARGS` ran the program, and it did not end with status 0 (or that of --exit), was ended by a signal, or \
               did not print the TEXT of --expect.",
    },
    Explanation {
        code: "OV1067",
        title: "the patch changes nothing that is installed",
        text: "`verify` compared the package with itself without the patch, file by file, and nothing differs: the file that it changes \
               is not compiled or installed for this platform, a later phase puts the old one back, or the source has the change \
               already. Nothing that runs can have it. Look at what the patch touches, and patch what is built.",
    },
    Explanation {
        code: "OV1034",
        title: "the target is not built",
        text: "`overlayctl build TARGET` builds it; then it can be run.",
    },
    Explanation {
        code: "OV1035",
        title: "the target has no program of that name, or several",
        text: "`run` takes meta.mainProgram, the program called like the package, or the only one. --program NAME says which.",
    },
    Explanation {
        code: "OV1036",
        title: "nothing here runs programs of that platform",
        text: "Programs of another Linux machine run through qemu's user mode (Debian: qemu-user). What has no operating system below \
               it runs on the device only.",
    },
    Explanation {
        code: "OV1037",
        title: "the file is no ELF file",
        text: "`ldd` reads programs and libraries in the ELF format. A script has no libraries; its first line names what runs it.",
    },
    Explanation {
        code: "OV1039",
        title: "there is nothing to verify",
        text: "No overlay of the workspace patches anything, so nothing can be proven. `overlayctl list` shows what is patched.",
    },
    Explanation {
        code: "OV1080",
        title: "a target is left out of a prediction",
        text: "It does not evaluate even without the overlays, so there is no graph to predict from. The other targets are predicted.",
    },
    Explanation {
        code: "OV1082",
        title: "something is built during evaluation",
        text: "The expression imports the result of a derivation (import-from-derivation), so Nix has to build that before it can say \
               what the target is. It is found by evaluating without permission first. --no-import-from-derivation refuses it.",
    },
    Explanation {
        code: "OV1083",
        title: "nix-eval-jobs failed",
        text: "impact --all lets nix-eval-jobs evaluate where it is installed. It ended with an error or with an answer that cannot be \
               read, so everything was asked of Nix itself: the answer is whole, it only took longer. Is it made for the Nix on PATH?",
    },
    Explanation {
        code: "OV1081",
        title: "everything is evaluated again",
        text: "With a kept graph of the unpatched set only the attributes that a change can reach are evaluated again, and a sample \
               of the others. Where the overlays bind something of which that cannot be told (a scope, a function, a new \
               name that others use), or the sample shows a change, all are.",
    },
    Explanation {
        code: "OV1120",
        title: "the package is bound again later",
        text: "Overlays are applied in order, and a later one that binds the same key without building on what is there \
               (`prev.NAME`) replaces it, patches and all.",
    },
    Explanation {
        code: "OV1121",
        title: "the package is named in a copy of the package set",
        text: "pkgsCross.NAME, pkgsStatic, buildPackages and the like are the package set once more, with the same overlays. A key \
               `pkgsCross` in an overlay would not reach into them. Patch the package by its plain name.",
    },
    Explanation {
        code: "OV1122",
        title: "the patch goes to the attribute that the name stands for",
        text: "nixpkgs defines one as the other (python3 as python37). An override of the alias would leave the other name, and \
               what uses it, as it was; an override of the owner reaches both. Which one that is was tried in the nixpkgs in use.",
    },
    Explanation {
        code: "OV1123",
        title: "another attribute is the same package and does not get the patch",
        text: "Both come from one definition, and neither is defined through the other, so an overlay has to bind each. Where it \
               can, the patch is written for both; here that would have reached one of them twice or not at all.",
    },
    Explanation {
        code: "OV1124",
        title: "the targets are linked with another C library",
        text: "The C library of a cross toolchain is not always the attribute with its name: glibcCross, muslCross. \
               TARGET.stdenv.cc.libc was compared with the attributes of the target's package set.",
    },
    Explanation {
        code: "OV1125",
        title: "the hash of vendored dependencies changes",
        text: "The patch touches a lock file. The dependencies are fetched by a derivation with a fixed hash (cargoHash, \
               vendorHash, npmDepsHash), made from the unpatched lock file, or the build compares the two and stops.",
    },
    Explanation {
        code: "OV1126",
        title: "autoreconf is needed",
        text: "`configure` and `Makefile.in` in a release are made from configure.ac and Makefile.am. A patch of the latter takes \
               effect only when they are made anew, which autoreconfHook does.",
    },
    Explanation {
        code: "OV1127",
        title: "the fetcher is built with the package itself",
        text: "fetchpatch needs curl, patchutils and what they are built with. A patch for one of these that fetchpatch were to \
               fetch would need itself, so the patch is kept as a file.",
    },
    Explanation {
        code: "OV1128",
        title: "the patch is kept as a file instead of being fetched",
        text: "fetchpatch needs the hash of the patch in the form that it brings it to, which only Nix can tell by fetching. Where \
               that is not possible, or the address is of this machine, the file goes into the queue: that always works.",
    },
    Explanation {
        code: "OV1129",
        title: "nothing is cross compiled",
        text: "`--scope host` guards the override with `hostPlatform != buildPlatform`. Every target of the workspace is native, \
               so it would never hold, without a word from Nix.",
    },
    Explanation {
        code: "OV1130",
        title: "an address could not be fetched",
        text: "Nix's own fetcher was asked (`builtins.fetchurl`); its message is shown.",
    },
    Explanation {
        code: "OV1131",
        title: "only this attribute of the set gets the patch",
        text: "The set is a plain one: `SET // { NAME = ...; }` replaces the attribute for those who look it up, but the other \
               packages of the set were given the unpatched one.",
    },
    Explanation {
        code: "OV1138",
        title: "nixpkgs took the name away",
        text: "The attribute is still there, but its value is a message: the package was renamed, moved to another set or removed. An \
               override of it could never evaluate. What nixpkgs says is shown, and the name in it that exists.",
    },
    Explanation {
        code: "OV1137",
        title: "the patch reaches every Python",
        text: "nixpkgs makes the packages of every interpreter from pythonPackagesExtensions, and that is the one place where an override \
               reaches the packages that use the patched one, and withPackages. So python312Packages.x, python313Packages.x and the \
               others get the patch together; `unpatch` and `list` take any of these names.",
    },
    Explanation {
        code: "OV1139",
        title: "the package was asked for on another platform",
        text: "Its `meta.platforms` leave out the platform that builds. What is known of it was asked in the package set of a board's \
               platform, or of the first one in pkgsCross that it is for.",
    },
    Explanation {
        code: "OV1150",
        title: "a log or a duration could not be kept",
        text: "What was built is in Nix's store all the same, and so is its log (`nix-store --read-log DRV`). Only the copy below \
               .overlayctl/logs, or the time for the next estimate, is missing.",
    },
    Explanation {
        code: "OV1133",
        title: "a patch that is fetched stays",
        text: "`unpatch PACKAGE` takes off the patches of the package's queue. One that is fetched may have been there before, so it \
               stays unless it is named, by its address or the last part of it; or unless it is all that there is.",
    },
    Explanation {
        code: "OV1134",
        title: "what the scopes cost is not known",
        text: "With `--scope` the cost of the patch is told for every stage and for the target stage only, before it is written. That \
               takes targets (`targets` or boards with `packages` in overlayctl.toml) that evaluate. The patch is written all the same.",
    },
    Explanation {
        code: "OV1135",
        title: "a NixOS configuration can patch its kernel itself",
        text: "`boot.kernelPatches` of a NixOS module patches the kernel that `boot.kernelPackages` chooses, with the configuration it \
               has, and nothing else that uses the package. The overlay does it too, for every kernel of that name. One of both is \
               enough: a patch that is in both does not apply twice.",
    },
    Explanation {
        code: "OV1132",
        title: "the package does not evaluate in the nixpkgs in use",
        text: "Without the overlay it fails already, so whether it has a source, and which way leads into its set, could not be found \
               out. Perhaps another nixpkgs is meant (--nixpkgs PATH).",
    },
    Explanation {
        code: "OV1151",
        title: "no machine could build what is left",
        text: "None of the remote builders answered or has the system and the features that are needed, and nothing may be built here \
               (--max-jobs 0, or another system). What Nix said of each machine is shown. What was finished before stays.",
    },
];
