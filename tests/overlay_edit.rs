//! Edits of overlays of every shape: the text that comes out, that a second run changes nothing, and that the inverse
//! gives the bytes back.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr, clippy::print_stdout)]

use std::path::Path;

use overlayctl::base::diagnostic::Coded;
use overlayctl::overlay::{
    Error, NoFiles, OverlayFile, PatchAttribute, PatchElement, PatchRequest, Planned, Scope, Select,
};
use overlayctl::syntax::AttrPath;

fn parse(text: &str) -> OverlayFile {
    OverlayFile::parse(Path::new("overlays/default.nix"), text.to_string()).unwrap()
}

fn request(attr: &str) -> PatchRequest {
    PatchRequest::new(AttrPath::parse(attr).unwrap(), vec![PatchElement::path("../patches/fix.patch")])
}

fn add(text: &str, request: &PatchRequest) -> Result<Planned, Error> {
    parse(text).add_patches(&NoFiles, Select::Only, request)
}

/// Adds, checks that a second run changes nothing, and returns the new text.
fn added_with(text: &str, request: &PatchRequest) -> String {
    let planned = add(text, request).unwrap_or_else(|e| panic!("{e}\n{text}"));
    assert!(!planned.changes.is_empty(), "{text}");
    let new = planned.changes[0].new.clone();
    let again = add(&new, request).unwrap_or_else(|e| panic!("second run: {e}\n{new}"));
    assert!(again.changes.is_empty(), "a second run would change\n{new}");
    let file = parse(&new);
    assert!(
        file.patched_packages().iter().any(|p| p.attr == request.attr),
        "not listed: {:?}\n{new}",
        file.patched_packages()
    );
    let back = file
        .remove_patches(&NoFiles, Select::Only, &request.attr, &request.elements)
        .unwrap_or_else(|e| panic!("removal: {e}\n{new}"));
    assert_eq!(back.changes[0].new, text, "the inverse differs; edited text was\n{new}");
    new
}

fn added(text: &str, attr: &str) -> String {
    added_with(text, &request(attr))
}

fn code(text: &str, attr: &str) -> &'static str {
    match add(text, &request(attr)) {
        Ok(p) => panic!("edited:\n{}", p.changes.first().map_or("", |c| &c.new)),
        Err(e) => {
            assert!(e.hint().is_some(), "{e}");
            e.code()
        }
    }
}

/// `musl = prev.musl.overrideAttrs ...` as it is written two spaces deep.
const MUSL: &str = "  musl = prev.musl.overrideAttrs (old: {\n    patches = (old.patches or [ ]) ++ [\n      ../patches/fix.patch\n    ];\n  });\n";

#[test]
fn a_new_key_goes_behind_the_last_one() {
    assert_eq!(
        added("final: prev: {\n  a = prev.a;\n}\n", "musl"),
        format!("final: prev: {{\n  a = prev.a;\n{MUSL}}}\n")
    );
}

#[test]
fn an_empty_set_is_opened_and_closed_again() {
    for (empty, list) in [("{ }", "[ ]"), ("{}", "[]")] {
        let new = added(&format!("final: prev: {empty}\n"), "musl");
        assert_eq!(new, format!("final: prev: {{\n{}}}\n", MUSL.replace("[ ])", &format!("{list})"))));
    }
    for (empty, param, rest) in [("{\n}", "attrs", ""), ("{\n\n}", "old", "\n"), ("{\n\n\n}", "old", "\n\n")] {
        let new = added(&format!("final: prev: {empty}\n"), "musl");
        assert_eq!(new, format!("final: prev: {{\n{}{rest}}}\n", MUSL.replace("old", param)));
    }
    // Odd ones as well, whatever they become.
    for odd in ["{  }", "{ /* x */ }", "{ # x\n}", "{\n  # a = 1;\n}", "rec { }", "({ })", "{ } // { }"] {
        added(&format!("final: prev: {odd}"), "musl");
    }
}

#[test]
fn comments_stay_where_they_are() {
    let new = added("final: prev: {\n  a = 1; # about a\n  # about nothing\n}\n", "musl");
    assert_eq!(new, format!("final: prev: {{\n  a = 1; # about a\n{MUSL}  # about nothing\n}}\n"));
}

#[test]
fn blank_lines_are_the_neighbours() {
    let new = added("final: prev: {\n  a = 1;\n\n  b = 2;\n}\n", "musl");
    assert_eq!(new, format!("final: prev: {{\n  a = 1;\n\n  b = 2;\n\n{MUSL}}}\n"));
    let new = added("final: prev: {\n  a = 1;\n  b = 2;\n}\n", "musl");
    assert_eq!(new, format!("final: prev: {{\n  a = 1;\n  b = 2;\n{MUSL}}}\n"));
}

#[test]
fn sorted_sets_and_keep_sorted_blocks_stay_sorted() {
    let new = added("final: prev: {\n  a = 1;\n  b = 2;\n  x = 3;\n  z = 4;\n}\n", "musl");
    assert_eq!(new, format!("final: prev: {{\n  a = 1;\n  b = 2;\n{MUSL}  x = 3;\n  z = 4;\n}}\n"));
    let new = added(
        "final: prev: {\n  zlib = 1;\n  # keep-sorted start\n  a = 1;\n  x = 3;\n  # keep-sorted end\n  b = 1;\n}\n",
        "musl",
    );
    assert!(new.contains(&format!("  a = 1;\n{MUSL}  x = 3;\n  # keep-sorted end")), "{new}");
    let new = added("final: prev: {\n  # keep-sorted start\n  x = 3;\n  # keep-sorted end\n}\n", "musl");
    assert!(new.contains(&format!("  # keep-sorted start\n{MUSL}  x = 3;\n")), "{new}");
}

#[test]
fn tabs_crlf_one_line_sets_and_a_missing_last_newline_stay() {
    assert!(
        added("final: prev: {\n\ta = 1;\n}", "musl")
            .contains("\n\tmusl = prev.musl.overrideAttrs (old: {\n\t\tpatches")
    );
    let new = added("final: prev: {\r\n  a = 1;\r\n}\r\n", "musl");
    assert_eq!(new, format!("final: prev: {{\n  a = 1;\n{MUSL}}}\n").replace('\n', "\r\n"));
    assert_eq!(
        added("final: prev: { a = 1; }", "musl"),
        "final: prev: { a = 1; musl = prev.musl.overrideAttrs (old: { patches = (old.patches or [ ]) ++ [ ../patches/fix.patch ]; }); }"
    );
}

#[test]
fn arguments_go_by_position() {
    assert!(added("super: self: {\n  a = 1;\n}\n", "musl").contains("musl = self.musl.overrideAttrs"));
    assert!(added("_: _prev: {\n  a = 1;\n}\n", "musl").contains("musl = _prev.musl.overrideAttrs"));
    assert!(added("inputs: final: prev: {\n  a = 1;\n}\n", "musl").contains("musl = prev.musl.overrideAttrs"));
    assert!(added("{ lib, ... }: final: prev: {\n  a = 1;\n}\n", "musl").contains("musl = prev.musl.overrideAttrs"));
}

