//! Overlays of every shape, put together at random: no edit damages, a second run changes nothing, the inverse gives
//! the bytes back, and hostile text is refused with a code.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::Path;

use overlayctl::base::diagnostic::Coded;
use overlayctl::overlay::{NoFiles, OverlayFile, PatchElement, PatchRequest, Scope, Select};
use overlayctl::syntax::AttrPath;
use proptest::prelude::*;

fn value() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("prev.KEY".to_string()),
        Just("prev.other".to_string()),
        Just("final.callPackage ./x.nix { }".to_string()),
        Just("import ./x.nix final".to_string()),
        Just("null".to_string()),
        Just("{ a = 1; }".to_string()),
        Just("variable".to_string()),
        Just("prev.KEY or prev.other".to_string()),
    ];
    let body = prop_oneof![
        Just("{ }".to_string()),
        Just("{}".to_string()),
        Just("{ doCheck = false; }".to_string()),
        Just("{ patches = [ ]; }".to_string()),
        Just("{ patches = []; }".to_string()),
        Just("{ patches = (old.patches or [ ]) ++ [ ./a.patch ]; }".to_string()),
        Just(
            "{\n      patches = old.patches or [ ] ++ [\n        ./a.patch # why\n        # ./b.patch\n      ];\n    }"
                .to_string()
        ),
        Just("{ patches = [ ./a.patch ] ++ old.patches; }".to_string()),
        Just("{ patches = null; }".to_string()),
        Just("{ patches = if c then [ ./a.patch ] else [ ]; }".to_string()),
        Just("{ patches = f old; x = 1; }".to_string()),
        Just("rec { x = 1; y = x; }".to_string()),
        Just("let x = 1; in { y = x; }".to_string()),
        Just("lib.optionalAttrs c { patches = [ ]; }".to_string()),
        Just("{ } // { x = 1; }".to_string()),
        Just("{ inherit (x) patches; }".to_string()),
    ];
    let argument = (
        prop_oneof![
            Just("old: "),
            Just("_: "),
            Just("_old: "),
            Just("finalAttrs: old: "),
            Just("{ x ? 1, ... }: "),
            Just("{ patches ? [ ], ... }: "),
            Just("old@{ ... }: "),
            Just("")
        ],
        body,
    )
        .prop_map(|(p, b)| format!("({p}{b})"));
    leaf.prop_recursive(3, 8, 2, move |inner| {
        prop_oneof![
            3 => (inner.clone(), argument.clone()).prop_map(|(i, a)| format!("({i}).overrideAttrs {a}")),
            1 => inner.clone().prop_map(|i| format!("({i}).override {{ }}")),
            1 => (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("if c then {a} else {b}")),
            1 => inner.clone().prop_map(|i| format!("({i})")),
            1 => inner.clone().prop_map(|i| format!("let z = 1; in {i}")),
            1 => inner.prop_map(|i| format!("({i}) // {{ x = 1; }}")),
        ]
    })
}

fn entry() -> impl Strategy<Value = String> {
    let key = prop_oneof![Just("musl"), Just("\"musl\""), Just("zlib"), Just("curl"), Just("a"), Just("z")];
    prop_oneof![
        6 => (key, value()).prop_map(|(k, v)| format!("{k} = {};", v.replace("KEY", k.trim_matches('"')))),
        1 => Just("inherit (prev) musl zlib;".to_string()),
        1 => Just("inherit (final.x)\n    b\n    musl # why\n    c;".to_string()),
        1 => Just("inherit musl;".to_string()),
        1 => Just("scope.x = 1;".to_string()),
        1 => Just("${name} = 1;".to_string()),
    ]
}

fn set() -> impl Strategy<Value = String> {
    let space = prop_oneof![3 => Just("\n  "), 1 => Just("\n\n  "), 1 => Just(" "), 1 => Just("\n  # note\n  "), 1 => Just(" # note\n  "), 1 => Just("\n\t"), 1 => Just("\r\n  ")];
    let end = prop_oneof![3 => Just("\n"), 1 => Just(" "), 1 => Just("\n  # end\n"), 1 => Just("")];
    (prop::bool::weighted(0.2), prop::collection::vec((space, entry()), 0..5), end).prop_map(|(rec, entries, end)| {
        let mut out = String::from(if rec { "rec {" } else { "{" });
        for (space, entry) in entries {
            out.push_str(space);
            out.push_str(&entry);
        }
        out.push_str(end);
        out.push('}');
        out
    })
}

