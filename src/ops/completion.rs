//! What a shell can complete: the names that a workspace itself has. Nothing is evaluated: it is asked at every press of a key.

use super::list::{self, Options};
use crate::config::Workspace;
use crate::cross::catalogue;

/// A word and what it is.
pub type Word = (String, Option<String>);

/// Returns the packages that are patched, each with the number of its patches.
///
/// Of a workspace that cannot be read there are none: a shell has no place for an error.
pub fn packages(workspace: &Workspace) -> Vec<Word> {
    let words = listed(workspace).into_iter().map(|package| {
        let count = crate::queue::patches(package.patches.len());
        (package.attr.to_string(), Some(count))
    });
    words.collect()
}

/// Returns the patches of the packages that are among the words typed so far; of all where none is. Each with its subject.
pub fn patches(workspace: &Workspace, typed: &[String]) -> Vec<Word> {
    let mut packages = listed(workspace);
    let named = |package: &list::Package| typed.contains(&package.attr.to_string());
    if packages.iter().any(named) {
        packages.retain(named);
    }
    let words = packages.iter().flat_map(|package| {
        package.patches.iter().map(|patch| (patch.short_name(&package.attr), patch.subject.clone()))
    });
    words.collect()
}

/// Returns the boards of overlayctl.toml, each with its platform.
pub fn boards(workspace: &Workspace) -> Vec<Word> {
    workspace.settings().boards.iter().map(|(name, board)| (name.clone(), board.platform.clone())).collect()
}

/// Returns the targets that overlayctl.toml names, those of boards with the name of their board.
pub fn targets(workspace: &Workspace) -> Vec<Word> {
    let settings = workspace.settings();
    let own = settings.targets.iter().map(|target| (target.clone(), None));
    let boards = settings.boards.iter().flat_map(|(name, board)| {
        board.packages.iter().chain(&board.systems).map(move |target| (target.clone(), Some(name.clone())))
    });
    let mut words: Vec<Word> = Vec::new();
    for word in own.chain(boards) {
        if !words.iter().any(|(known, _)| *known == word.0) {
            words.push(word);
        }
    }
    words
}

/// Returns the names of pkgsCross that the built-in table has, each with a line about it.
pub fn platforms() -> Vec<Word> {
    catalogue::entries().iter().map(|entry| (entry.name.to_string(), Some(entry.what.to_string()))).collect()
}

fn listed(workspace: &Workspace) -> Vec<list::Package> {
    let options = Options { offline: true, ..Options::default() };
    list::list(workspace, &options).map_or_else(|_| Vec::new(), |listed| listed.packages)
}