#[test]
fn an_unused_second_argument_gets_a_name_and_loses_it_again() {
    assert_eq!(
        added("final: _: {\n  a = 1;\n}\n", "musl"),
        format!("final: prev_: {{\n  a = 1;\n{}}}\n", MUSL.replace("prev.", "prev_."))
    );
    // A name that is in use stays.
    assert!(added("final: _: {\n  a = _.a;\n}\n", "musl").contains("musl = _.musl"));
}

#[test]
fn a_rec_set_does_not_catch_the_name() {
    let new = added("final: prev: rec {\n  a = musl;\n}\n", "musl");
    assert!(new.contains("} // {\n  musl = prev.musl"), "{new}");
    assert!(added("final: prev: rec {\n  a = 1;\n}\n", "musl").contains("  a = 1;\n  musl ="));
}

#[test]
fn a_shadowed_argument_is_not_used() {
    for text in ["final: prev: let prev = final; in {\n  a = 1;\n}\n", "final: prev: rec {\n  prev = 1;\n}\n"] {
        let new = added(text, "musl");
        assert!(
            new.contains("base // {\n  musl = (base.musl or prev.musl)") || new.contains("} // {\n  musl = prev.musl"),
            "{new}"
        );
    }
}

#[test]
fn merges_conditions_and_computed_bodies() {
    let new = added("final: prev: {\n  a = 1;\n} // prev.lib.optionalAttrs true {\n  b = 1;\n}\n", "musl");
    assert!(new.contains("  a = 1;\n  musl ="), "{new}");
    let new = added("final: prev: if true then {\n  a = 1;\n} else { }\n", "musl");
    assert!(new.contains("(if true then {") && new.contains("else { }) // {\n  musl = prev.musl"), "{new}");
    for computed in [
        "f final prev",
        "f final prev // {\n  a = 1;\n}",
        "{\n  a = 1;\n} // f final prev",
        "{ ${f prev} = 1; }",
        "prev.lib.mapAttrs (n: v: v) {\n  musl = 1;\n}",
    ] {
        let new = added(&format!("final: prev:\n{computed}\n"), "musl");
        assert!(new.contains("base // {\n  musl = (base.musl or prev.musl).overrideAttrs"), "{new}");
    }
}

#[test]
fn a_second_key_behind_a_computed_body_joins_the_first() {
    let one = added("final: prev: f final prev\n", "musl");
    let two = added(&one, "zlib");
    assert!(two.contains("  zlib = (base.zlib or prev.zlib).overrideAttrs"), "{two}");
    assert_eq!(two.matches("let").count(), 1);
}

#[test]
fn what_the_body_binds_on_one_branch_is_patched_on_all() {
    for text in [
        "final: prev: prev.lib.optionalAttrs c {\n  musl = prev.musl.override { };\n}\n",
        "final: prev: {\n  musl = prev.musl.override { };\n} // f prev\n",
        "final: prev: {\n  a = 1;\n} // prev.lib.optionalAttrs c {\n  musl = prev.musl.override { };\n}\n",
    ] {
        let planned = add(text, &request("musl")).unwrap();
        assert_eq!(planned.warnings.len(), 1, "{text}");
        assert!(added(text, "musl").contains("(base.musl or prev.musl).overrideAttrs"));
    }
}

/// A binding of `musl` in an overlay, what it becomes, each on a line of its own.
const VALUES: &[(&str, &str)] = &[
    // E1
    (
        "prev.musl.overrideAttrs (o: { patches = [ ./a.patch ]; })",
        "prev.musl.overrideAttrs (o: { patches = [ ./a.patch ../patches/fix.patch ]; })",
    ),
    (
        "prev.musl.overrideAttrs (o: { patches = [ ./a.patch ] ++ o.patches; })",
        "prev.musl.overrideAttrs (o: { patches = [ ./a.patch ] ++ o.patches ++ [ ../patches/fix.patch ]; })",
    ),
    (
        "prev.musl.overrideAttrs (o: { patches = o.patches or [] ++ [./a.patch]; })",
        "prev.musl.overrideAttrs (o: { patches = o.patches or [] ++ [./a.patch ../patches/fix.patch]; })",
    ),
    (
        "prev.musl.overrideAttrs (o: { patches = []; })",
        "prev.musl.overrideAttrs (o: { patches = [../patches/fix.patch]; })",
    ),
    (
        "(prev.musl.overrideAttrs (o: { patches = [ ./a.patch ]; })).override { x = 1; }",
        "(prev.musl.overrideAttrs (o: { patches = [ ./a.patch ../patches/fix.patch ]; })).override { x = 1; }",
    ),
    ("addPatches prev.musl [ ./a.patch ]", "addPatches prev.musl [ ./a.patch ../patches/fix.patch ]"),
    // E2
    (
        "prev.musl.overrideAttrs (o: { x = 1; })",
        "prev.musl.overrideAttrs (o: { x = 1; patches = (o.patches or [ ]) ++ [ ../patches/fix.patch ]; })",
    ),
    (
        "prev.musl.overrideAttrs (_: { x = 1; })",
        "prev.musl.overrideAttrs (old_: { x = 1; patches = (old_.patches or [ ]) ++ [ ../patches/fix.patch ]; })",
    ),
    (
        "prev.musl.overrideAttrs (final: prev: { x = 1; })",
        "prev.musl.overrideAttrs (final: prev: { x = 1; patches = (prev.patches or [ ]) ++ [ ../patches/fix.patch ]; })",
    ),
    (
        "prev.musl.overrideAttrs ({ x, ... }: { y = x; })",
        "prev.musl.overrideAttrs ({ x, patches ? [ ], ... }: { y = x; patches = patches ++ [ ../patches/fix.patch ]; })",
    ),
    (
        "prev.musl.overrideAttrs ({ patches ? [ ], ... }: { y = 1; })",
        "prev.musl.overrideAttrs ({ patches ? [ ], ... }: { y = 1; }).OVERRIDE",
    ),
    (
        "prev.musl.overrideAttrs ({ x, ... }@o: { y = x; })",
        "prev.musl.overrideAttrs ({ x, ... }@o: { y = x; patches = (o.patches or [ ]) ++ [ ../patches/fix.patch ]; })",
    ),
    // E3
    ("prev.musl.overrideAttrs { x = 1; }", "(prev.musl.overrideAttrs { x = 1; }).OVERRIDE"),
    ("prev.musl.overrideAttrs f", "(prev.musl.overrideAttrs f).WHATEVER"),
    ("prev.musl.overrideAttrs (o: c { x = 1; })", "(prev.musl.overrideAttrs (o: c { x = 1; })).WHATEVER"),
    (
        "prev.musl.overrideAttrs (o: let o = 1; in { x = 1; })",
        "(prev.musl.overrideAttrs (o: let o = 1; in { x = 1; })).OVERRIDE",
    ),
    (
        "prev.musl.overrideAttrs (o: { inherit patches; })",
        "(prev.musl.overrideAttrs (o: { inherit patches; })).WHATEVER",
    ),
    // E4
    ("prev.musl.override { }", "(prev.musl.override { }).OVERRIDE"),
    ("final.callPackage ./musl { }", "(final.callPackage ./musl { }).OVERRIDE"),
    ("import ./musl prev", "(import ./musl prev).OVERRIDE"),
    ("prev.muslcc", "prev.muslcc.OVERRIDE"),
    ("prev.musl", "prev.musl.ALIAS"),
    ("(prev.musl)", "((prev.musl)).OVERRIDE"),
    ("musl", "musl.ALIAS"),
    // What a builder is given is the package's own text.
    (
        "final.stdenv.mkDerivation { a = 1; }",
        "final.stdenv.mkDerivation { a = 1; patches = [ ../patches/fix.patch ]; }",
    ),
    (
        "final.stdenv.mkDerivation (finalAttrs: { patches = [ ./a.patch ]; })",
        "final.stdenv.mkDerivation (finalAttrs: { patches = [ ./a.patch ../patches/fix.patch ]; })",
    ),
    ("prev.buildUBoot { extraPatches = [ ./a ]; }", "prev.buildUBoot { extraPatches = [ ./a ../patches/fix.patch ]; }"),
    ("mkDerivation { patches = [ ]; }", "(mkDerivation { patches = [ ]; }).OVERRIDE"),
    ("mkDerivation args", "(mkDerivation args).OVERRIDE"),
    ("if c then prev.musl else prev.muslcc", "(if c then prev.musl else prev.muslcc).OVERRIDE"),
    ("prev.musl or prev.muslcc", "(prev.musl or prev.muslcc).OVERRIDE"),
    ("prev.musl // { x = 1; }", "(prev.musl).OVERRIDE // { x = 1; }"),
    // E7
    (
        "prev.musl.overrideAttrs (o: { patches = if c then [ ] else [ ]; })",
        "prev.musl.overrideAttrs (o: { patches = (if c then [ ] else [ ]) ++ [ ../patches/fix.patch ]; })",
    ),
    ("prev.musl.overrideAttrs (o: { patches = f o; })", "(prev.musl.overrideAttrs (o: { patches = f o; })).WHATEVER"),
    ("prev.musl.overrideAttrs (o: { patches = null; })", "(prev.musl.overrideAttrs (o: { patches = null; })).NULL"),
];

