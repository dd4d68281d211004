//! Arrangements of workspaces that people have, as folders of data: `shapes/NAME/in` is the workspace, `shapes/NAME/expect.toml`
//! says what is in effect where. Stock Nix is asked whether that is so, and then every command has to agree with it.
//!
//! All failures of a shape are listed at once. `SHAPE=NAME` runs one, or those whose names begin so.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "a test says what it expects"
)]

#[path = "shapes/runner/mod.rs"]
mod runner;
mod support;

/// One test for the shapes whose names begin with each of these words, so that they run side by side.
macro_rules! groups {
    ($($word:ident),* $(,)?) => {
        $(#[test]
        fn $word() {
            runner::group(stringify!($word));
        })*

        #[test]
        fn there_are_sixty_and_each_is_in_a_group() {
            let groups = [$(stringify!($word)),*];
            let shapes = runner::shapes();
            let lost: Vec<&String> =
                shapes.iter().filter(|name| !groups.iter().any(|group| runner::is_of(name, group))).collect();
            assert!(lost.is_empty(), "in no group: {lost:?}");
            assert!(shapes.len() >= 60, "{} shapes", shapes.len());
        }
    };
}

groups!(
    listed, custom, cross, board, nixos, home, flake, parts, pinned, files, loader, link, foreign, guard, text, scope,
    odd
);
