//! Overlays: two bytes of wishes, then the text. An edit parses, leaves the rest of the text alone, is found again, and is taken back to the
//! byte; what Nix parses before it parses afterwards (`nix-instantiate --parse`, for one text in some thousands).
#![no_main]

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use libfuzzer_sys::fuzz_target;
use overlayctl::base::diagnostic::Coded as _;
use overlayctl::overlay::*;

/// One edit in how many is shown to Nix; OVERLAYCTL_FUZZ_NIX sets it, 0 is none.
static NIX: LazyLock<u64> = LazyLock::new(|| {
    let wished = std::env::var("OVERLAYCTL_FUZZ_NIX").ok().and_then(|text| text.parse().ok()).unwrap_or(2000);
    if parses(b"1").is_some() { wished } else { 0 }
});
static EDITS: AtomicU64 = AtomicU64::new(0);

/// Says whether Nix parses a text; `None` without Nix.
fn parses(text: &[u8]) -> Option<bool> {
    use std::io::Write as _;
    let mut command = Command::new("nix-instantiate");
    let child = command.args(["--parse", "-"]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = child.spawn().ok()?;
    let _ = child.stdin.take()?.write_all(text);
    Some(child.wait().ok()?.success())
}

fn request(flags: u8, kind: u8) -> PatchRequest {
    let attrs = ["musl", "absent", "xorg.libX11", "python3Packages.x", "linux_rpi4", "a", "z.y", "python3.pkgs.x"];
    let attr = attrs[usize::from(kind & 7)];
    let fetch = || PatchElement::Fetch {
        url: "https://e.x/a?b=${c}&\"'".into(),
        hash_attr: "hash".into(),
        hash: "sha256-AAAA".into(),
    };
    let mut elements = vec![if flags & 16 != 0 { fetch() } else { PatchElement::path("./fix.patch") }];
    if flags & 32 != 0 {
        elements.push(PatchElement::path("./b b'.patch"));
    }
    let mut request = PatchRequest::new(AttrPath::parse(attr).unwrap(), elements);
    if flags & 1 != 0 {
        request.scope = Scope::Host;
    }
    if flags & 2 != 0 {
        request.position = Some(usize::from(kind >> 3 & 3));
    }
    if flags & 4 != 0 && attr.contains('.') {
        use ScopeMethod::*;
        let way = usize::from(kind >> 5);
        request.facts.scope = Some(if attr.starts_with("python") {
            request.facts.interpreter = Some("python3".into());
            [PythonExtensions, PythonPackageOverrides, OverrideScope, Extend][way % 4]
        } else {
            [Extend, OverrideScope, OverrideScopePrime, Merge, Overrides][way % 5]
        });
    }
    if flags & 8 != 0 {
        request.facts.patches = if kind & 8 != 0 { OldPatches::Null } else { OldPatches::NotList };
        request.facts.derivation = Some(kind & 16 != 0);
    }
    if flags & 64 != 0 {
        request.attribute = Some(match (kind >> 3 & 3) % 3 {
            0 => PatchAttribute::Patches,
            1 => PatchAttribute::KernelPatches,
            _ => PatchAttribute::CargoPatches {
                hash: (flags & 128 != 0).then(|| "cargoHash".into()),
                of_final: kind & 32 != 0,
            },
        });
    }
    request
}

fuzz_target!(|data: &[u8]| {
    let [flags, kind, text @ ..] = data else { return };
    let Ok(text) = std::str::from_utf8(text) else { return };
    let path = Path::new("overlay.nix");
    let Ok(file) = OverlayFile::parse(path, text.to_string()) else { return };
    let _ = file.functions();
    // Whatever is listed can be taken out, or is refused; taken out, it is out.
    for package in file.patched_packages().iter().take(4) {
        let attr = AttrPath::parse(&package.attr.to_string()).expect("what is listed is a path");
        let element = [PatchElement::path("./a.patch")];
        if let Ok(planned) = file.remove_patches(&NoFiles, Select::Only, &attr, &element) {
            let change = &planned.changes[0];
            let now = OverlayFile::parse(path, change.new.clone()).expect("without the patch it parses");
            assert!(now.remove_patches(&NoFiles, Select::Only, &attr, &element).is_err(), "{}", change.new);
        }
    }
    let request = request(*flags, *kind);
    let planned = match file.add_patches(&NoFiles, Select::Only, &request) {
        Ok(planned) => planned,
        Err(error) => {
            assert!(error.code() != "OV0114", "the planner's own check had to step in: {error}\n{text}");
            return;
        }
    };
    if planned.changes.is_empty() {
        return;
    }
    let change = &planned.changes[0];
    assert!(rnix::Root::parse(&change.new).errors().is_empty(), "it parses\n{}", change.new);
    let edited = OverlayFile::parse(path, change.new.clone()).expect("it parses");
    let again = edited.add_patches(&NoFiles, Select::Only, &request);
    assert!(again.as_ref().is_ok_and(|again| again.changes.is_empty()), "once is enough: {:?}\n{}", again.err(), change.new);
    let back = edited
        .remove_patches(&NoFiles, Select::Only, &request.attr, &request.elements)
        .unwrap_or_else(|error| panic!("it cannot be taken out again: {error}\n{}", change.new));
    let back = &back.changes[0].new;
    OverlayFile::parse(path, back.clone()).expect("taken back it parses");
    let inexact = planned.warnings.iter().any(|warning| warning.code == "OV0154");
    if request.attribute.is_none() || flags & !1 == 0 {
        assert!(back == text || inexact, "taken back\nwas:\n{text}\nedited:\n{}\nback:\n{back}", change.new);
    }
    if *NIX > 0 && EDITS.fetch_add(1, Ordering::Relaxed) % *NIX == 0 && parses(text.as_bytes()) == Some(true) {
        assert!(parses(change.new.as_bytes()) == Some(true), "Nix does not parse it any more:\n{}", change.new);
    }
});
