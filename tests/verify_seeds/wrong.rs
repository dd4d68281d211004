//! Builds with something wrong, by kind, and the cause that has to be named.

use super::{After, CHANGES, CODE, Edit, INSTALLED, LINK, LINKAGES, SUM, Seed, UNCOMPILED, Wanted, bundled};

pub(crate) fn seeds() -> Vec<Seed> {
    [not_applied(), idle(), copies(), programs(), overlays(), running()].concat()
}

/// The build leaves the patch out, or takes it back.
fn not_applied() -> Vec<Seed> {
    let lenient = "for p in $patches; do echo applying patch $p; patch -N -p1 < $p || true; done";
    let phases = [
        ("switched-off", "dontPatch = true;".to_string(), "not-applied"),
        ("replaced", "patchPhase = \"true\";".into(), "not-applied"),
        ("only-said", "patchPhase = \"for p in $patches; do echo applying patch $p; done\";".into(), "no-effect"),
        (
            "only-tried",
            "patchPhase = \"for p in $patches; do echo applying patch $p; patch --dry-run -p1 < $p; done\";".into(),
            "no-effect",
        ),
        ("phase-left-out", "phases = \"unpackPhase buildPhase installPhase\";".into(), "not-applied"),
        ("put-back-after", "postPatch = \"cp $src/foo.c foo.c\";".into(), "no-effect"),
        ("put-back-before-the-build", "preBuild = \"chmod u+w foo.c; cat $src/foo.c > foo.c\";".into(), "no-effect"),
        ("unpacked-again", "configurePhase = \"cd ..; rm -rf source; default_unpackPhase\";".into(), "no-effect"),
        ("of-a-copy", "prePatch = \"cp -r . ../copy; cd ../copy\"; postPatch = \"cd ../source\";".into(), "no-effect"),
        (
            "wrong-level",
            "patchPhase = \"for p in $patches; do echo applying patch $p; patch -p3 -f < $p || true; done\";".into(),
            "not-applied",
        ),
        ("taken-out-again", "postPatch = \"for p in $patches; do patch -R -p1 < $p; done\";".into(), "no-effect"),
        (
            "another-source",
            "preBuild = \"cp -r $src ../other; chmod -R u+w ../other; cd ../other\";".into(),
            "no-effect",
        ),
    ];
    let mut seeds = Vec::new();
    for (name, with, cause) in &phases {
        for ((linkage, target), (change, patch)) in LINKAGES.iter().zip(CHANGES) {
            let name = format!("not-applied-{name}-{linkage}-{change}");
            seeds.push(Seed::new(name, Wanted::Red).cause(cause).patch(patch).target(target).with(with));
        }
    }
    let with = format!("patchPhase = \"{lenient}\";");
    for (linkage, target) in LINKAGES {
        let seed =
            |name: &str| Seed::new(format!("not-applied-{name}-{linkage}"), Wanted::Red).target(target).with(&with);
        let other = "the library foo, version THREE of another release";
        seeds.push(seed("rejected").cause("not-applied").edit(
            "src/foo.c",
            "the library foo, version one of the seeds",
            other,
        ));
        let patched = "version PATCHED two of them";
        seeds.push(seed("in-already").cause("not-applied").edit("src/foo.c", "version one of the seeds", patched));
    }
    let two: &[Edit] = &[CODE[0], ("other.c", "sum * 31", "sum * 37")];
    for (linkage, target) in LINKAGES {
        let name = format!("not-applied-one-of-two-files-put-back-{linkage}");
        let seed = Seed::new(name, Wanted::Red).cause("not-applied").patch(two).target(target);
        seeds.push(seed.with("postPatch = \"cp $src/foo.c foo.c\";"));
    }
    let replay = Seed::new("not-applied-put-back-replayed", Wanted::Red).cause("not-applied");
    seeds.push(Seed { replay: true, ..replay.with("postPatch = \"cp $src/foo.c foo.c\";") });
    seeds
}

/// The patch is applied, and nothing is made of it.
fn idle() -> Vec<Seed> {
    let changes: [(&str, &[Edit]); 5] = [
        ("not-compiled", UNCOMPILED),
        ("not-installed", &[("HACKING", "How it is made", "How it is PATCHED")]),
        ("a-comment", &[("foo.c", "says hello", "says a patched hello")]),
        ("another-system", &[("foo.c", "return 1;", "return 2;")]),
        ("a-new-file", &[("notes.txt", "", "a file that nothing installs\n")]),
    ];
    let mut seeds = Vec::new();
    for (name, change) in changes {
        for (linkage, target) in LINKAGES {
            let seed = Seed::new(format!("idle-{name}-{linkage}"), Wanted::Red).cause("no-effect");
            seeds.push(seed.patch(change).target(target));
        }
    }
    let seed = |name: &str| Seed::new(format!("idle-{name}"), Wanted::Red).cause("no-effect");
    let stamp = "cp foo.h $out/include; date +%N > $out/share/stamp;";
    seeds.extend([
        seed("second-of-two").and_patch(UNCOMPILED),
        seed("first-of-two").patch(UNCOMPILED).and_patch(SUM).target("app"),
        seed("second-of-three").and_patch(UNCOMPILED).and_patch(SUM),
        seed("the-library-itself").patch(UNCOMPILED).target("libfoo"),
        seed("a-script").of("script").patch(UNCOMPILED).target("script"),
        seed("a-kernel").of("kernel").patch(&[("README", "A library", "No library")]).target("kernel"),
        seed("beside-a-time-stamp").patch(UNCOMPILED).edit("packages.nix", "cp foo.h $out/include;", stamp),
        seed("beside-a-time-stamp-dynamic").patch(UNCOMPILED).target("app").edit(
            "packages.nix",
            "cp foo.h $out/include;",
            stamp,
        ),
        seed("for-the-build-only").patch(UNCOMPILED).target("generated"),
    ]);
    seeds
}