#[test]
fn every_kind_of_value() {
    for (before, after) in VALUES {
        let text = format!("final: prev: {{ musl = {before}; }}\n");
        let new = added(&text, "musl");
        let call = |old: &str| {
            format!("overrideAttrs ({old}: {{ patches = ({old}.patches or [ ]) ++ [ ../patches/fix.patch ]; }})")
        };
        // What a function gives may be `null` or one path as well.
        let whatever =
            "(let p = old.patches or [ ]; in if p == null then [ ] else if builtins.isList p then p else [ p ])";
        let whatever = call("old").replace("(old.patches or [ ])", whatever);
        let after = after.replace("OVERRIDE", &call("old")).replace("ALIAS", &call("oldAttrs"));
        let null = "(if old.patches or null == null then [ ] else old.patches)";
        let null = call("old").replace("(old.patches or [ ])", null);
        let after = after.replace("WHATEVER", &whatever).replace("NULL", &null);
        let style = if text.contains("[]") { after.replace("[ ]", "[]") } else { after };
        // `patches ? [ ]` that is there and unused cannot be told from one that was added.
        if !before.contains("{ patches ? [ ]") && !before.contains("prev.musl // ") {
            assert_eq!(new, format!("final: prev: {{ musl = {style}; }}\n"));
        }
    }
}

#[test]
fn keys_in_other_spellings() {
    added("final: prev: {\n  \"musl\" = prev.musl.override { };\n}\n", "musl");
    added("let n = \"musl\"; in final: prev: {\n  ${n} = prev.musl.override { };\n}\n", "musl");
    added("final: prev: {\n  inherit (prev) musl zlib;\n}\n", "musl");
    added("final: prev: {\n  inherit (final.x)\n    musl # why\n    zlib\n    ;\n}\n", "musl");
    added("final: prev: let musl = f prev; in {\n  inherit musl;\n}\n", "musl");
    added("final: prev: rec {\n  inherit (prev) musl;\n  a = musl;\n}\n", "musl");
    for odd in ["\"a.b\"", "\"if\"", "\"a\\\"b\"", "\"a b\"", "\"x\\${y}\"", "\"\\n\"", "\"ö\""] {
        added("final: prev: {\n  a = 1;\n}\n", odd);
    }
}

#[test]
fn refusals_have_codes_and_ways_out() {
    assert_eq!(code("{ a = 1; }", "musl"), "OV0101");
    assert_eq!(code("[ (final: prev: { }) (final: prev: { }) ]", "musl"), "OV0103");
    assert_eq!(code("{ x = prev.haskellPackages.extend (hfinal: hprev: { }); }", "musl"), "OV0104");
    assert_eq!(code("# This file is generated by x\nfinal: prev: { }", "musl"), "OV0105");
    assert_eq!(code("self: super: { overrides = { }; tests = { }; }", "musl"), "OV0106");
    assert_eq!(code("final: prev: prev.lib.makeScope prev.newScope (self: { })", "musl"), "OV0106");
    for value in [
        "null",
        "{ }",
        "[ ]",
        "\"x\"",
        "1",
        "x: x",
        "prev.xorg",
        "prev.linuxPackages.extend f",
        "if c then null else prev.musl",
    ] {
        assert_eq!(code(&format!("final: prev: {{ musl = {value}; }}"), "musl"), "OV0107", "{value}");
    }
    assert_eq!(code("final: prev: { musl.x = 1; }", "musl"), "OV0108");
    assert_eq!(code("final: prev: { }", "unknownScope.x"), "OV0109");
}

#[test]
fn the_line_says_which_function() {
    let text = "[\n  (final: prev: { })\n  (final: prev: { })\n]\n";
    let planned = parse(text).add_patches(&NoFiles, Select::Line(3), &request("musl")).unwrap();
    assert!(planned.changes[0].new.starts_with("[\n  (final: prev: { })\n  (final: prev: {\n"));
    let error = parse(text).add_patches(&NoFiles, Select::Line(1), &request("musl")).unwrap_err();
    assert_eq!(error.code(), "OV0102");
    assert!(error.hint().unwrap().contains("overlays/default.nix:2"));
}

#[test]
fn the_overlay_that_binds_the_package_is_taken() {
    let text = "[\n  (final: prev: { })\n  (final: prev: { musl = prev.musl.override { }; })\n]\n";
    assert!(added(text, "musl").contains("(prev.musl.override { }).overrideAttrs"));
}