fn body() -> impl Strategy<Value = String> {
    let operand = prop_oneof![
        4 => set(),
        1 => set().prop_map(|s| format!("lib.optionalAttrs c {s}")),
        1 => (set(), set()).prop_map(|(a, b)| format!("(if c then {a} else {b})")),
        1 => Just("f final prev".to_string()),
        1 => Just("(import ./x.nix final prev)".to_string()),
        1 => Just("variable".to_string()),
    ];
    let layer = prop_oneof![4 => Just(""), 1 => Just("let\n  variable = { musl = prev.musl; };\nin\n"), 1 => Just("with final; "), 1 => Just("assert true; "), 1 => Just("let prev = 1; in ")];
    (layer, prop::collection::vec(operand, 1..4))
        .prop_map(|(layer, operands)| format!("{layer}{}", operands.join(" // ")))
}

fn overlay() -> impl Strategy<Value = String> {
    let head = prop_oneof![4 => Just("final: prev: "), 1 => Just("_: prev:\n"), 1 => Just("final: _: "), 1 => Just("inputs: final: prev:\n  "), 1 => Just("{ lib, ... }:\nfinal: prev: ")];
    let end = prop_oneof![Just("\n"), Just("")];
    (head, body(), end).prop_map(|(h, b, e)| format!("{h}{b}{e}"))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    #[test]
    fn an_edit_is_whole_or_refused(text in overlay(), host in prop::bool::weighted(0.2), attr in prop_oneof![Just("musl"), Just("absent"), Just("xorg.libX11"), Just("python3Packages.x")]) {
        let Ok(file) = OverlayFile::parse(Path::new("overlay.nix"), text.clone()) else { return Ok(()) };
        let mut request = PatchRequest::new(AttrPath::parse(attr).unwrap(), vec![PatchElement::path("./fix.patch")]);
        if host {
            request.scope = Scope::Host;
        }
        let planned = match file.add_patches(&NoFiles, Select::Only, &request) {
            Ok(planned) => planned,
            Err(e) => {
                // The planner's own checks never have to step in.
                prop_assert!(e.code() != "OV0114", "{}\n{}", e, text);
                return Ok(());
            }
        };
        prop_assert!(!planned.changes.is_empty());
        let change = &planned.changes[0];
        prop_assert!(rnix::Root::parse(&change.new).errors().is_empty());
        let edited = OverlayFile::parse(Path::new("overlay.nix"), change.new.clone()).unwrap();
        let again = edited.add_patches(&NoFiles, Select::Only, &request);
        prop_assert!(again.as_ref().is_ok_and(|a| a.changes.is_empty()), "second run: {:?}\n{}", again.err(), change.new);
        let back = edited.remove_patches(&NoFiles, Select::Only, &request.attr, &request.elements);
        let back = match back {
            Ok(back) => back.changes[0].new.clone(),
            Err(e) => return Err(TestCaseError::fail(format!("removal: {e}\n{}", change.new))),
        };
        let inexact = planned.warnings.iter().any(|w| w.code == "OV0154");
        prop_assert!(back == text || inexact, "edited:\n{}\nback:\n{}", change.new, back);
        prop_assert!(!inexact, "not restored:\n{}\nedited:\n{}\nback:\n{}", text, change.new, back);
    }

    #[test]
    fn hostile_text_is_refused_or_edited(text in "(final: prev: )?[\\PC\n\r\t\0]{0,60}", attr in "[^\0]{1,12}") {
        if let Ok(file) = OverlayFile::parse(Path::new("overlay.nix"), text.clone()) {
            let _ = file.functions();
            let _ = file.patched_packages();
            let request = PatchRequest::new(AttrPath::single(attr), vec![PatchElement::path("./fix.patch")]);
            let _ = file.add_patches(&NoFiles, Select::Only, &request);
        }
    }

    #[test]
    fn no_name_injects(attr in prop_oneof!["[^\0]{1,16}", "(\"|\\$|\\{|\\}|;|=|'|\n|\\\\|a){1,12}"], path in "[^\0/]{1,16}") {
        let text = "final: prev: {\n  a = 1;\n}\n";
        let file = OverlayFile::parse(Path::new("overlay.nix"), text.to_string()).unwrap();
        let request = PatchRequest::new(AttrPath::single(attr.clone()), vec![PatchElement::path(format!("./{path}"))]);
        let Ok(planned) = file.add_patches(&NoFiles, Select::Only, &request) else { return Ok(()) };
        if planned.changes.is_empty() { return Ok(()); }
        let edited = OverlayFile::parse(Path::new("overlay.nix"), planned.changes[0].new.clone()).unwrap();
        let keys = edited.functions()[0].keys.clone();
        if attr != "a" && !attr.starts_with("linux") {
            prop_assert_eq!(keys, vec!["a".to_string(), attr]);
        }
    }
}

