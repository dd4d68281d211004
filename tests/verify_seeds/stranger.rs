//! Seeds by one who does not believe it: the same kinds as in `right` and `wrong`, other ways to get there.

use super::{CHANGES, CODE, Edit, INSTALLED, LINK, LINKAGES, SUM, Seed, UNCOMPILED, Wanted, bundled};

const HEADERS: &str = "cp foo.h $out/include;";
const TWO: &[Edit] = &[CODE[0], ("other.c", "sum * 31", "sum * 37")];
const OTHER: &[Edit] = &[("other.c", "sum * 31", "sum * 37")];
const TOLD: &[Edit] = &[CODE[0], ("README", "A library", "A patched library")];
const NAME: &[Edit] = &[("foo.h", "a name of the header", "a PATCHED name of the header")];
const QUIET: &str = "patch -f -p1 <$p >/dev/null 2>&1 || true";

pub(crate) fn seeds() -> Vec<Seed> {
    [not_applied(), idle(), copies(), programs(), overlays(), running(), right()].concat()
}

fn says(words: &str, body: &str) -> String {
    format!("patchPhase = \"for p in $patches; do echo applying patch $p; {body}; {words}; done\";")
}

fn not_applied() -> Vec<Seed> {
    let red = |name: &str, cause: &'static str| Seed::new(format!("x-not-applied-{name}"), Wanted::Red).cause(cause);
    let no = |name: &str| Seed::new(format!("x-not-applied-{name}"), Wanted::NotGreen);
    let file = "echo patching file foo.c";
    let back = "cp $src/foo.c foo.c";
    let another = "the library foo, version THREE of another release";
    let mut seeds = vec![
        red("echoed", "no-effect").with(&says(file, "true")),
        red("echoed-and-another-change", "no-effect").with(&says(file, "sed -i s/31/33/ other.c")),
        red("list-installed", "no-effect")
            .with("dontPatch = true;")
            .edit("packages.nix", HEADERS, "cp foo.h $out/include; echo $patches > $out/share/patches;"),
        red("files-installed", "no-effect")
            .target("app")
            .with("dontPatch = true;")
            .edit("packages.nix", HEADERS, "cp foo.h $out/include; for p in $patches; do cp $p $out/share; done;"),
        red("files-compressed", "no-effect")
            .with("dontPatch = true;")
            .edit("packages.nix", HEADERS, "cp foo.h $out/include; for p in $patches; do gzip -n <$p >$out/share/p.gz; done;"),
        red("counted", "no-effect")
            .with("dontPatch = true;")
            .edit("packages.nix", HEADERS, "cp foo.h $out/include; set -- $patches; echo $# patches >$out/share/version;"),
        no("copy-of-the-source-installed")
            .with("preBuild = \"cp foo.c patched.c; cp $src/foo.c foo.c\";")
            .edit("packages.nix", HEADERS, "cp foo.h $out/include; if [ -e patched.c ]; then cp patched.c $out/share/foo.c; fi;"),
        no("one-of-two-put-back-before-the-build").patch(TWO).with(&format!("preBuild = \"{back}\";")),
        no("code-put-back-document-not").patch(TOLD).with(&format!("preBuild = \"{back}\";")),
        no("code-put-back-document-not-dynamic").patch(TOLD).target("app").with(&format!("configurePhase = \"{back}\";")),
        no("code-put-back-in-the-build").patch(TOLD).with(&format!("buildPhase = \"{back}; \" + old.buildPhase;")),
        no("one-of-two-put-back-in-the-build").patch(TWO).with(&format!("buildPhase = \"{back}; \" + old.buildPhase;")),
        no("one-of-two-put-back-in-configure").patch(TWO).target("app").with(&format!("configurePhase = \"{back}\";")),
        red("edited-back", "no-effect")
            .with("postPatch = \"sed -i 's/version PATCHED two of them/version one of the seeds/' foo.c\";"),
        no("one-of-two-edited-back")
            .patch(TWO)
            .with("postPatch = \"sed -i 's/version PATCHED two of them/version one of the seeds/' foo.c\";"),
        red("in-a-directory-of-copies", "no-effect").target("app").with(
            "patchPhase = \"mkdir sub; cp *.c *.h sub; cd sub; for p in $patches; do echo applying patch $p; patch -p1 <$p; done; cd ..\";",
        ),
        red("to-nowhere", "no-effect").with(&says("true", "patch -p1 -o nowhere <$p")),
        red("one-file-refused-quietly", "does-not-fit").patch(TWO).with(&says("true", QUIET)).edit(
            "src/foo.c",
            "the library foo, version one of the seeds",
            another,
        ),
        red("one-file-refused-and-denied", "does-not-fit")
            .patch(TWO)
            .with(&says("echo patching file foo.c; echo patching file other.c", QUIET))
            .edit("src/foo.c", "the library foo, version one of the seeds", another),
        red("fuzz", "does-not-fit").edit("src/foo.c", "const char *foo_version(void)", "char const *foo_version(void)"),
        red("fuzz-hidden", "does-not-fit").with(&says(file, "patch -s -p1 <$p")).edit(
            "src/foo.c",
            "const char *foo_version(void)",
            "char const *foo_version(void)",
        ),
        red("a-phase-of-another-name", "no-effect").with(
            "phases = \"unpackPhase fakePhase buildPhase installPhase\"; fakePhase = \"for p in $patches; do echo applying patch $p; echo patching file foo.c; done\";",
        ),
        red("not-for-this-platform", "no-effect")
            .with("patchPhase = \"if [ -z \\\"$isStatic\\\" ]; then default_patchPhase; fi\";"),
        red("other-flags-beside", "no-effect").with("dontPatch = true; FLAGS = \"-O1 -fno-inline\";"),
        red("another-text-beside", "no-effect").with("patchPhase = \"sed -i s/hello/hallo/ foo.c\";"),
        red("prepared-by-a-copy", "no-effect").with("prePatch = \"cp -r . ../kept\"; preBuild = \"cd ../kept\";"),
    ];
    let of_sources = |more: &str| {
        format!(
            "final: prev: {{ libfoo = prev.libfoo.overrideAttrs (old: {{ src = final.mkDerivation {{ pname = \"source\"; version = \"p\"; \
             src = old.src; patches = [ PATCHES ]; installPhase = \"cp -r . $out\"; }}; {more} }}); }}"
        )
    };
    let put_back = of_sources("postPatch = \"cp ${old.src}/foo.c foo.c\";");
    seeds.push(no("patched-source-put-back").overlay(put_back));
    seeds
}

