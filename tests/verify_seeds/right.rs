//! Builds that are as they should be: `verify` has to be green, by default and without a word of the user.

use super::{After, CODE, Edit, INSTALLED, SUM, Seed, UNCOMPILED, Wanted};

/// Patches that reach something, by what they change.
const CHANGES: &[(&str, &[Edit])] = &[
    ("text", CODE),
    ("code", SUM),
    ("macro", &[("foo.h", "FOO_SCALE 3", "FOO_SCALE 5")]),
    ("text-of-the-header", &[("foo.h", "a name of the header", "a PATCHED name of the header")]),
    ("comment-of-the-header", &[("foo.h", "the header of the library", "the header of the patched library")]),
    ("document", &[("README", "of the seeds", "of the seeds, patched")]),
    ("settings", &[("foo.conf", "level = 1", "level = 2")]),
    ("flags", &[("flags", "-DNONE", "-O1 -fno-inline")]),
    ("script", &[("foo.sh", "two of the script", "two of the PATCHED script")]),
    ("new-file", &[("extra.txt", "", "a file that was not there before\n")]),
];

pub(crate) fn seeds() -> Vec<Seed> {
    let green = |name: &str| Seed::new(format!("right-{name}"), Wanted::Green);
    let mut seeds = Vec::new();
    for (name, change) in CHANGES {
        seeds.push(green(&format!("static-{name}")).patch(change));
        seeds.push(green(&format!("dynamic-{name}")).patch(change).target("app"));
    }
    seeds.extend([
        green("the-library-itself").target("libfoo"),
        green("the-static-library-itself").patch(SUM).target("pkgsStatic.libfoo"),
        green("several-boards").target("app pkgsStatic.app libfoo"),
        green("a-script").of("script").patch(&[("foo.sh", "echo one", "echo PATCHED")]).target("script"),
        green("a-kernel").of("kernel").target("kernel"),
        green("several-patches").and_patch(&[("README", "A library", "A patched library")]).and_patch(SUM),
        green("several-patches-of-one-file").and_patch(SUM).target("app"),
        green("link-time-optimised-text").with("    FLAGS = \"-flto -ffat-lto-objects\";").edit(
            "packages.nix",
            "$CC -O2 app.c -o app -lfoo",
            "$CC -flto -O2 app.c -o app -lfoo",
        ),
        green("link-time-optimised-code").patch(SUM).with("    FLAGS = \"-flto -ffat-lto-objects\";").edit(
            "packages.nix",
            "$CC -O2 app.c -o app -lfoo",
            "$CC -flto -O2 app.c -o app -lfoo",
        ),
        green("sections-collected").patch(SUM).edit(
            "packages.nix",
            "-o app -lfoo",
            "-s -Wl,--gc-sections -o app -lfoo",
        ),
        green("a-quiet-loop-of-its-own").with("    patchPhase = \"for p in $patches; do patch -s -p1 < $p; done\";"),
        green("a-loop-that-says-so")
            .with("    patchPhase = \"for p in $patches; do echo applying patch $p; patch -p1 < $p; done\";"),
        green("changed-by-post-patch").with("    postPatch = \"sed -i s/says/tells/ foo.c\";"),
        green("changed-in-the-patched-line").with("    postPatch = \"sed -i s/PATCHED/SUBSTITUTED/ foo.c\";"),
        green("a-build-that-never-is-the-same").edit(
            "packages.nix",
            "cp foo.h $out/include;",
            "cp foo.h $out/include; date +%N > $out/share/stamp;",
        ),
        green("only-for-the-build")
            .patch(&[("tool.c", "FOO_NAME)", "\"a PATCHED name of the tool\")")])
            .target("generated"),
        green("a-program-of-many").patch(SUM).edit(
            "packages.nix",
            INSTALLED,
            "for i in $(seq 10 65); do cp app $out/bin/a$i; done; cp app $out/bin\"",
        ),
    ]);
    seeds.push(green("run").run(Some("version PATCHED"), 0));
    seeds.push(Seed { replay: true, ..green("replayed") });
    seeds.push(green("computed-from-the-queue").overlay(
        "final: prev: { libfoo = prev.libfoo.overrideAttrs (old: { patches = map (n: ../patches/libfoo + \"/${n}\") \
             (builtins.attrNames (builtins.readDir ../patches/libfoo)); }); }\n",
    ));
    // What is not known is said, and does not fail.
    seeds.push(Seed { after: After::LogLost, wanted: Wanted::Unknown, ..green("log-lost") });
    seeds.push(Seed { after: After::LogLost, wanted: Wanted::Unknown, ..green("log-lost-dynamic").target("app") });
    seeds.push(Seed {
        after: After::NotBuilt,
        wanted: Wanted::Unknown,
        ..green("not-built").patch(&[CODE, SUM].concat())
    });
    seeds.push(Seed { after: After::Stale, wanted: Wanted::Unknown, ..green("link-to-an-earlier-build") });
    seeds.push(Seed { wanted: Wanted::Red, cause: Some("no-effect"), ..green("but-idle").patch(UNCOMPILED) });
    seeds
}