/// Overlays in which several packages are patched one after another: no value is opaque enough to be refused.
fn plain_overlay() -> impl Strategy<Value = String> {
    let value = prop_oneof![
        4 => Just("prev.KEY"), 1 => Just("(import ./x.nix { }).KEY"), 1 => Just("final.callPackage ./x.nix { }"),
        1 => Just("prev.KEY.override { }"), 1 => Just("prev.KEY.overrideAttrs (old: { doCheck = false; })"),
        1 => Just("prev.KEY.overrideAttrs (_: {\n    patches = [ ./a.patch ];\n  })"),
        1 => Just("prev.KEY.overrideAttrs (old: { patches = [./a.patch] ++ old.patches; })"),
        1 => Just("if c then prev.KEY else prev.other"), 1 => Just("let v = prev.KEY; in v"),
    ]
    .boxed();
    let key = prop_oneof![Just("musl"), Just("zlib"), Just("a"), Just("other"), Just("b"), Just("n"), Just("z")];
    let nested = prop_oneof![
        1 => Just("xorg = prev.xorg // { };"), 1 => Just("xorg = prev.xorg // { libX11 = (import ./x.nix { }).libX11; };"),
        1 => Just("xorg = prev.xorg.overrideScope (f: p: { libXau = p.libXau; });"),
        1 => Just("xorg = prev.xorg.overrideScope (f: p: {\n    # none\n  });"), 1 => Just("xorg.libX11 = prev.xorg.libX11;"),
        1 => Just("hp = prev.hp.extend (f: p: { x = p.x; });"),
    ];
    let other = prop_oneof![Just("inherit (prev) curl q;"), Just("inherit final;"), Just("scope.x = 1;")];
    let space = prop_oneof![5 => Just("\n  "), 2 => Just("\n\n  "), 2 => Just(" "), 1 => Just("\n  # note\n  "), 1 => Just(" # note\n  "), 1 => Just("\n\t"), 1 => Just("\r\n  ")];
    let end = prop_oneof![4 => Just("\n"), 1 => Just(" "), 1 => Just("\n  # end\n"), 1 => Just(""), 1 => Just("\n\n")];
    let entries = prop::collection::vec((space.clone(), key, value), 0..5);
    let extra = (prop::option::weighted(0.4, nested), prop::option::weighted(0.3, other), space);
    let set =
        (prop::bool::weighted(0.15), entries, extra, end).prop_map(|(rec, entries, (nested, other, space), end)| {
            let mut out = String::from(if rec { "rec {" } else { "{" });
            let mut seen = std::collections::HashSet::new();
            for (space, key, value) in entries.into_iter().filter(|(_, key, _)| seen.insert(*key)) {
                out.push_str(&format!("{space}{key} = {};", value.replace("KEY", key)));
            }
            for extra in [nested, other].into_iter().flatten() {
                out.push_str(&format!("{space}{extra}"));
            }
            out.push_str(end);
            out.push('}');
            out
        });
    let set = set.boxed();
    let body = prop_oneof![
        6 => set.clone(), 1 => (set.clone(), set.clone()).prop_map(|(a, b)| format!("{a} // {b}")),
        1 => set.clone().prop_map(|s| format!("lib.optionalAttrs c {s}")),
        1 => (set.clone(), set.clone()).prop_map(|(a, b)| format!("if c then {a} else {b}")),
        1 => set.clone().prop_map(|s| format!("let v = 1; in\n{s}")), 1 => set.clone().prop_map(|s| format!("with prev;\n{s}")),
        1 => set.clone().prop_map(|s| format!("f final prev // {s}")), 1 => set.clone().prop_map(|s| format!("{s} // f final prev")),
        1 => set.prop_map(|s| format!("lib.composeExtensions (a: b: {s}) f final prev")), 1 => Just("(f final prev)".to_string()),
    ]
    .boxed();
    let head = prop_oneof![6 => Just("final: prev: "), 1 => Just("_: prev:\n"), 1 => Just("final: _: "), 1 => Just("{ lib, ... }:\nfinal: prev: ")];
    (head, body, prop_oneof![Just("\n"), Just("")]).prop_map(|(h, b, e)| format!("{h}{b}{e}"))
}