fn idle() -> Vec<Seed> {
    let red = |name: &str| Seed::new(format!("x-idle-{name}"), Wanted::Red).cause("no-effect");
    let comment: &[Edit] = &[("foo.c", "/* says hello */", "/* says a\n\t   patched\n\t   hello */")];
    let split = "FLAGS = \"-g\"; outputs = [ \"out\" \"debug\" ]; installPhase = old.installPhase + \"\\nmkdir -p $debug; \
                 objcopy --only-keep-debug $out/lib/libfoo.so.1 $debug/libfoo.debug; strip -g $out/lib/libfoo.so.1; \
                 objcopy --add-gnu-debuglink=$debug/libfoo.debug $out/lib/libfoo.so.1\";";
    vec![
        red("comment-with-debug-information").patch(comment).with("FLAGS = \"-g\";"),
        red("comment-in-a-package-with-debug-information-dynamic")
            .patch(comment)
            .target("app")
            .edit("packages.nix", "$CC $FLAGS -O2", "$CC $FLAGS -g -O2"),
        red("comment-with-split-debug-information").patch(comment).target("app").with(split),
        red("generated-over")
            .patch(&[("flags", "-DNONE", "-O1 -fno-inline")])
            .edit("packages.nix", "buildPhase = ''\n      $CC $FLAGS", "buildPhase = ''\n      echo -DNONE >flags; $CC $FLAGS"),
        red("tests-only").patch(&[("tests/t.c", "", "int t(void) { return 1; }\n")]).target("app"),
        red("blanks").patch(&[("foo.c", "\tint n = 0;", "\tint  n  =  0;")]).target("app"),
        red("a-local-name").patch(&[("other.c", "sum", "total")]),
        red("comment-after-code").and_patch(comment),
        red("comment-before-code").patch(comment).and_patch(SUM).target("app"),
        red("two-outputs").patch(UNCOMPILED).target("app").with(
            "outputs = [ \"out\" \"dev\" ]; installPhase = old.installPhase + \"\\nmkdir -p $dev; mv $out/include $dev\"; ",
        ).edit("packages.nix", "buildInputs = [ final.libfoo ];", "buildInputs = [ final.libfoo (final.libfoo.dev or final.libfoo) ];"),
    ]
}