#[test]
fn positions_and_several_patches_keep_their_order() {
    let text = "final: prev: {\n  musl = prev.musl.overrideAttrs (o: {\n    patches = [\n      ./a.patch # a\n      ./b.patch\n    ];\n  });\n}\n";
    let mut wanted = request("musl");
    wanted.elements = vec![PatchElement::path("./1.patch"), PatchElement::path("./2.patch")];
    assert!(added_with(text, &wanted).contains("./a.patch # a\n      ./b.patch\n      ./1.patch\n      ./2.patch\n"));
    wanted.position = Some(0);
    assert!(added_with(text, &wanted).contains("[\n      ./1.patch\n      ./2.patch\n      ./a.patch # a\n"));
    wanted.position = Some(1);
    assert!(added_with(text, &wanted).contains("./a.patch # a\n      ./1.patch\n      ./2.patch\n      ./b.patch\n"));
    let mut both = request("musl");
    both.elements = vec![PatchElement::path("./b.patch"), PatchElement::path("./c.patch")];
    let planned = add(text, &both).unwrap();
    assert_eq!(planned.changes[0].new.matches("./b.patch").count(), 1);
}

#[test]
fn removal_after_other_edits_takes_only_what_was_written() {
    let text = "final: prev: {\n  a = prev.a;\n}\n";
    let new = added(text, "musl");
    let edited = new.replace("a = prev.a;", "a = prev.a2; # changed").replace("}\n", "}\n# end\n");
    let edited = edited.replace("  musl =", "  # before\n  b = 1;\n  musl =");
    let back = parse(&edited)
        .remove_patches(&NoFiles, Select::Only, &AttrPath::single("musl"), &request("musl").elements)
        .unwrap();
    assert_eq!(back.changes[0].new, "final: prev: {\n  a = prev.a2; # changed\n  # before\n  b = 1;\n}\n# end\n");
}

#[test]
fn one_of_two_patches_is_removed() {
    let mut two = request("musl");
    two.elements.push(PatchElement::path("../patches/two.patch"));
    let new = added_with("final: prev: {\n  a = 1;\n}\n", &two);
    let back = parse(&new).remove_patches(&NoFiles, Select::Only, &two.attr, &two.elements[1..]).unwrap();
    assert_eq!(back.changes[0].new, added("final: prev: {\n  a = 1;\n}\n", "musl"));
    let missing = parse(&new).remove_patches(&NoFiles, Select::Only, &two.attr, &[PatchElement::path("./no.patch")]);
    assert_eq!(missing.unwrap_err().code(), "OV0111");
}

#[test]
fn fetched_patches() {
    let mut fetched = request("musl");
    let hash = "sha256-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=".to_string();
    fetched.elements =
        vec![PatchElement::Fetch { url: "https://x/\"${a}\".patch".into(), hash_attr: "hash".into(), hash }];
    let new = added_with("final: prev: {\n  a = 1;\n}\n", &fetched);
    assert!(new.contains("(prev.fetchpatch {\n        url = \"https://x/\\\"\\${a}\\\".patch\";"), "{new}");
}

#[test]
fn the_host_scope_is_a_guard() {
    let mut host = request("musl");
    host.scope = Scope::Host;
    let new = added_with("final: prev: {\n  a = 1;\n}\n", &host);
    assert!(new.contains("  musl =\n    if prev.stdenv.hostPlatform != prev.stdenv.buildPlatform then\n"), "{new}");
    assert!(new.contains("    else\n      prev.musl;\n"), "{new}");
    host.elements = vec![PatchElement::path("./two.patch")];
    assert!(added_with(&new, &host).contains("../patches/fix.patch\n          ./two.patch\n"));
    added_with("final: prev: {\n  musl = prev.musl.override { };\n}\n", &host);
}

