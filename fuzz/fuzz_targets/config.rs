//! `overlayctl.toml` and the other small texts: lists of roots, series, states of worktrees, attribute paths, platforms.
//! The first byte says which. An error has its place in the text; what is printed is read the same.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use overlayctl::base::diagnostic::Coded as _;
use overlayctl::config::{Settings, path_literals};
use overlayctl::cross::{self, Platform};
use overlayctl::graph::{RootList, split_version, without_platform};
use overlayctl::overlay::AttrPath;
use overlayctl::patch::series::Series;
use overlayctl::queue;

fn settings(text: &str) {
    match Settings::parse(Path::new("overlayctl.toml"), text) {
        Ok(settings) => {
            // A byte-order mark and line ends are no matter.
            let plain = text.strip_prefix('\u{feff}').unwrap_or(text);
            let with_mark = Settings::parse(Path::new("x"), &format!("\u{feff}{plain}"));
            assert_eq!(with_mark.map(|s| format!("{s:?}")).ok(), Some(format!("{settings:?}")));
        }
        Err(error) => {
            let place = error.place().expect("an error of the text has its place");
            assert!(place.span.is_none_or(|span| span.end <= text.len()), "{error}");
            let _ = (error.to_string(), error.hint(), error.source_line());
        }
    }
}

fn series(text: &str) {
    let Ok(series) = Series::parse(text) else { return };
    assert_eq!(Series::parse(&series.to_string()).expect("what is printed is read"), series);
}

fn platform(text: &str) {
    let _ = cross::catalogue::resolve(text);
    let Ok(platform) = Platform::parse(text) else { return };
    let _ = (platform.system(), platform.full_triple(), platform.rust_target(), platform.qemu_arch());
    let _ = (platform.format(), platform.float_abi(), cross::expected(&platform));
    assert!(Platform::parse(platform.triple()).is_ok(), "{} is read again", platform.triple());
}

fuzz_target!(|data: &[u8]| {
    let Some((kind, rest)) = data.split_first() else { return };
    let Ok(text) = std::str::from_utf8(rest) else { return };
    match kind % 8 {
        0 | 1 => settings(text),
        2 => series(text),
        3 => {
            if let Ok(state) = serde_json::from_str::<queue::session::State>(text) {
                let printed = serde_json::to_string_pretty(&state).unwrap();
                assert_eq!(serde_json::from_str::<queue::session::State>(&printed).unwrap(), state);
            }
        }
        4 => drop(RootList::parse(text)),
        5 => {
            if let Ok(attr) = AttrPath::parse(text) {
                assert_eq!(AttrPath::parse(&attr.to_string()).expect("what is printed is read"), attr);
            }
            let _ = queue::attr_of_dir(text);
        }
        6 => {
            assert!(path_literals(text).into_iter().all(|literal| text.contains(literal)));
            let _ = (split_version(text), without_platform(text));
            let _ = cross::emulator::Registration::parse(text);
        }
        _ => platform(text),
    }
});