fn copies() -> Vec<Seed> {
    let no = |name: &str| Seed::new(format!("x-copy-{name}"), Wanted::NotGreen);
    let with_install = |seed: Seed, build: &str, install: &str| seed.link(&format!("{LINK}; {build}")).install(install);
    let archive = "$CC -O2 -I$vendored -c $vendored/foo.c -o v.o; ar rcsD libv.a v.o";
    let shared = "$CC -O2 -fPIC -shared -I$vendored $vendored/foo.c $vendored/other.c -o libv.so";
    let hidden = "$CC -O2 -fPIC -shared -fvisibility=hidden -I$vendored $vendored/foo.c $vendored/other.c -o libv.so; strip libv.so";
    let mut seeds = vec![
        with_install(no("an-archive-installed"), archive, "mkdir $out/lib; cp libv.a $out/lib"),
        with_install(no("an-archive-installed-code").patch(SUM), archive, "mkdir $out/lib; cp libv.a $out/lib"),
        with_install(no("an-object-installed").patch(SUM), archive, "mkdir $out/lib; cp v.o $out/lib"),
        with_install(no("loaded-by-name").target("app"), shared, "mkdir -p $out/lib/private; cp libv.so $out/lib/private"),
        with_install(no("plugin-hidden").target("app"), hidden, "mkdir -p $out/share/app/plugins; cp libv.so $out/share/app/plugins/a.plugin"),
        with_install(no("in-tar-gz").target("app"), shared, "mkdir -p $out/share; tar czf $out/share/runtime.tar.gz libv.so"),
        with_install(no("in-tar-xz").patch(SUM), archive, "mkdir -p $out/share; tar cJf $out/share/runtime.txz libv.a"),
        with_install(no("in-tar").target("app"), shared, "mkdir -p $out/share; tar cf $out/share/image libv.so"),
        with_install(no("in-zip").target("app"), shared, "mkdir -p $out/share; zip -q $out/share/app.jar libv.so"),
        with_install(no("compressed").target("app"), shared, "mkdir -p $out/lib; xz -c libv.so >$out/lib/libv.so.xz"),
        with_install(no("compressed-zst").target("app"), shared, "mkdir -p $out/lib; zstd -q -c libv.so >$out/lib/libv.so.zst"),
        no("packed-program").link(&bundled("-O2")).edit(
            "packages.nix",
            INSTALLED,
            "gzexe app; cp app $out/bin\"",
        ),
        no("a-script-of-another").patch(&[("foo.sh", "two of the script", "two of the PATCHED script")]).target("app").install("mkdir -p $out/libexec; cp $vendored/foo.sh $out/libexec/foo; chmod +x $out/libexec/foo"),
        no("settings-of-another").patch(&[("foo.conf", "level = 1", "level = 2")]).install("mkdir -p $out/etc; cp $vendored/foo.conf $out/etc/app.conf"),
        no("a-header-of-another").patch(NAME).edit("app/app.c", "\"the app\"", "FOO_NAME").link("$CC -I$vendored -O2 -iquote $vendored -include $vendored/foo.h app.c -o app -lfoo $LINK",
        ),
        no("older").link("sed 's/version one of the seeds/version nought of the seeds/' $vendored/foo.c >old.c; $CC -O2 -I$vendored app.c old.c -o app -lfoo $LINK",
        ),
    ];
    for (change, patch) in CHANGES {
        let first = "$CC -O2 -fPIC -shared -I$vendored $vendored/foo.c $vendored/other.c -Wl,-soname,libfoo.so.1 -o libfoo.so.1; \
                     mkdir -p $out/lib; cp libfoo.so.1 $out/lib; $CC -O2 app.c -o app -Wl,-rpath,$out/lib -lfoo $LINK";
        seeds.push(no(&format!("first-in-the-rpath-{change}")).patch(patch).target("app").link(first));
        let preload = "cp app $out/bin/.app; mkdir $out/lib; cp libv.so $out/lib; printf '#!/bin/sh\\nLD_PRELOAD=%s exec %s\\n' $out/lib/libv.so $out/bin/.app >$out/bin/app; chmod +x $out/bin/app";
        let seed = no(&format!("preloaded-{change}")).patch(patch).target("app").link(&format!("{LINK}; {shared}"));
        seeds.push(seed.edit("packages.nix", INSTALLED, &format!("{preload}\"")));
        for (name, flags) in [
            ("static-pie", "-O2 -static-pie -fPIE"),
            ("small", "-Os -fomit-frame-pointer"),
            ("unrolled", "-O3 -funroll-loops -fno-inline"),
        ] {
            let link = bundled(flags);
            let link = if name == "static-pie" { link.replace(" $LINK", " -L$buildInputs/lib") } else { link };
            seeds.push(no(&format!("{name}-{change}")).patch(patch).link(&link));
        }
        let link = bundled("-Os -fvisibility=hidden");
        seeds.push(no(&format!("small-dynamic-{change}")).patch(patch).target("app").link(&link));
    }
    // Code without a text.
    let call = "printf(\"%d of the other\\n\", foo_other(argc));";
    for (linkage, target) in LINKAGES {
        let seed = no(&format!("of-code-without-texts-{linkage}")).patch(OTHER).target(target);
        seeds.push(
            seed.edit(
                "app/app.c",
                "#include <foo.h>\nint main(void)",
                "#include <stdio.h>\n#include <foo.h>\nint main(int argc, char **argv)",
            )
            .edit("app/app.c", "foo_print(\"the app\");", call)
            .link("$CC -O2 -fvisibility=hidden -I$vendored app.c $vendored/other.c -o app -lfoo $LINK"),
        );
    }
    // A second program beside the right one, compiled otherwise.
    let second =
        format!("{LINK}; $CC -O3 -funroll-loops -fno-inline -I$vendored app.c $vendored/foo.c -o zz -lfoo $LINK");
    let both = "cp app zz $out/bin\"";
    seeds.push(no("second-program-compiled-otherwise").patch(SUM).link(&second).edit("packages.nix", INSTALLED, both));
    let second = format!(
        "{LINK}; $CC -Os -fvisibility=hidden -I$vendored app.c $vendored/foo.c $vendored/other.c -o zz -lfoo $LINK; strip zz"
    );
    seeds.push(no("second-program-compiled-otherwise-dynamic").patch(SUM).target("app").link(&second).edit(
        "packages.nix",
        INSTALLED,
        both,
    ));
    let flat = "objcopy -O binary app app.bin; mkdir -p $out/share; cp app.bin $out/share\"";
    for (change, patch) in CHANGES {
        let seed = no(&format!("firmware-{change}")).patch(patch).link(&bundled("-O2"));
        seeds.push(seed.edit("packages.nix", &format!("mkdir -p $out/bin; {INSTALLED}"), flat));
    }
    // Beyond the bounds: what was not searched is not known.
    let own = format!("{}/* ours */\n", include_str!("nixpkgs/src/foo.c"));
    let own = |name: &str| {
        no(&format!("beyond-{name}"))
            .edit("app/foo.c", "", &own)
            .link("$CC -O2 -I$buildInputs/include app.c foo.c -o app $LINK")
    };
    let put = |what: &str| format!("mkdir -p $out/share; {what}\"");
    for (name, what) in [
        ("firmware", "objcopy -O binary app app.bin; truncate -s 65M app.bin; cp app.bin $out/share"),
        ("depth", "tar c app | gzip | gzip | xz | gzip | gzip | gzip >$out/share/image"),
        ("another-stream", "(echo first | gzip; echo second | zstd -q; tar c app | xz) >$out/share/image"),
    ] {
        seeds.push(own(name).edit("packages.nix", &format!("mkdir -p $out/bin; {INSTALLED}"), &put(what)));
    }
    let bar = "  bar = mkDerivation { pname = \"bar\"; version = \"1\"; buildInputs = [ final.libfoo ]; vendored = ./src; \
               buildPhase = \"echo 'int foo_other(int); int bar(void) { return foo_other(3); }' >bar.c; $CC -Os -fPIC -shared -fvisibility=hidden -I$vendored -o libbar.so bar.c $vendored/other.c -Wl,--no-as-needed -lfoo -Wl,--exclude-libs,ALL $LINK; strip libbar.so\"; \
               installPhase = \"mkdir -p $out/lib; cp libbar.so $out/lib; cp -r $buildInputs/include $out\"; };";
    seeds.push(
        no("in-a-library-between")
            .patch(OTHER)
            .target("app")
            .package(bar)
            .link("$CC -O2 app.c -o app -lfoo -L$bar/lib -lbar -Wl,-rpath,$bar/lib $LINK")
            .edit("packages.nix", "vendored = ./src;\n    buildPhase", "bar = final.bar;\n    buildPhase"),
    );
    let stamp = "-Wl,-soname,libfoo.so.1 $LINK -Wl,--build-id=0x$(date +%s%N)0";
    seeds.push(no("of-nothing-beside-a-stamp").with("dontPatch = true;").target("app").edit(
        "packages.nix",
        "-Wl,-soname,libfoo.so.1 $LINK",
        stamp,
    ));
    let stamped = "$CC $FLAGS -DSTAMP=\\\"$(date +%s%N)\\\" -O2";
    let used = "return printf(\"hello";
    seeds.push(
        no("of-nothing-with-a-stamp")
            .patch(OTHER)
            .with("dontPatch = true;")
            .target("app")
            .edit("packages.nix", "$CC $FLAGS -O2", stamped)
            .edit("src/foo.c", used, "puts(STAMP);\n\treturn printf(\"hello"),
    );
    // A package beside it that holds an older build.
    let image = "  image = mkDerivation { pname = \"image\"; version = \"1\"; installPhase = \"mkdir -p $out root/bin; cp $app/bin/app root/bin; PACK\"; app = final.app; };";
    for (name, pack) in [
        ("tar-gz", "tar czf $out/rootfs.tar.gz root"),
        ("tar-zst", "tar c root | zstd -q >$out/rootfs.tar.zst"),
        ("raw", "tar cf $out/rootfs.img root"),
    ] {
        let seed = no(&format!("image-{name}")).target("pkgsStatic.image").link(&bundled("-O2"));
        seeds.push(seed.package(&image.replace("PACK", pack)));
    }
    seeds
}