/// Files of a workspace, by path.
struct Tree(&'static [(&'static str, &'static str)]);

impl overlayctl::overlay::Files for Tree {
    fn read(&self, path: &Path) -> Option<String> {
        self.0.iter().find(|(p, _)| Path::new(p) == path).map(|(_, t)| (*t).to_string())
    }
}

#[test]
fn an_import_that_passes_both_arguments_on_is_followed() {
    let tree = Tree(&[("overlays/more/default.nix", "self: super: {\n  a = 1;\n}\n")]);
    let file = parse("final: prev: import ./more final prev\n");
    let planned = file.add_patches(&tree, Select::Only, &request("musl")).unwrap();
    assert_eq!(planned.changes[0].path, Path::new("overlays/more/default.nix"));
    assert_eq!(planned.warnings[0].code, "OV0156");
    assert!(
        planned.changes[0].new.contains("musl = super.musl")
            && planned.changes[0].new.contains("../../patches/fix.patch")
    );
    // Arguments in another order are not passed on: the body is wrapped.
    let file = parse("final: prev: import ./more prev final\n");
    let planned = file.add_patches(&tree, Select::Only, &request("musl")).unwrap();
    assert_eq!(planned.changes[0].path, Path::new("overlays/default.nix"));
}

#[test]
fn a_position_past_the_end_is_refused() {
    let mut wanted = request("musl");
    wanted.position = Some(3);
    let text = "final: prev: { musl = prev.musl.overrideAttrs (o: { patches = [ ./a.patch ]; }); }";
    assert_eq!(add(text, &wanted).unwrap_err().code(), "OV0112");
}

#[test]
fn a_list_with_a_style_of_its_own_keeps_it() {
    let text = "{ self }: final: prev: {\n  musl = prev.musl.overrideAttrs (o: {\n    patches = [ \"${self}/p/a.patch\" ];\n  });\n}\n";
    let mut wanted = request("musl");
    wanted.elements = vec![PatchElement::Path { relative: "../p/b.patch".into(), from_root: Some("p/b.patch".into()) }];
    assert!(added_with(text, &wanted).contains("[ \"${self}/p/a.patch\" \"${self}/p/b.patch\" ]"));
    let text = "let dir = ../patches; in final: prev: {\n  musl = prev.musl.overrideAttrs (o: {\n    patches = [\n      \"${dir}/a.patch\"\n    ];\n  });\n}\n";
    assert!(added(text, "musl").contains("      \"${dir}/a.patch\"\n      \"${dir}/fix.patch\"\n"));
}

#[test]
fn an_overlay_of_a_scope_takes_the_rest_of_the_path() {
    let file = OverlayFile::parse(Path::new("python-overlay.nix"), "pyfinal: pyprev: {\n  a = 1;\n}\n".into()).unwrap();
    let planned = file.add_patches(&NoFiles, Select::Only, &request("python3Packages.requests")).unwrap();
    let new = &planned.changes[0].new;
    assert!(new.contains("  requests = pyprev.requests.overrideAttrs"), "{new}");
    assert_eq!(file.add_patches(&NoFiles, Select::Only, &request("musl")).unwrap_err().code(), "OV0104");
    let file = OverlayFile::parse(Path::new("python-overlay.nix"), new.clone()).unwrap();
    let attr = AttrPath::parse("python3Packages.requests").unwrap();
    let back = file.remove_patches(&NoFiles, Select::Only, &attr, &request("x").elements).unwrap();
    assert_eq!(back.changes[0].new, "pyfinal: pyprev: {\n  a = 1;\n}\n");
}

#[test]
fn names_of_functions_say_what_they_overlay() {
    let kind = |text: &str| OverlayFile::parse(Path::new("x.nix"), text.into()).unwrap().functions()[0].kind;
    use overlayctl::overlay::FnKind;
    assert_eq!(kind("{ crossOverlay = final: prev: { }; }"), FnKind::Packages);
    assert_eq!(kind("{ overlays.python = final: prev: { }; }"), FnKind::Packages);
    assert_eq!(kind("{ pythonOverlay = final: prev: { }; }"), FnKind::Scope);
    assert_eq!(kind("x.override { packageOverrides = self: super: { }; }"), FnKind::Scope);
    assert_eq!(kind("{ packageOverrides = pkgs: { }; }"), FnKind::PackageOverrides);
    assert_eq!(kind("overlay: final: prev: overlay final prev"), FnKind::Combinator);
    assert_eq!(kind("lib.extend (final: prev: { })"), FnKind::Lib);
    assert_eq!(kind("{ overrides ? self: super: { } }: 1"), FnKind::DefaultArgument);
    assert_eq!(kind("prev.nixVersions.extend (final: prev: { })"), FnKind::Scope);
    assert_eq!(kind("pkgs.extend (final: prev: { })"), FnKind::Packages);
}

#[test]
fn nested_scopes_go_the_way_that_is_there() {
    for (attr, text) in [
        ("python3Packages.requests", "final: prev: { }\n"),
        (
            "python3Packages.requests",
            "final: prev: {\n  pythonPackagesExtensions = prev.pythonPackagesExtensions ++ [\n    (pf: pp: {\n      a = 1;\n    })\n  ];\n}\n",
        ),
        (
            "python3Packages.requests",
            "final: prev: {\n  pythonPackagesExtensions = prev.pythonPackagesExtensions ++ [ (import ./x.nix) ];\n}\n",
        ),
        (
            "python3Packages.requests",
            "final: prev: {\n  python3 = prev.python3.override {\n    packageOverrides = pf: pp: {\n      a = 1;\n    };\n  };\n}\n",
        ),
        ("haskellPackages.aeson", "final: prev: { }\n"),
        (
            "haskellPackages.aeson",
            "final: prev: {\n  haskellPackages = prev.haskellPackages.override {\n    overrides = hf: hp: { };\n  };\n}\n",
        ),
        ("haskellPackages.aeson", "final: prev: {\n  haskellPackages = prev.haskell.packages.ghc98;\n}\n"),
        ("xorg.libX11", "final: prev: { }\n"),
        ("xorg.libX11", "final: prev: {\n  xorg = prev.xorg // {\n    a = 1;\n  };\n}\n"),
        (
            "xorg.libX11",
            "final: prev: {\n  xorg = prev.xorg.overrideScope (xf: xp: {\n    libX11 = xp.libX11.overrideAttrs (_: { x = 1; });\n  });\n}\n",
        ),
        ("perlPackages.URI", "final: prev: { }\n"),
        ("linuxPackages.zfs", "final: prev: {\n  a = 1;\n}\n"),
        ("linux_6_1", "final: prev: {\n  a = 1;\n}\n"),
        ("xorg.libX11", "final: prev: f final prev\n"),
        ("python3Packages.requests", "final: prev: f final prev\n"),
    ] {
        added(text, attr);
    }
}

/// A request for a patch of `Cargo.lock`.
fn cargo(attr: &str, hash: Option<&str>) -> PatchRequest {
    let attribute = Some(PatchAttribute::CargoPatches { hash: hash.map(str::to_string), of_final: false });
    PatchRequest { attribute, ..request(attr) }
}

#[test]
fn cargo_patches_go_through_the_builder() {
    let new = added_with("final: prev: {\n  a = 1;\n}\n", &cargo("ripgrep", Some("cargoHash")));
    let expected = r#"final: prev: {
  a = 1;
  ripgrep = prev.ripgrep.override (old: {
    rustPlatform = old.rustPlatform // {
      buildRustPackage = args: old.rustPlatform.buildRustPackage (args // {
        cargoPatches = (args.cargoPatches or [ ]) ++ [
          ../patches/fix.patch
        ];
        cargoHash = "sha256-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
      });
    };
  });
}
"#;
    assert_eq!(new, expected);
    let mut second = cargo("ripgrep", Some("cargoHash"));
    second.elements = vec![PatchElement::path("../patches/second.patch")];
    let two = added_with(&new, &second);
    assert_eq!(two, new.replace("fix.patch\n", "fix.patch\n          ../patches/second.patch\n"));
    // Where the builder is given a function of the final attributes.
    let of_final = |elements: &str| {
        let attribute = Some(PatchAttribute::CargoPatches { hash: None, of_final: true });
        PatchRequest { attribute, elements: vec![PatchElement::path(elements)], ..request("ripgrep") }
    };
    let of_function = added_with("final: prev: {\n  a = 1;\n}\n", &of_final("../patches/fix.patch"));
    let given = "buildRustPackage (finalAttrs: args finalAttrs // {\n        cargoPatches = ((args finalAttrs).cargoPatches or [ ]) ++ [";
    assert!(of_function.contains(given), "{of_function}");
    let two = added_with(&of_function, &of_final("../patches/second.patch"));
    assert_eq!(two, of_function.replace("fix.patch\n", "fix.patch\n          ../patches/second.patch\n"));
    // Whatever the value is, and with no hash.
    for value in ["prev.ripgrep", "prev.ripgrep.overrideAttrs (old: { doCheck = false; })", "f prev.ripgrep"] {
        added_with(&format!("final: prev: {{ ripgrep = {value}; }}"), &cargo("ripgrep", None));
    }
}

#[test]
fn cargo_patches_of_a_package_of_the_overlays_own_stand_in_it() {
    let text = "final: prev: {\n  tool = final.rustPlatform.buildRustPackage rec {\n    pname = \"tool\";\n    cargoHash = \"\";\n  };\n}\n";
    let new = added_with(text, &cargo("tool", Some("cargoHash")));
    assert_eq!(
        new,
        text.replace(
            "cargoHash = \"\";\n",
            "cargoHash = \"\";\n    cargoPatches = [\n      ../patches/fix.patch\n    ];\n"
        )
    );
    let there = text.replace("cargoHash", "cargoPatches = [ ./a.patch ];\n    cargoHash");
    let new = added_with(&there, &cargo("tool", None));
    assert!(new.contains("[ ./a.patch ../patches/fix.patch ]"), "{new}");
}

#[test]
fn sets_within_sets_and_dotted_keys() {
    let new = added("final: prev: { }\n", "haskell.packages.ghc96.aeson");
    let way = "haskell = prev.haskell // { packages = prev.haskell.packages // { ghc96 = prev.haskell.packages.ghc96.extend (_scopeFinal: scopePrev: {\n";
    assert!(new.contains(way) && new.contains("  aeson = scopePrev.aeson.overrideAttrs (old: {"), "{new}");
    let text = "final: prev: {\n  haskell = prev.haskell // {\n    packages = prev.haskell.packages // {\n      ghc94 = f;\n    };\n  };\n}\n";
    let new = added(text, "haskell.packages.ghc96.aeson");
    assert!(new.contains("      ghc96 = prev.haskell.packages.ghc96.extend (_scopeFinal: scopePrev: {\n"), "{new}");
    let new = added("final: prev: { }\n", "linuxPackages_latest.kernel");
    assert!(new.contains("kernel = scopePrev.kernel.override (old: {"), "{new}");
    assert!(new.contains("kernelPatches = (old.kernelPatches or [ ]) ++ ["), "{new}");
    for value in ["prev.hello", "prev.xorg.libX11", "prev.xorg.libX11.override { }", "f prev.xorg.libX11"] {
        let new = added(&format!("final: prev: {{\n  xorg.libX11 = {value};\n  xorg.a = 1;\n}}\n"), "xorg.libX11");
        assert!(new.contains("overrideAttrs"), "{new}");
    }
    assert_eq!(code("final: prev: { xorg.libX11 = null; }", "xorg.libX11"), "OV0107");
    // Another name of a set with a way of its own.
    assert!(added("final: prev: { }\n", "python3.pkgs.requests").contains("pythonPackagesExtensions"));
}

