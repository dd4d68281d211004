//! Edits of overlays of every shape: the text that comes out, that a second run changes nothing, and that the inverse
//! gives the bytes back.

use std::path::Path;

use overlayctl::base::diagnostic::Coded;
use overlayctl::overlay::{Error, NoFiles, OverlayFile, PatchElement, PatchRequest, Planned, Scope, Select};
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

/// Adds, checks that a second run changes nothing and that the inverse restores, and returns the new text.
fn added_with(text: &str, request: &PatchRequest) -> String {
    let planned = add(text, request).unwrap_or_else(|e| panic!("{e}\n{text}"));
    assert!(!planned.already, "{text}");
    let new = planned.changes[0].new.clone();
    assert_eq!(planned.changes[0].edits.apply(text).unwrap(), new);
    let again = add(&new, request).unwrap_or_else(|e| panic!("second run: {e}\n{new}"));
    assert!(again.already, "a second run would change\n{new}");
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

#[test]
fn show() {
    let Ok(file) = std::env::var("SHOW") else { return };
    for case in std::fs::read_to_string(file).unwrap().split("=====\n") {
        let (attr, text) = case.split_once('\n').unwrap();
        let (attr, host) = attr.strip_prefix("HOST ").map_or((attr, false), |a| (a, true));
        let mut request = request(attr);
        if host {
            request.scope = Scope::Host;
        }
        match add(text, &request) {
            Err(e) => println!("### {attr}: {} {e}\n", e.code()),
            Ok(p) if p.already => println!("### {attr}: already {:?}", p.warnings),
            Ok(p) => {
                let new = &p.changes[0].new;
                println!(
                    "### {attr} {:?} {:?}\n{new}",
                    p.change,
                    p.warnings.iter().map(|w| w.code).collect::<Vec<_>>()
                );
                let again = add(new, &request);
                if !again.as_ref().is_ok_and(|a| a.already) {
                    println!("!!! second run {again:?}");
                }
                match parse(new).remove_patches(&NoFiles, Select::Only, &request.attr, &request.elements) {
                    Err(e) => println!("!!! removal {e}"),
                    Ok(b) if b.changes[0].new != text => println!("!!! inverse differs\n{}", b.changes[0].new),
                    Ok(_) => {}
                }
                if !parse(new).patched_packages().iter().any(|p| p.attr == request.attr) {
                    println!("!!! not listed");
                }
            }
        }
    }
}