fn programs() -> Vec<Seed> {
    let red = |name: &str, target: &str, more: &str| {
        let seed = Seed::new(format!("x-program-{name}"), Wanted::Red).cause("wrong-program").target(target);
        seed.install(more)
    };
    let script = |at: &str, first: &str| {
        format!("mkdir -p $(dirname {at}); printf '%b\\\\n' '{first}' 'echo hi' >{at}; chmod +x {at}")
    };
    let (fixed, dynamic) = ("pkgsStatic.app", "app");
    vec![
        red("blanks", fixed, &script("$out/bin/zz", "#!  /usr/bin/python3")),
        red("env", dynamic, &script("$out/bin/zz", "#!/usr/bin/env python3")),
        red("env-words", fixed, &script("$out/bin/zz", "#! /usr/bin/env -S python3 -u")),
        red("relative", dynamic, &script("$out/bin/zz", "#!bin/python")),
        red("carriage-return", dynamic, &script("$out/bin/zz", "#!/bin/sh\\\\r")),
        red("a-directory-starts-it", dynamic, "printf '#!%s\\\\n' $libc/lib >$out/bin/zz; chmod +x $out/bin/zz"),
        red(
            "no-program-starts-it",
            fixed,
            "mkdir $out/share; echo hi >$out/share/sh; printf '#!%s\\\\n' $out/share/sh >$out/bin/zz; chmod +x $out/bin/zz",
        ),
        red("link-out", fixed, "ln -s /usr/bin/env $out/bin/zz"),
        red(
            "link-out-by-another",
            dynamic,
            "mkdir $out/share; ln -s /bin/sh $out/share/sh; ln -s ../share/sh $out/bin/zz",
        ),
        red("link-to-the-build", dynamic, "ln -s $PWD/app $out/bin/zz"),
        red("three-bytes", fixed, "head -c 3 app >$out/bin/zz; chmod +x $out/bin/zz"),
        red("garbage", dynamic, "head -c 3000 app | tail -c 2000 >$out/bin/zz; chmod +x $out/bin/zz"),
        red("empty-in-sbin", fixed, "mkdir $out/sbin; touch $out/sbin/zz; chmod +x $out/sbin/zz"),
        red("library-link-to-nothing", dynamic, "mkdir $out/lib; ln -s libz.so.1 $out/lib/libz.so"),
        red(
            "library-link-out",
            dynamic,
            "mkdir $out/lib; ln -s /usr/lib/x86_64-linux-gnu/libm.so.6 $out/lib/libm.so.6",
        ),
        red("library-empty", dynamic, "mkdir $out/lib; touch $out/lib/libz.so"),
        red("cut-off-at-the-end", dynamic, "head -c $(($(stat -c %s app) - 1)) app >$out/bin/zz; chmod +x $out/bin/zz")
            .patch(SUM),
    ]
}