/// Bindings within sets that the user wrote, in every form: what is written there is taken back to the byte.
#[test]
fn bindings_of_nested_sets_come_back() {
    let thunar = "(import ./x.nix { }).xfce.thunar";
    for (attr, text) in [
        ("xfce.thunar", format!("final: prev: {{ xfce = prev.xfce // {{ thunar = {thunar}; }}; keep = 1; }}")),
        ("xfce.thunar", format!("final: prev: {{ xfce.thunar = {thunar}; keep = 1; }}")),
        ("xfce.thunar", format!("final: prev: {{ xfce = prev.xfce.overrideScope (f: p: {{ thunar = {thunar}; }}); }}")),
        ("xfce.thunar", format!("final: prev: {{ xfce = prev.xfce // rec {{ thunar = {thunar}; }}; }}")),
        ("xfce.thunar", "final: prev: { xfce = prev.xfce // { thunar = prev.xfce.thunar; }; }".into()),
        ("xfce.thunar", "final: prev: { xfce = prev.xfce // { thunar = b.thunar or prev.xfce.thunar; }; }".into()),
        ("xfce.thunar", "final: prev: { xfce = prev.xfce // { }; keep = 1; }".into()),
        ("xfce.thunar", "final: prev: { xfce = prev.xfce // {}; }".into()),
        ("xfce.thunar", "final: prev: { xfce = prev.xfce // {\n  }; }".into()),
        ("xfce.thunar", "final: prev: { xfce = prev.xfce.overrideScope (_scopeFinal: scopePrev: { }); }".into()),
        ("hp.x", "final: prev: { hp = prev.hp.extend (f: p: { x = p.x; }); }".into()),
        ("hp.x", "final: prev: { hp = prev.hp.extend (f: p: { }); }".into()),
        (
            "hp.x",
            "final: prev: { hp = prev.hp.override { overrides = f: p: { x = f.callPackage ./x.nix { }; }; }; }".into(),
        ),
        ("hp.x", "final: prev: let e = f: p: { x = p.x; }; in { hp = prev.hp.extend e; }".into()),
        ("a", "final: prev: rec { a = prev.a; z = a.override { x = 1; }; }".into()),
        ("z", "final: prev: rec { a = prev.a; z = a.override { x = 1; }; }".into()),
        ("a", "final: prev: { a = (import ./x.nix { }).a; }".into()),
        ("a", "final: prev: { a = x.y.a or prev.a; }".into()),
        ("a", "final: prev: { a = (base.a or prev.a); }".into()),
        ("a", "final: prev: { a = prev.a.overrideAttrs (old: { }); }".into()),
        ("a", "final: prev: { a = prev.a.overrideAttrs (old: { patches = old.patches or [ ]; }); }".into()),
    ] {
        added(&text, attr);
    }
}

#[test]
fn what_another_attribute_has_is_that_ones() {
    let text = "final: prev: rec { a = prev.a; z = a.override { x = 1; }; }";
    let new = added(text, "a");
    let listed: Vec<String> = parse(&new).patched_packages().iter().map(|p| p.attr.to_string()).collect();
    assert_eq!(listed, ["a"]);
    // `z` has it, so it is not put in twice; and it is not taken from `a` under the name of `z`.
    assert!(add(&new, &request("z")).unwrap().changes.is_empty());
    let z = AttrPath::single("z");
    let wrong = parse(&new).remove_patches(&NoFiles, Select::Only, &z, &request("z").elements);
    assert_eq!(wrong.unwrap_err().code(), "OV0111");
}

#[test]
fn another_package_set_within_an_overlay_has_its_own_names() {
    let inner = "(f: p: {\n    zlib = p.zlib.overrideAttrs (o: {\n      doCheck = false;\n    });\n  })";
    for (set, value) in [
        ("pkgsStatic", format!("prev.pkgsStatic.extend {inner}")),
        ("pkgsMusl", format!("prev.pkgsMusl.appendOverlays [ {inner} ]")),
        ("unstable", format!("import inputs.unstable {{ overlays = [ {inner} ]; }}")),
        ("pkgsCross.pi", format!("prev.pkgsCross.pi.extend {inner}")),
    ] {
        let key = set.split('.').next().unwrap();
        let value = match set.split_once('.') {
            Some((all, name)) => format!("prev.{all} // {{ {name} = {value}; }}"),
            None => value,
        };
        let text = format!("inputs: final: prev: {{\n  {key} = {value};\n}}\n");
        let file = parse(&text);
        use overlayctl::overlay::FnKind;
        let kinds: Vec<FnKind> = file.functions().iter().map(|f| f.kind).collect();
        assert_eq!(kinds, [FnKind::Packages, FnKind::Scope], "{text}");
        let outer = added(&text, "zlib");
        assert!(outer.contains("  zlib = prev.zlib.overrideAttrs"), "{outer}");
        let named = format!("{set}.zlib");
        let within = added(&text, &named);
        assert!(within.contains("      doCheck = false;\n      patches = (o.patches or [ ]) ++"), "{within}");
        let listed: Vec<String> = parse(&within).patched_packages().iter().map(|p| p.attr.to_string()).collect();
        assert_eq!(listed, std::slice::from_ref(&named), "{within}");
        // By the place of the inner function, under the whole name as well.
        let place = parse(&within).functions()[1].place.span.unwrap().start;
        let attr = AttrPath::parse(&named).unwrap();
        let back =
            parse(&within).remove_patches(&NoFiles, Select::Offset(place), &attr, &request("x").elements).unwrap();
        assert_eq!(back.changes[0].new, text);
        let wrong = parse(&text).add_patches(&NoFiles, Select::Offset(place), &request("zlib"));
        assert_eq!(wrong.unwrap_err().code(), "OV0104");
    }
}

#[test]
fn a_set_that_is_made_in_a_let_is_named_by_what_it_extends() {
    let made =
        "let s = prev.pkgsStatic.extend (f: p: { zlib = p.zlib.overrideAttrs (o: { patches = [ ./a.patch ]; }); })";
    for (result, wanted) in [
        ("{ inherit (s) zlib; }", "pkgsStatic.zlib"),
        ("{ pkgsStatic = s; }", "pkgsStatic.zlib"),
        ("{ t = s; }", "t.zlib"),
    ] {
        let text = format!("final: prev: {made}; in {result}");
        let listed: Vec<String> = parse(&text).patched_packages().iter().map(|p| p.attr.to_string()).collect();
        assert_eq!(listed, [wanted], "{text}");
    }
}

