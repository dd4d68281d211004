//! Ctrl-C during a build: the children end, the report says so. A process of its own, because the flag stays up.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "tests say what they expect and why they are skipped")]

use std::path::PathBuf;
use std::time::{Duration, Instant};

use overlayctl::base::process::watch_interrupts;
use overlayctl::nix::{BuildRequest, Change, Error, Event, Fragment, Goal, Nix, Outcome, Root, Settings, Side};

#[test]
fn an_interrupted_build_ends_its_children_and_says_so() {
    let settings = Settings {
        options: vec![("substituters".into(), String::new())],
        programs: std::env::var_os("OVERLAYCTL_NIX_BIN").map(PathBuf::from),
        store: std::env::var("OVERLAYCTL_TEST_STORE").ok(),
        ..Settings::default()
    };
    let nix = match Nix::discover(settings) {
        Ok(nix) => nix,
        Err(e) => return eprintln!("skipped: {e}"),
    };
    let seconds = format!("{}.{}", 60, std::process::id());
    let text = format!(
        "{{ slow = derivation {{ name = \"slow\"; system = builtins.currentSystem; builder = \"/bin/sh\"; PATH = \
         \"/usr/bin:/bin\"; args = [ \"-c\" \"echo begun; sleep {seconds}; echo > $out\" ]; }}; }}"
    );
    let root = Root::Expression(Fragment::parse(text).unwrap());
    let side = Side { name: "slow".into(), root, targets: vec![vec!["slow".into()]] };
    let slow = nix.instantiate(std::slice::from_ref(&side)).unwrap().remove(0).remove(0).unwrap();
    let request = BuildRequest { goals: vec![Goal::of(&slow, None)], ..BuildRequest::default() };
    watch_interrupts();
    let began = Instant::now();
    let report = nix
        .build(&request, &mut |event, _| {
            if let Event::Change(Change::Line(_, line)) = event
                && line == "begun"
            {
                rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::INT).unwrap();
            }
        })
        .unwrap();
    assert!(report.interrupted && began.elapsed() < Duration::from_secs(30), "{report:?}");
    assert_eq!(report.results[&slow.drv_path].outcome, Outcome::NotRun);
    assert!(matches!(report.check(), Err(Error::Interrupted)));
    // The builder is gone too.
    let arguments = |entry: std::fs::DirEntry| std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
    let left = std::fs::read_dir("/proc").unwrap().flatten().map(arguments).filter(|a| {
        let text = String::from_utf8_lossy(a).into_owned();
        text.starts_with("sleep\0") && text.contains(&seconds)
    });
    assert_eq!(left.count(), 0, "no builder is left");
    // Whatever is started afterwards ends at once.
    assert!(matches!(nix.instantiate(&[side]), Err(Error::Interrupted)));
}