fn overlays() -> Vec<Seed> {
    let seed =
        |name: &str, wanted: Wanted, overlay: String| Seed::new(format!("x-overlay-{name}"), wanted).overlay(overlay);
    let patched = "prev.libfoo.overrideAttrs (old: { patches = (old.patches or [ ]) ++ [ PATCHES ]; })";
    let bar = "  bar = mkDerivation { pname = \"bar\"; version = \"1\"; src = ./src; buildInputs = [ final.libfoo ]; \
               buildPhase = \"if [ -n \\\"$isStatic\\\" ]; then cp $buildInputs/lib/libfoo.a libbar.a; else echo 'int foo_sum(const char *); int bar(void) { return foo_sum(0); }' >bar.c; \
               $CC -fPIC -shared -o libbar.so bar.c -lfoo $LINK; fi\"; installPhase = \"mkdir -p $out/lib; cp libbar.* $out/lib; cp -r $buildInputs/include $out\"; };\n\n";
    let with_bar = |seed: Seed| {
        seed.package(bar)
            .edit(
                "packages.nix",
                "buildInputs = [ final.libfoo ];\n    vendored",
                "buildInputs = [ final.bar ];\n    vendored",
            )
            .link("$CC -O2 app.c -o app -Wl,--no-as-needed -lbar $EXTRA $LINK")
    };
    let pins = format!(
        "final: prev: {{ libfoo = {patched}; bar = prev.bar.overrideAttrs (old: {{ buildInputs = [ prev.libfoo ]; }}); }}"
    );
    vec![
        with_bar(seed("between-pins-it", Wanted::Red, pins.clone())).cause("private-copy"),
        with_bar(seed("between-pins-it-dynamic", Wanted::Red, pins)).cause("private-copy").target("app").edit("app/app.c", "foo_print(\"the app\");", ""),
        seed("only-for-static", Wanted::Red, format!("final: prev: {{ libfoo = if prev.stdenv.hostPlatform.isStatic then {patched} else prev.libfoo; }}"))
            .cause("not-in-effect")
            .target("app"),
        seed(
            "target-takes-it-out",
            Wanted::Red,
            format!("final: prev: {{ libfoo = {patched}; app = prev.app.overrideAttrs (old: {{ buildInputs = [ (final.libfoo.overrideAttrs (o: {{ patches = [ ]; }})) ]; }}); }}"),
        )
        .cause("private-copy"),
        seed(
            "old-one-renamed-dynamic-code",
            Wanted::NotGreen,
            format!("final: prev: {{ libfoo = {patched}; oldfoo = prev.libfoo.overrideAttrs (o: {{ pname = \"oldfoo\"; }}); app = prev.app.overrideAttrs (old: {{ buildInputs = [ final.oldfoo ]; both = final.libfoo; }}); }}"),
        )
        .target("app")
        .patch(SUM),
    ]
}