#[test]
fn functions_are_what_they_are_used_as() {
    use overlayctl::overlay::FnKind::{self, *};
    let kinds = |text: &str| -> Vec<FnKind> {
        OverlayFile::parse(Path::new("x.nix"), text.into()).unwrap().functions().iter().map(|f| f.kind).collect()
    };
    for (text, wanted) in [
        ("let ov = final: prev: { }; in pkgs.haskellPackages.override { overrides = ov; }", Scope),
        ("let ov = final: prev: { }; in python3.override { packageOverrides = ov; }", Scope),
        ("let ov = final: prev: { }; in lib.extend ov", Lib),
        ("let ov = final: prev: { }; in a.overrideAttrs ov", Attributes),
        ("let ov = final: prev: { }; in xfce.overrideScope ov", Scope),
        ("let ov = final: prev: { }; in lib.fix (lib.extends ov (self: { }))", Scope),
        ("let ov = final: prev: { }; in hp.override { overrides = lib.composeExtensions ov other; }", Scope),
        ("let ov = f: p: { }; in import nixpkgs { overlays = [ ov ]; }", Packages),
        ("let ov = f: p: { }; in import nixpkgs { crossOverlays = [ ov ]; }", Packages),
        ("let ov = f: p: { }; all = [ ov ]; in import nixpkgs { overlays = all; }", Packages),
        ("let ov = f: p: { }; in { overlays = { inherit ov; }; }", Packages),
        ("let ov = f: p: { }; in pkgs.extend (lib.composeManyExtensions [ ov ])", Packages),
        ("rec { ov = final: prev: { }; out = lib.extend ov; }", Lib),
        ("{ sets.ov = final: prev: { }; out = x.overrideAttrs sets.ov; }", Attributes),
        ("haskellPackages.extend (lib.composeExtensions (f: p: { }) (final: prev: { }))", Scope),
        ("nixpkgs.legacyPackages.${system}.extend (final: prev: { })", Packages),
        ("nixpkgs.legacyPackages.x86_64-linux.extend (final: prev: { })", Packages),
        ("nixpkgs.legacyPackages.${system}.python3Packages.overrideScope (final: prev: { })", Scope),
        ("nixpkgs.legacyPackages.${system}.haskellPackages.extend (final: prev: { })", Scope),
        ("{ nixpkgs.overlays = lib.optional c (final: prev: { }); }", Packages),
        ("{ nixpkgs.overlays = lib.singleton (final: prev: { }); }", Packages),
        ("{ nixpkgs.overlays = lib.mkIf c [ (final: prev: { }) ]; }", Packages),
        ("{ nixpkgs.overlays = lib.mkAfter [ (f: p: { }) ]; }", Packages),
        ("{ nixpkgs.overlays = lib.mkBefore (lib.optionals c [ (f: p: { }) ]); }", Packages),
        ("{ nixpkgs.overlays = lib.mkMerge [ [ (f: p: { }) ] (lib.mkIf c [ other ]) ]; }", Packages),
        ("{ nixpkgs = { overlays = lib.mkForce ([ a ] ++ lib.optional c (final: prev: { })); }; }", Packages),
        ("{ home-manager.users.me.nixpkgs.overlays = [ (final: prev: { }) ]; }", Packages),
        ("{ overlays = [ (lib.composeExtensions (f: p: { }) a) ]; }", Packages),
        ("lib.composeManyExtensions [ (f: p: { }) ]", Packages),
        // Given away, though another package set within an overlay has it too; and for that one alone.
        ("rec { ov = final: prev: { }; un = f: p: { un = import x { overlays = [ ov ]; }; }; }", Packages),
        ("final: prev: let ov = f: p: { }; in { un = import x { overlays = [ ov ]; }; }", Packages),
    ] {
        assert!(kinds(text).first() == Some(&wanted), "{text}: {:?}", kinds(text));
    }
    let within = "final: prev: let ov = f: p: { }; in { un = import x { overlays = [ ov ]; }; }";
    assert_eq!(kinds(within), [Packages, Scope]);
    // A helper that is called with both arguments is no part of the overlay.
    let helper = "final: prev: let of = final': pkgs: import pkgs.path { }; un = of final prev; in { inherit (un) a; }";
    assert_eq!(kinds(helper), [Packages]);
    assert_eq!(kinds("{ hardware.deviceTree.overlays = [ (a: b: { }) ]; }"), []);
}

#[test]
fn files_are_told_what_they_are_used_as() {
    use overlayctl::overlay::FnKind::*;
    let uses = |text: &str| -> Vec<(String, overlayctl::overlay::FnKind)> {
        let file = OverlayFile::parse(Path::new("x.nix"), text.into()).unwrap();
        file.file_uses().into_iter().map(|f| (f.relative, f.kind)).collect()
    };
    for (text, wanted) in [
        ("lib.extend (import ./o.nix)", Some(Lib)),
        ("a.overrideAttrs (import ./o.nix)", Some(Attributes)),
        ("a.overrideAttrs (import ./o.nix { inherit x; })", Some(Attributes)),
        ("hp.override { overrides = import ./o.nix; }", Some(Scope)),
        (
            "hp.override (old: { overrides = lib.composeExtensions (old.overrides or (_: _: { })) (import ./o.nix); })",
            Some(Scope),
        ),
        ("python3.override { packageOverrides = import ./o.nix { }; }", Some(Scope)),
        ("xfce.overrideScope (import ./o.nix)", Some(Scope)),
        ("lib.makeScope newScope (import ./o.nix)", Some(Scope)),
        ("import nixpkgs { overlays = [ (import ./o.nix) ]; }", Some(Packages)),
        ("import nixpkgs { crossOverlays = map import [ ./o.nix ]; }", Some(Packages)),
        ("{ nixpkgs.overlays = lib.mkAfter [ (import ./o.nix) ]; }", Some(Packages)),
        ("{ nixpkgs.overlays = lib.optional c (import ./o.nix inputs); }", Some(Packages)),
        ("let o = import ./o.nix; in pkgs.extend o", Some(Packages)),
        ("let o = import ./o.nix; in pkgs.haskellPackages.extend o", Some(Scope)),
        ("nixpkgs.legacyPackages.${system}.extend (import ./o.nix)", Some(Packages)),
        ("{ outputs = { self }: { overlays.default = import ./o.nix; }; }", Some(Packages)),
        ("final: prev: import ./o.nix final prev", Some(Packages)),
        ("final: prev: { pkgsStatic = prev.pkgsStatic.extend (import ./o.nix); }", Some(Scope)),
        ("[ (import ./o.nix) ]", Some(Packages)),
        ("pkgs.callPackage ./o.nix { }", None),
        ("{ imports = [ ./o.nix ]; }", None),
        (
            "{ nixpkgs.overlays = [ (final: prev: { a = prev.a.overrideAttrs (o: { patches = [ ./o.nix ]; }); }) ]; }",
            None,
        ),
        ("{ hardware.deviceTree.overlays = [ ./o.nix ]; }", None),
    ] {
        assert_eq!(uses(text).into_iter().map(|(_, kind)| kind).next(), wanted, "{text}");
    }
}

