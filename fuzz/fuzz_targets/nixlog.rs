//! What Nix prints: lines of internal-json, plain lines among them, and errors. The state of a build follows whatever comes.
#![no_main]

use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use overlayctl::nix::log::Message;
use overlayctl::nix::{BuildState, DryRun, EvalFailure, Status};

fuzz_target!(|data: &[u8]| {
    let goals = ["/nix/store/a.drv", "/nix/store/0gbfxchai3yvrf514a7pjcjxrw1qx9z0-b.drv"];
    let mut state = BuildState::with_goals(goals);
    let mut plain = BuildState::default();
    for (index, line) in data.split_inclusive(|byte| *byte == b'\n').enumerate() {
        let message = Message::read(line);
        let now = Duration::from_millis(index as u64 * 7);
        let ends = (0..64).take_while(|_| state.quiet_end(Some(&message), now).is_some()).count();
        assert!(ends < 64, "the builds that ended quietly are told once");
        let _ = (state.apply(&message, now), plain.apply(&message, now), format!("{message:?}"));
        if let Message::Text { text, .. } = &message {
            let _ = EvalFailure::read(text);
        }
    }
    while state.quiet_end(None, Duration::from_secs(99)).is_some() {}
    let counted: usize =
        [Status::Planned, Status::Running, Status::Built, Status::Failed, Status::Stopped, Status::Blocked]
            .iter()
            .map(|status| state.count(*status))
            .sum();
    assert_eq!(counted, state.builds.len(), "each build is in one state");
    for build in state.builds.values() {
        for now in [1, 100].map(Duration::from_secs) {
            let _ = (build.elapsed(now), build.phase_times(now));
        }
    }
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = (EvalFailure::read(text), DryRun::read(text));
    }
});