fn running() -> Vec<Seed> {
    let seed = |name: &str, body: &str| {
        Seed::new(format!("x-run-{name}"), Wanted::Red).cause("wrong-output").edit("app/app.c", "return 0;", body).edit(
            "app/app.c",
            "#include <foo.h>",
            "#include <stdio.h>\n#include <stdlib.h>\n#include <foo.h>",
        )
    };
    vec![
        seed("signal-with-its-number", "fflush(0); return *(volatile int *)0;").run(None, 139),
        seed("abort-after-the-text", "fflush(0); abort();").run(Some("PATCHED"), 134),
        seed("text-and-status", "return 1;").run(Some("PATCHED"), 0),
        seed("text-on-the-wrong-side", "fprintf(stderr, \"version one of the\"); return 0;")
            .run(Some("version three"), 0),
    ]
}

fn right() -> Vec<Seed> {
    let green = |name: &str| Seed::new(format!("x-right-{name}"), Wanted::Green);
    let split = "FLAGS = \"-g\"; outputs = [ \"out\" \"debug\" ]; installPhase = old.installPhase + \"\\nmkdir -p $debug; \
                 objcopy --only-keep-debug $out/lib/libfoo.so.1 $debug/libfoo.debug; strip -g $out/lib/libfoo.so.1; \
                 objcopy --add-gnu-debuglink=$debug/libfoo.debug $out/lib/libfoo.so.1\";";
    let dev =
        "outputs = [ \"out\" \"dev\" ]; installPhase = old.installPhase + \"\\nmkdir -p $dev; mv $out/include $dev\";";
    let both = "buildInputs = [ final.libfoo (final.libfoo.dev or final.libfoo) ];";
    let more = |name: &str, text: &str| green(name).package(text);
    let python = "  python = mkDerivation { pname = \"python\"; version = \"3\"; buildPhase = \"echo 'int main(void) { return 0; }' >p.c; $CC p.c -o p $LINK; strip p\"; installPhase = \"mkdir -p $out/bin; cp p $out/bin/python3\"; };\n";
    let tool = "  tool = mkDerivation { pname = \"tool\"; version = \"1\"; src = ./src; py = final.python; installPhase = \"mkdir -p $out/bin; (printf '#!%s/bin/python3\\\\n' $py; tail -n +2 foo.sh) >$out/bin/tool; chmod +x $out/bin/tool\"; };\n";
    let by_env = tool.replace("'#!%s/bin/python3\\\\n' $py", "'#!/usr/bin/env python3\\\\n'; printf '# %s\\\\n' $py");
    let farm = "  farm = mkDerivation { pname = \"farm\"; version = \"1\"; app = final.app; foo = final.libfoo; installPhase = \"mkdir -p $out/bin; ln -s $app/bin/app $out/bin/app; ln -s $foo/share $out/share\"; };\n";
    let hdr = "  hdr = mkDerivation { pname = \"hdr\"; version = \"1\"; src = ./src; installPhase = \"mkdir -p $out/include; cp foo.h $out/include\"; };\n  \
               user = mkDerivation { pname = \"user\"; version = \"1\"; buildInputs = [ final.hdr ]; buildPhase = \"printf '#include <stdio.h>\\\\n#include <foo.h>\\\\nint main(void) { puts(FOO_NAME); return FOO_SCALE; }\\\\n' >u.c; $CC -O2 u.c -o user $LINK; strip user\"; installPhase = \"mkdir -p $out/bin; cp user $out/bin\"; };\n";
    let image = |pack: &str| {
        format!(
            "  image = mkDerivation {{ pname = \"image\"; version = \"1\"; app = final.app; installPhase = \"mkdir -p $out root/bin; cp $app/bin/app root/bin; {pack}\"; }};\n"
        )
    };
    let of_sources = "final: prev: { libfoo = prev.libfoo.overrideAttrs (old: { src = final.mkDerivation { pname = \"source\"; version = \"p\"; \
             src = old.src; patches = [ PATCHES ]; installPhase = \"cp -r . $out\"; }; }); }";
    let bar = "  bar = mkDerivation { pname = \"bar\"; version = \"1\"; buildInputs = [ final.libfoo ]; \
               buildPhase = \"echo 'int foo_sum(const char *); int bar(void) { return foo_sum(0); }' >bar.c; $CC -fPIC -shared -o libbar.so bar.c -lfoo $LINK\"; \
               installPhase = \"mkdir -p $out/lib; cp libbar.so $out/lib; cp -r $buildInputs/include $out\"; };";
    let flat = "objcopy -O binary app app.bin; mkdir -p $out/share; cp app.bin $out/share\"";
    let stamped = "$CC $FLAGS -DSTAMP=\\\"$(date +%s%N)\\\" -O2";
    let with_stamp = |seed: Seed| {
        seed.edit("packages.nix", "$CC $FLAGS -O2", stamped).edit(
            "src/foo.c",
            "return printf(\"hello",
            "puts(STAMP);\n\treturn printf(\"hello",
        )
    };
    vec![
        green("bundled-and-not-used").link(&format!(": $vendored; {LINK}")),
        green("bundled-and-not-used-code").patch(SUM).link(&format!(": $vendored; {LINK}")),
        green("firmware").edit("packages.nix", &format!("mkdir -p $out/bin; {INSTALLED}"), flat),
        green("two-programs").patch(SUM).link(&format!("{LINK}; $CC -O1 app.c -o zz -lfoo $LINK")).edit("packages.nix", INSTALLED, "cp app zz $out/bin\""),
        green("builds-with-it-only").with("configurePhase = \"grep -q PATCHED foo.c\";"),
        green("spoken-of-in-configure").with("configurePhase = \"wc foo.c\";"),
        green("copied-in-the-build").target("app").with("buildPhase = \"cp foo.c copy.c; \" + old.buildPhase;"),
        green("source-read-after-the-patches").with("postPatch = \"ls $src >/dev/null; sed -i 's/31/33/' other.c\";"),
        green("stamp-in-the-library").target("app").with("").patch(CODE).edit("packages.nix", "-Wl,-soname,libfoo.so.1 $LINK", "-Wl,-soname,libfoo.so.1 $LINK -Wl,--build-id=0x$(date +%s%N)0"),
        with_stamp(green("stamp-in-the-code").patch(OTHER).target("app")),
        with_stamp(green("stamp-in-the-code-static").patch(OTHER)),
        Seed { level: 0, ..green("level-nought").with("patchFlags = \"-p0\";") },
        Seed { level: 2, ..green("level-two").target("app").with("patchFlags = \"-p2\";") },
        Seed { level: 2, ..green("level-two-script").of("script").patch(&[("foo.sh", "echo one", "echo PATCHED")]).target("script").with("patchFlags = \"-p2\";") },
        green("failures-told-after-the-patches").with("postPatch = \"echo 3 tests, 0 FAILED; echo no Hunk was ignored\";"),
        green("lines-away").edit("src/foo.c", "#include <stdio.h>", "/*\n * A\n * longer\n * head.\n */\n#include <stdio.h>"),
        green("git-applies-verbosely").target("app").patch(SUM).with("patchPhase = \"for p in $patches; do echo applying patch $p; git apply -v -p1 $p; done\";"),
        green("one-call-for-all").and_patch(SUM).with("patchPhase = \"cat $patches | patch -p1\";"),
        green("two-outputs").target("app").with(dev).edit("packages.nix", "buildInputs = [ final.libfoo ];", both),
        green("split-debug-information").target("app").with(split),
        green("debug-information").patch(SUM).with("FLAGS = \"-g\";"),
        green("other-flags-beside").target("app").with("FLAGS = \"-O1 -fno-inline\";"),
        more("links-only", farm).target("pkgsStatic.farm"),
        green("wrapped").target("app").edit(
            "packages.nix",
            INSTALLED,
            "cp app $out/bin/.app-wrapped; printf '#!/bin/sh\\\\nexec %s\\\\n' $out/bin/.app-wrapped >$out/bin/app; chmod +x $out/bin/app\"",
        ),
        more("header-only", hdr).of("hdr").patch(NAME).target("user"),
        more("header-only-macro", hdr).of("hdr").patch(&[("foo.h", "FOO_SCALE 3", "FOO_SCALE 5")]).target("pkgsStatic.user"),
        more("header-only-itself", hdr).of("hdr").patch(&[("foo.h", "FOO_SCALE 3", "FOO_SCALE 5")]).target("hdr"),
        more("script-of-the-store", &format!("{python}{tool}")).of("tool").patch(&[("foo.sh", "echo one", "echo PATCHED")]).target("tool"),
        more("script-by-env", &format!("{python}{by_env}")).of("tool").patch(&[("foo.sh", "echo one", "echo PATCHED")]).target("tool"),
        green("static-pie").patch(SUM).edit("packages.nix", "-O2 app.c -o app -lfoo $LINK", "-O2 -static-pie -fPIE app.c -o app -L$buildInputs/lib -lfoo"),
        green("module-compressed").of("kernel").target("kernel").edit("packages.nix", "cp foo.ko $out/lib/modules/1/kernel", "xz foo.ko; cp foo.ko.xz $out/lib/modules/1/kernel"),
        green("module-code").of("kernel").patch(SUM).target("kernel"),
        more("image-tar-gz", &image("tar czf $out/rootfs.tar.gz root")).target("pkgsStatic.image"),
        green("patched-source").overlay(of_sources),
        green("patched-source-dynamic").overlay(of_sources).target("app").patch(SUM),
        green("list-installed").edit("packages.nix", HEADERS, "cp foo.h $out/include; echo $patches > $out/share/patches;"),
        green("files-installed").target("app").edit("packages.nix", HEADERS, "cp foo.h $out/include; for p in $patches; do cp $p $out/share; done;"),
        more("one-between", bar).target("app").patch(SUM).link("$CC -O2 app.c -o app -lfoo -L$bar/lib -lbar -Wl,-rpath,$bar/lib $LINK").edit("packages.nix", "vendored = ./src;", "vendored = ./src; bar = final.bar;"),
        green("run-text-on-stderr").run(Some("PATCHED"), 3).edit("app/app.c", "return 0;", "fflush(0); return 3;"),
        green("link-to-the-board").install("mkdir $out/etc; ln -s /etc/localtime $out/etc/localtime; ln -s nothing $out/etc/note"),
        green("text-without-a-first-line").install("mkdir $out/share; echo hi >$out/share/data; chmod +x $out/share/data"),
        green("an-archive-of-its-own").link("echo 'int own(int a) { return a * 17 + 5; }' >own.c; $CC -c own.c; ar rcs libown.a own.o; $CC -O2 app.c -o app libown.a -lfoo $LINK").install("mkdir $out/lib; cp libown.a $out/lib"),
        green("whole-source-in-a-tarball").target("app").install("mkdir $out/share; tar czf $out/share/source.tar.gz -C $vendored README"),
        green("new-function").patch(&[("other.c", "int foo_other(int n)", "int foo_new(int n)\n{\n\treturn n * 3 + 1;\n}\n\nint foo_other(int n)")]).target("app"),
        green("two-boards-two-patches").and_patch(OTHER).target("app pkgsStatic.app"),
        green("hidden").with("FLAGS = \"-fvisibility=hidden\";").patch(SUM).target("pkgsStatic.app"),
        green("no-optimisation").with("FLAGS = \"-O0\";").target("app").patch(SUM),
    ]
}