#[test]
fn overlays_in_modules_and_extended_sets_are_edited() {
    for text in [
        "{ outputs = { nixpkgs, ... }: { p = nixpkgs.legacyPackages.${system}.extend (final: prev: { }); }; }",
        "{ nixpkgs.overlays = lib.optional c (final: prev: { }); }",
        "{ nixpkgs.overlays = lib.singleton (final: prev: {\n  a = 1;\n}); }",
        "{ nixpkgs.overlays = lib.mkIf c [ (f: p: { }) ]; }",
        "{ nixpkgs.overlays = lib.mkMerge [ [ (f: p: { }) ] ]; }",
    ] {
        added(text, "zlib");
    }
}

#[test]
fn flake_parts_overlay_attrs_are_an_overlay_of_pkgs() {
    let module = |pattern: &str, value: &str| {
        format!("{{\n  perSystem = {pattern}: {{\n    overlayAttrs = {value};\n  }};\n}}\n")
    };
    let new = added(&module("{ config, pkgs, ... }", "{\n      inherit (config.packages) a;\n    }"), "zlib");
    assert!(new.contains("      zlib = pkgs.zlib.overrideAttrs (old: {"), "{new}");
    for value in [
        "{ }",
        "{ a = 1; }",
        "config.packages",
        "{ zlib = pkgs.zlib; }",
        "rec { }",
        "{ inherit (config.packages) zlib; }",
    ] {
        added(&module("{ config, pkgs, ... }", value), "zlib");
        added(&module("args@{ config, pkgs, final, ... }", value), "zlib");
    }
    let text = module("{ config, ... }", "{ }");
    let error = add(&text, &request("zlib")).unwrap_err();
    assert_eq!(error.code(), "OV0106");
    assert!(error.to_string().contains("pkgs"), "{error}");
    assert_eq!(code(&module("{ pkgs, ... }", "lib.mkIf c { }"), "zlib"), "OV0106");
    let found = parse(&text).functions();
    assert_eq!(found[0].place.line_col.unwrap().line, 3);
}

#[test]
fn what_is_put_beside_a_token_stays_a_token() {
    for text in [
        "final: prev:(builtins.foldl' (a: b: a) { } [ ])",
        "final: prev:{ ${final.x} = 1; }",
        "_final: _prev:f _final _prev",
        "final: prev:(f final prev)//{a=1;}",
        "final: prev: let x = 1; in(f x)",
        "final: prev: with x;(f x)",
        "final: prev:{musl=if c then(x)else(y);}",
        "final: prev:{musl=prev.musl;}",
        "final: prev:{musl=prev.musl.overrideAttrs(o:{patches=[./a.patch(b)];});}",
        "final: prev:{musl=prev.musl.overrideAttrs(o:{patches=f o;});}",
    ] {
        added(text, "musl");
        added(text, "xorg.libX11");
    }
    // A URI, called with a set.
    assert_eq!(code("final:prev:{}", "musl"), "OV0101");
    let mut wanted = request("musl");
    wanted.position = Some(1);
    added_with("final: prev:{musl=prev.musl.overrideAttrs(o:{patches=[(a)(b)];});}", &wanted);
    for tight in ["[./a.patch]", "[./a.patch ./b.patch]", "[(a)(b)]"] {
        wanted.position = Some(0);
        added_with(
            &format!("final: prev: {{ musl = prev.musl.overrideAttrs (o: {{ patches = {tight}; }}); }}"),
            &wanted,
        );
    }
}

#[test]
fn a_new_patch_comes_last() {
    for (list, wanted) in [
        ("[ ./a ] ++ o.patches", "[ ./a ] ++ o.patches ++ [ ../patches/fix.patch ]"),
        ("o.patches ++ [ ./a ] ++ more", "o.patches ++ [ ./a ] ++ more ++ [ ../patches/fix.patch ]"),
        ("(o.patches or [ ]) ++ [ ./a ]", "(o.patches or [ ]) ++ [ ./a ../patches/fix.patch ]"),
        ("lib.concat [ ./a ] o.patches", "lib.concat [ ./a ] o.patches ++ [ ../patches/fix.patch ]"),
        ("lib.optionals c [ ./a ] ++ o.patches", "lib.optionals c [ ./a ] ++ o.patches ++ [ ../patches/fix.patch ]"),
        ("o.patches ++ lib.optional c ./a", "o.patches ++ lib.optional c ./a ++ [ ../patches/fix.patch ]"),
        ("([ ./a ] ++ o.patches)", "([ ./a ] ++ o.patches) ++ [ ../patches/fix.patch ]"),
        ("if c then [ ./a ] else [ ]", "(if c then [ ./a ] else [ ]) ++ [ ../patches/fix.patch ]"),
        ("with x; [ ./a ]", "(with x; [ ./a ]) ++ [ ../patches/fix.patch ]"),
    ] {
        let text = format!("final: prev: {{ musl = prev.musl.overrideAttrs (o: {{ patches = {list}; }}); }}\n");
        let new = added(&text, "musl");
        assert!(new.contains(&format!("patches = {wanted};")), "{new}");
    }
}

#[test]
fn a_new_patch_is_written_below_the_folder_that_a_name_stands_for() {
    let mut request = request("musl");
    request.elements =
        vec![PatchElement::Path { relative: "./q/musl/b.patch".into(), from_root: Some("q/musl/b.patch".into()) }];
    for (dir, list) in [(r#""${self}/q/musl""#, r#"[ "${d}/a.patch" ]"#), ("./q/musl", r#"[ "${d}/a.patch" ]"#)] {
        let text = format!(
            "final: prev: let d = {dir}; in {{ musl = prev.musl.overrideAttrs (o: {{ patches = o.patches ++ {list}; }}); }}\n"
        );
        let new = added_with(&text, &request);
        assert!(new.contains(r#"[ "${d}/a.patch" "${d}/b.patch" ]"#), "{new}");
    }
}

/// Nix calls it infinite recursion, and only where it is evaluated.
#[test]
fn names_that_stand_for_each_other_in_a_circle_end() {
    for names in [
        r#"n = "${n}/x.patch";"#,
        r#"n = n + "/x.patch";"#,
        r#"n = "${m}/x.patch"; m = "${n}/y";"#,
        r#"n = m; m = n;"#,
        r#"n = { patch = n; };"#,
        r#"n = [ n ];"#,
        r#"n = if n then n else n;"#,
        r#"n = n ++ n;"#,
        r#"n = n n;"#,
    ] {
        for list in ["[ n ]", r#"[ "${n}/z.patch" ]"#, "n", "o.patches ++ n"] {
            let text = format!(
                "final: prev: let {names} in {{ musl = prev.musl.overrideAttrs (o: {{ patches = {list}; }}); }}\n"
            );
            let file = parse(&text);
            file.patched_packages();
            file.slots(&["x.patch".into()]);
            // Refused or written, but answered.
            let _ = add(&text, &request("musl"));
        }
    }
}