/// The program holds a copy of the library that the overlay does not reach.
fn copies() -> Vec<Seed> {
    let private = "$CC -O2 -fPIC -shared -I$vendored $vendored/foo.c $vendored/other.c -Wl,-soname,libprivate.so -o libprivate.so; \
                   mkdir -p $out/lib; cp libprivate.so $out/lib; $CC -O2 -I$vendored app.c libprivate.so -Wl,-rpath,$out/lib -o app $LINK";
    let mut seeds = Vec::new();
    for (linkage, target) in LINKAGES {
        for (change, patch) in CHANGES {
            let seed = |name: &str, link: &str| {
                let name = format!("copy-{name}-{linkage}-{change}");
                Seed::new(name, Wanted::NotGreen).cause("another-copy-linked").patch(patch).target(target).link(link)
            };
            seeds.push(seed("same-flags", &bundled("-O2")));
            seeds.push(seed("not-optimised", &bundled("-O0")));
            seeds.push(seed("link-time-optimised", &bundled("-O2 -flto")));
            let archive = "$CC -O2 -I$vendored -c $vendored/foo.c -o v.o; ar rcs libv.a v.o; $CC -O2 -I$vendored app.c libv.a -o app $LINK";
            seeds.push(seed("an-archive", archive));
            let second = format!("{LINK}; cp app good; {}; cp app zz; cp good app", bundled("-O2"));
            seeds.push(seed("second-program", &second).edit("packages.nix", INSTALLED, "cp app zz $out/bin\""));
            let many = "cp app zz $out/bin; for i in $(seq 60); do cp good $out/bin/a$i; done\"";
            seeds.push(seed("last-of-many", &second).edit("packages.nix", INSTALLED, many));
            let elsewhere = "cp app $out/bin; mkdir -p $out/share/x; cp zz $out/share/x/tool\"";
            seeds.push(seed("in-share", &second).edit("packages.nix", INSTALLED, elsewhere));
        }
    }
    for (change, patch) in CHANGES {
        let seed = Seed::new(format!("copy-private-library-{change}"), Wanted::NotGreen).cause("another-copy-linked");
        seeds.push(seed.patch(patch).target("app").link(private));
    }
    seeds
}

/// Programs that the board cannot start.
fn programs() -> Vec<Seed> {
    let seed = |name: &str, target: &str, more: &str| {
        let seed = Seed::new(format!("program-{name}"), Wanted::Red).cause("wrong-program").target(target);
        seed.install(more)
    };
    let script = |at: &str, interpreter: &str| {
        format!("mkdir -p $(dirname {at}); echo '#!{interpreter}' >{at}; echo 'echo hi' >>{at}; chmod +x {at}")
    };
    let missing = "/nix/store/00000000000000000000000000000000-bash-5/bin/bash";
    let (fixed, dynamic) = ("pkgsStatic.app", "app");
    vec![
        seed("python", fixed, &script("$out/bin/zz", "/usr/bin/python3")),
        seed("perl-dynamic", dynamic, &script("$out/bin/zz", "/usr/bin/perl -w")),
        seed("build-directory", fixed, &script("$out/bin/zz", "/build/tools/bin/sh")),
        seed("home", dynamic, &script("$out/bin/zz", "/home/user/bin/python")),
        seed("missing-store-path", fixed, &script("$out/bin/zz", missing)),
        seed("missing-in-libc", dynamic, &script("$out/bin/zz", "'$libc'/bin/sh")),
        seed("script-in-share", fixed, &script("$out/share/tools/x.py", "/usr/bin/python3")),
        seed("script-in-lib", dynamic, &script("$out/lib/app/helper", "/usr/bin/python3")),
        seed("empty", fixed, "touch $out/bin/zz; chmod +x $out/bin/zz"),
        seed("empty-dynamic", dynamic, "touch $out/bin/zz; chmod +x $out/bin/zz"),
        seed("cut-off", fixed, "head -c 9000 app > $out/bin/zz; chmod +x $out/bin/zz"),
        seed("cut-off-dynamic", dynamic, "head -c 5000 app > $out/bin/zz; chmod +x $out/bin/zz"),
        seed("library-cut-off", dynamic, "mkdir $out/lib; head -c 5000 $buildInputs/lib/libfoo.so > $out/lib/libz.so"),
        seed("not-executable", fixed, "cp app $out/bin/zz; chmod -x $out/bin/zz"),
        seed("script-not-executable", dynamic, "echo '#!/bin/sh' > $out/bin/zz"),
        seed("link-to-nothing", fixed, "ln -s $out/libexec/none $out/bin/zz"),
        seed("another-machine", fixed, "cp app $out/bin/zz; printf '\\\\0363' | dd of=$out/bin/zz bs=1 seek=18 conv=notrunc"),
        seed("another-machine-dynamic", dynamic, "cp app $out/bin/zz; printf '\\\\0363' | dd of=$out/bin/zz bs=1 seek=18 conv=notrunc"),
        seed("not-static", fixed, "gcc -O2 -I$buildInputs/include app.c $buildInputs/lib/libfoo.a -o $out/bin/zz"),
        seed("loader-of-the-machine", dynamic, "gcc -O2 -I$buildInputs/include app.c $buildInputs/lib/libfoo.so -o $out/bin/zz"),
        Seed::new("program-library-not-found", Wanted::Red).cause("wrong-program").target("app").link("$CC -O2 app.c -o app -lfoo -L$buildInputs/lib -Wl,--dynamic-linker=$(echo $libc/lib/ld-*) -Wl,-rpath,$libc/lib",
        ),
        Seed::new("program-of-a-dependency", Wanted::Red).cause("wrong-program").target("app").edit(
            "packages.nix",
            "cp foo-tool foo.sh $out/bin;",
            "cp foo-tool foo.sh $out/bin; printf '#!/usr/bin/python3\\n' > $out/bin/zz; chmod +x $out/bin/zz;",
        ),
    ]
}