/// A package and one of two patches.
fn patch() -> impl Strategy<Value = (&'static str, &'static str)> {
    let attr = prop_oneof![3 => Just("musl"), 2 => Just("zlib"), 1 => Just("absent"), 2 => Just("xorg.libX11"), 1 => Just("xorg.libXau"), 1 => Just("hp.x"), 1 => Just("python3Packages.x"), 1 => Just("curl")];
    (attr, prop_oneof![3 => Just("./fix.patch"), 1 => Just("./second.patch")])
}

fn cases() -> u32 {
    std::env::var("OVERLAYCTL_ORDER_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(400)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), max_shrink_iters: 4_000, ..ProptestConfig::default() })]

    #[test]
    fn in_whatever_order_patches_go_in_and_out_the_old_bytes_are_back(
        text in plain_overlay(),
        patches in prop::collection::vec(patch(), 2..5),
        order in prop::collection::vec(0usize..5, 4),
    ) {
        let mut now = text.clone();
        let mut there: Vec<(&str, &str)> = Vec::new();
        let mut steps = String::new();
        for (attr, path) in patches {
            let Ok(file) = OverlayFile::parse(Path::new("overlay.nix"), now.clone()) else { return Ok(()) };
            let request = PatchRequest::new(AttrPath::parse(attr).unwrap(), vec![PatchElement::path(path)]);
            let planned = match file.add_patches(&NoFiles, Select::Only, &request) {
                Ok(planned) => planned,
                Err(e) => {
                    prop_assert!(e.code() != "OV0114", "{}\n{}", e, now);
                    continue;
                }
            };
            if planned.changes.is_empty() { continue; }
            prop_assert!(!planned.warnings.iter().any(|w| w.code == "OV0154"), "not restored: {} in\n{}\nof\n{}", attr, now, text);
            now = planned.changes[0].new.clone();
            steps.push_str(&format!("--- {attr} {path}\n{now}\n"));
            there.push((attr, path));
        }
        let mut order = order.into_iter();
        while !there.is_empty() {
            let (attr, path) = there.remove(order.next().unwrap_or(0) % there.len());
            let file = OverlayFile::parse(Path::new("overlay.nix"), now.clone()).unwrap();
            let back = file.remove_patches(&NoFiles, Select::Only, &AttrPath::parse(attr).unwrap(), &[PatchElement::path(path)]);
            now = match back {
                Ok(back) => back.changes[0].new.clone(),
                Err(e) => return Err(TestCaseError::fail(format!("{attr} {path}: {e}\n{text}\n{steps}\nat\n{now}"))),
            };
            steps.push_str(&format!("--- without {attr} {path}\n{now}\n"));
        }
        prop_assert!(now == text, "old\n{}\n{}", text, steps);
    }
}

#[test]
fn deep_and_large_text_is_refused_or_edited() {
    for text in [
        "[".repeat(200_000),
        "final: prev: ".repeat(20_000),
        format!("final: prev: {}", "{ a = ".repeat(5_000)),
        "a // ".repeat(50_000),
    ] {
        assert!(OverlayFile::parse(Path::new("x.nix"), text).is_err());
    }
    let nested = format!("final: prev: {{ musl = {}prev.musl{}; }}", "(".repeat(400), ")".repeat(400));
    let file = OverlayFile::parse(Path::new("x.nix"), nested).unwrap();
    let request = PatchRequest::new(AttrPath::single("musl"), vec![PatchElement::path("./fix.patch")]);
    let _ = file.add_patches(&NoFiles, Select::Only, &request);
    let chained = format!("final: prev: {}{{ }}", "{ a = 1; } // ".repeat(150));
    let file = OverlayFile::parse(Path::new("x.nix"), chained).unwrap();
    assert!(file.add_patches(&NoFiles, Select::Only, &request).is_ok());
}
