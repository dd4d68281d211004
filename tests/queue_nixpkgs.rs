//! The round trip of `edit` and `finish` on real nixpkgs and real sources: zlib and musl of nixpkgs 19.09, from Debian's
//! tarballs and with Debian's queues.
//!
//! OVERLAYCTL_NIXPKGS_1909 is the checkout, OVERLAYCTL_QUEUE_CASES what tests/queue_cases/fetch.sh made. The tarballs come in
//! through the overlay, as a user would take a newer release into an old nixpkgs.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "a test says what it expects"
)]

mod queue_support;

use std::fs;
use std::path::{Path, PathBuf};

use queue_support::Scene;

/// The Debian versions of a package that have a queue: its directory and the upstream tarball.
fn versions(cases: &Path, package: &str) -> Vec<(PathBuf, PathBuf)> {
    let mut found = Vec::new();
    let mut dirs: Vec<PathBuf> =
        fs::read_dir(cases.join(package)).into_iter().flatten().map(|e| e.unwrap().path()).collect();
    dirs.sort();
    for dir in dirs.iter().filter(|d| d.is_dir()) {
        let series = fs::read_to_string(dir.join("debian/patches/series")).unwrap_or_default();
        let version = dir.file_name().unwrap().to_str().unwrap();
        let version = version.strip_prefix("1_").unwrap_or(version);
        let upstream = format!("{package}_{}.orig.tar.", version.rsplit_once('-').map_or(version, |(v, _)| v));
        let tarball = dirs.iter().find(|p| p.file_name().unwrap().to_str().unwrap().starts_with(&upstream));
        if let (false, Some(tarball)) = (series.trim().is_empty(), tarball) {
            found.push((dir.clone(), tarball.clone()));
        }
    }
    found
}

#[test]
fn zlib_and_musl_of_nixpkgs_go_round() {
    let (Some(nixpkgs), Some(cases)) =
        (std::env::var_os("OVERLAYCTL_NIXPKGS_1909"), std::env::var_os("OVERLAYCTL_QUEUE_CASES"))
    else {
        eprintln!("skipped: OVERLAYCTL_NIXPKGS_1909 or OVERLAYCTL_QUEUE_CASES is not set");
        return;
    };
    let (nixpkgs, cases) = (PathBuf::from(nixpkgs), PathBuf::from(cases));
    let mut rounds = 0;
    let mut patches = 0;
    for package in ["zlib", "musl"] {
        for (dir, tarball) in versions(&cases, package) {
            let Some(scene) = Scene::new() else { return };
            scene.write(
                "overlayctl.toml",
                &format!("nixpkgs = \"{}\"\noverlays = [\"overlay.nix\"]\n", nixpkgs.display()),
            );
            // The one patch that 19.09 has for musl is fetched from the network.
            let overlay = format!(
                "final: prev: {{\n  {package} = prev.{package}.overrideAttrs (old: {{\n    src = {};\n    patches = [ ];\n  }});\n}}\n",
                tarball.display()
            );
            scene.write("overlay.nix", &overlay);
            round(&scene, package, &dir);
            patches += fs::read_dir(scene.at(&format!("patches/{package}"))).unwrap().count();
            rounds += 1;
        }
    }
    println!("{rounds} sources, {patches} patches");
    assert!(rounds > 0, "there are cases, but none of zlib and musl");
}

fn round(scene: &Scene, package: &str, dir: &Path) {
    let queue = || -> Vec<(String, Vec<u8>)> {
        let mut files: Vec<_> = fs::read_dir(scene.at(&format!("patches/{package}")))
            .unwrap()
            .map(|e| e.unwrap().path())
            .map(|p| (p.file_name().unwrap().to_str().unwrap().to_string(), fs::read(&p).unwrap()))
            .collect();
        files.sort();
        files
    };
    let tree = || {
        let repository = git2::Repository::open(scene.at(&format!(".overlayctl/edit/{package}"))).unwrap();
        repository.head().unwrap().peel_to_tree().unwrap().id()
    };
    let series = dir.join("debian/patches");
    scene.run(0, &["import", package, series.to_str().unwrap(), "--offline"]);
    let imported = queue();
    // Debian's queue applies to Debian's tarball, some of it at other lines or with fuzz.
    scene.run(0, &["check", package, "--allow-fuzz"]);
    let overlay = scene.read("overlay.nix");
    scene.run(0, &["edit", package]);
    assert!(scene.json(0, &["finish", package])["unchanged"].as_bool().unwrap(), "{}", dir.display());
    // Two commits of the user's, with all that mail has.
    let repository = git2::Repository::open(scene.at(&format!(".overlayctl/edit/{package}"))).unwrap();
    let mut index = repository.index().unwrap();
    let file = index.iter().map(|e| String::from_utf8(e.path).unwrap()).find(|p| p.ends_with(".c")).unwrap();
    let by = git2::Signature::new("Bea Müller", "bea@example.org", &git2::Time::new(1_700_000_000, -90)).unwrap();
    for line in ["/* one */", "/* two */"] {
        let path = repository.workdir().unwrap().join(&file);
        let mut bytes = format!("{line}\n").into_bytes();
        bytes.extend(fs::read(&path).unwrap());
        fs::write(&path, bytes).unwrap();
        index.add_path(Path::new(&file)).unwrap();
        let tree = repository.find_tree(index.write_tree().unwrap()).unwrap();
        let parent = repository.head().unwrap().peel_to_commit().unwrap();
        let message = format!("add {line}\n\nCVE: CVE-2024-1234\nSigned-off-by: Bea Müller <bea@example.org>\n");
        repository.commit(Some("HEAD"), &by, &by, &message, &tree, &[&parent]).unwrap();
    }
    index.write().unwrap();
    let wanted = tree();
    scene.run(0, &["finish", package]);
    let finished = queue();
    assert_eq!(finished[..imported.len()], imported[..], "what was not touched keeps its bytes");
    assert_eq!(finished.len(), imported.len() + 2);
    assert!(scene.json(0, &["finish", package])["unchanged"].as_bool().unwrap());
    scene.run(0, &["check", package, "--allow-fuzz"]);
    scene.run(0, &["edit", package]);
    assert_eq!(tree(), wanted, "{}", dir.display());
    let repository = git2::Repository::open(scene.at(&format!(".overlayctl/edit/{package}"))).unwrap();
    let commit = repository.head().unwrap().peel_to_commit().unwrap();
    assert_eq!(String::from_utf8_lossy(commit.author().name_bytes()), "Bea Müller");
    assert_eq!((commit.author().when().seconds(), commit.author().when().offset_minutes()), (1_700_000_000, -90));
    assert!(String::from_utf8_lossy(commit.message_bytes()).contains("CVE: CVE-2024-1234\nSigned-off-by: Bea Müller"));
    // Without them all is as it was.
    let base = repository.revparse_single("HEAD~2").unwrap();
    repository.reset(&base, git2::ResetType::Hard, None).unwrap();
    scene.run(0, &["finish", package]);
    assert_eq!((queue(), scene.read("overlay.nix")), (imported, overlay));
}