/// The overlay does not do what it seems to.
fn overlays() -> Vec<Seed> {
    let seed = |name: &str, cause: &'static str, overlay: &str| {
        let seed = Seed::new(format!("overlay-{name}"), Wanted::Red).cause(cause);
        seed.overlay(overlay)
    };
    let patched = "prev.libfoo.overrideAttrs (old: { patches = (old.patches or [ ]) ++ [ PATCHES ]; })";
    let mut seeds = vec![
        seed("typo", "no-such-attribute", &format!("final: prev: {{ libfo = {patched}; }}").replace("prev.libfoo", "(prev.libfo or prev.libfoo)")),
        Seed { after: After::NotBuilt, ..seed("twice", "applied-twice", "final: prev: { libfoo = prev.libfoo.overrideAttrs (old: { patches = [ PATCHES PATCHES ]; }); }") },
        seed("condition", "not-in-effect", &format!("final: prev: {{ libfoo = if prev.stdenv.hostPlatform.isStatic then prev.libfoo else {patched}; }}")),
        seed("empty-list", "not-wired-in", "final: prev: { libfoo = prev.libfoo.overrideAttrs (old: { patches = [ ]; }); }"),
        seed("target-keeps-the-old-one", "private-copy", &format!("final: prev: {{ libfoo = {patched}; app = prev.app.overrideAttrs (old: {{ buildInputs = [ prev.libfoo ]; }}); }}")),
        seed("target-keeps-the-old-one-dynamic", "private-copy", &format!("final: prev: {{ libfoo = {patched}; app = prev.app.overrideAttrs (old: {{ buildInputs = [ prev.libfoo ]; }}); }}")).target("app"),
        seed("named-by-none", "not-wired-in", "final: prev: { }"),
        Seed::new("overlay-target-does-not-need-it", Wanted::Red).cause("not-a-dependency").target("script"),
    ];
    let second = Seed::new("overlay-second-patch-not-named", Wanted::Red).cause("not-wired-in");
    let text =
        "Subject: more\n\n--- a/README\n+++ b/README\n@@ -1,3 +1,3 @@\n-foo\n+bar\n ===\n A library of the seeds.\n";
    seeds.push(Seed { files: vec![("patches/libfoo/0002-more.patch".into(), text.into())], ..second });
    let dropped = Seed::new("overlay-dropped-by-a-later-one", Wanted::Red).cause("not-in-effect");
    let later = "final: prev: { libfoo = prev.libfoo.overrideAttrs (o: { patches = [ ]; }); }\n";
    let files = vec![("overlays/zz.nix".into(), later.into()), ("later".into(), String::new())];
    seeds.push(Seed { files, ..dropped });
    seeds
}

/// The program does not do what it should.
fn running() -> Vec<Seed> {
    let seed = |name: &str, body: &str| {
        Seed::new(format!("run-{name}"), Wanted::Red).cause("wrong-output").edit("app/app.c", "return 0;", body)
    };
    vec![
        seed("signal", "fflush(0); return *(volatile int *)0;").run(None, 0).edit(
            "app/app.c",
            "#include <foo.h>",
            "#include <stdio.h>\n#include <foo.h>",
        ),
        seed("status", "return 3;").run(Some("hello"), 0),
        seed("another-status", "return 3;").run(None, 4),
        seed("another-text", "return 0;").run(Some("version one"), 0),
        Seed {
            after: After::LogLost,
            ..Seed::new("run-log-lost-and-off", Wanted::Red).cause("no-effect").with("dontPatch = true;")
        },
    ]
}
