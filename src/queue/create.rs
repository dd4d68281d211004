//! A new overlay file, and the place where it is wired in.

use std::path::{Path, PathBuf};

use toml_edit::{Document, Item, Value};

use super::Error;
use crate::base::fs;
use crate::base::span::{Place, Span};
use crate::config::Workspace;
use crate::overlay::{FileChange, OverlayFile};

/// The text of a new overlay.
const TEXT: &str = "\
final: prev: {
  # Patched packages; `overlayctl patch PACKAGE FILE` writes here.
}
";

/// An overlay that is to be written.
pub(crate) struct Created {
    pub(crate) file: OverlayFile,
    /// The new text of `overlayctl.toml`, and the one that it has.
    pub(crate) settings: Option<(PathBuf, String, String)>,
    /// The file that has the list of overlays, with the new one in it.
    pub(crate) wired: Option<FileChange>,
    /// The line to add by hand, and the files where, when the workspace is wired in Nix.
    pub(crate) wiring: Option<(String, Vec<PathBuf>)>,
}

/// Plans a new overlay at `path`, or where overlays are kept in the workspace; writes nothing.
///
/// # Errors
/// [`Error::Exists`], [`Error::Config`] for an `overlayctl.toml` that cannot be edited.
pub(crate) fn create(workspace: &Workspace, path: Option<&Path>) -> Result<Created, Error> {
    let path = match path {
        // A folder, or a name that ends like one, holds its overlay in default.nix.
        Some(path) if path.is_dir() || path.as_os_str().to_string_lossy().ends_with('/') => path.join("default.nix"),
        Some(path) => path.to_path_buf(),
        None => free_place(workspace),
    };
    if path.symlink_metadata().is_ok() {
        return Err(Error::Exists { path });
    }
    if path.extension().is_none_or(|e| e != "nix") {
        return Err(crate::targets::Error::Usage {
            message: format!("an overlay is a .nix file, and {} is none", path.display()),
            hint: "for example --new-overlay overlays/patches.nix".into(),
        }
        .into());
    }
    let file = OverlayFile::parse(&path, TEXT.to_string())?;
    let settings = match workspace.file() {
        Some(settings) => wire(workspace, settings, &path)?,
        None => None,
    };
    let wired_by_hand = composers(workspace);
    let found_by_name = workspace.file().is_none() && is_custom(workspace, &path);
    let is_loaded = is_loaded(&path);
    // Where one file has one list of overlays, the new one goes there; the user is told where else.
    let mut possible = wired_by_hand.iter().filter_map(|composer| wire_in(composer, &path));
    let wired = match (possible.next(), possible.next()) {
        (Some(only), None) if !is_loaded => Some(only),
        _ => None,
    };
    let wiring = (wired.is_none() && !is_loaded && (!wired_by_hand.is_empty() || settings.is_none() && !found_by_name))
        .then(|| {
            let from = wired_by_hand.first().cloned().unwrap_or_else(|| workspace.path("default.nix"));
            let relative = crate::queue::relative(&from, &path).unwrap_or_else(|_| path.display().to_string());
            let text = fs::read_text(&from).unwrap_or_default();
            let module =
                text.contains("nixpkgs.overlays") || from.ends_with("configuration.nix") || from.ends_with("home.nix");
            let list = if module { "nixpkgs.overlays" } else { "overlays" };
            (format!("{list} = [ (import {relative}) ];"), wired_by_hand)
        });
    Ok(Created { file, settings, wired, wiring })
}

/// Returns the files where overlays are wired in: those that have a list of overlays, else those that import nixpkgs or are
/// what a workspace begins with.
fn composers(workspace: &Workspace) -> Vec<PathBuf> {
    let having = |words: &[&str]| workspace.files_having(&|text: &str| words.iter().any(|word| text.contains(word)));
    let lists = having(&["overlays = [", "overlays =\n", "composeManyExtensions", "composeExtensions"]);
    if !lists.is_empty() {
        return lists;
    }
    let imports =
        having(&["import nixpkgs", "import <nixpkgs>", "import sources.", "import inputs.nixpkgs", "legacyPackages"]);
    if !imports.is_empty() {
        return imports;
    }
    let first = ["flake.nix", "configuration.nix", "home.nix", "default.nix", "devenv.nix"];
    first.map(|name| workspace.path(name)).into_iter().filter(|file| file.is_file()).collect()
}

/// Plans to put the overlay at `path` into the list of overlays of the file `composer`, if it has one.
fn wire_in(composer: &Path, path: &Path) -> Option<FileChange> {
    let relative = crate::queue::relative(composer, path).ok()?;
    super::discover::open(composer).ok()?.wire_in(&relative)
}

/// Returns a place by custom where there is nothing yet.
fn free_place(workspace: &Workspace) -> PathBuf {
    let is_free = |path: &PathBuf| path.symlink_metadata().is_err();
    let first = workspace.path(if workspace.path("overlays").is_dir() {
        "overlays/patches.nix"
    } else {
        "overlays/default.nix"
    });
    let numbered = (2..).map(|n| workspace.path(format!("overlays/patches-{n}.nix")));
    std::iter::once(first).chain(numbered).find(is_free).unwrap_or_default()
}

/// Says whether the file will be found without being named.
fn is_custom(workspace: &Workspace, path: &Path) -> bool {
    let composed = workspace.path("overlays/default.nix");
    let in_folder = path.parent() == Some(&workspace.path("overlays")) && (path == composed || !composed.is_file());
    in_folder || ["overlay.nix", "overlays.nix"].iter().any(|name| path == workspace.path(name))
}

/// Says whether a file beside the new one, or above it for `NAME/default.nix`, loads every overlay of its folder.
fn is_loaded(path: &Path) -> bool {
    let folder = path.parent().unwrap_or(Path::new(""));
    let above = if path.ends_with("default.nix") { folder.parent().unwrap_or(Path::new("")) } else { folder };
    super::discover::open(&above.join("default.nix")).is_ok_and(|file| file.composition().folder.is_some())
}

/// Adds the overlay to the list in `overlayctl.toml`: one insertion, every other byte stays.
fn wire(workspace: &Workspace, settings: &Path, path: &Path) -> Result<Option<(PathBuf, String, String)>, Error> {
    let old = fs::read_text(settings)?;
    let relative = crate::queue::relative(settings, path)?;
    let relative = relative.trim_start_matches("./");
    // Without the list the overlays that are found by custom are applied; with it only those that it names.
    let before: Vec<String> = match workspace.settings().overlays.is_none() {
        true => workspace
            .overlays()
            .iter()
            .filter_map(|found| crate::queue::relative(settings, found).ok())
            .map(|found| found.trim_start_matches("./").to_string())
            .collect(),
        false => Vec::new(),
    };
    let added = insertion(&old, relative, &before).map_err(|(message, at)| {
        Error::Config(crate::config::Error::File {
            message,
            place: Place::in_text(settings, &old, Span::at(at)),
            line: None,
            hint: None,
        })
    })?;
    let mut new = old.clone();
    for (at, text) in added.into_iter().rev() {
        new.insert_str(at, &text);
    }
    Ok(Some((settings.to_path_buf(), old, new)))
}

/// Returns what is to be put where, in the order of the text, so that `overlays` of it names one file more.
fn insertion(text: &str, path: &str, before: &[String]) -> Result<Vec<(usize, String)>, (String, usize)> {
    let body = text.strip_prefix('\u{feff}').unwrap_or(text);
    let skipped = text.len() - body.len();
    let newline = if text.contains("\r\n") { "\r\n" } else { "\n" };
    let document =
        Document::parse(body).map_err(|e| (e.message().to_string(), e.span().map_or(0, |s| s.start) + skipped))?;
    let quoted = |path: &str| Value::from(path).to_string().trim().to_string();
    let Some(item) = document.get("overlays") else {
        let list: Vec<String> = before.iter().map(String::as_str).chain([path]).map(quoted).collect();
        // In front of the first table: behind it the key would be the table's.
        let table = document.iter().filter(|(_, item)| item.is_table() || item.is_array_of_tables());
        let first = table.filter_map(|(_, item)| first_header(item)).min();
        let at = first.map_or(text.len(), |at| line_start(body, at) + skipped);
        let gap = if at == text.len() && !text.is_empty() && !text.ends_with('\n') { newline } else { "" };
        let after = if first.is_some() { newline } else { "" };
        return Ok(vec![(at, format!("{gap}overlays = [{}]{newline}{after}", list.join(", ")))]);
    };
    let unreadable =
        || ("`overlays` is no list that can be added to".to_string(), item.span().map_or(0, |s| s.start) + skipped);
    let Item::Value(Value::Array(array)) = item else { return Err(unreadable()) };
    let span = array.span().ok_or_else(unreadable)?;
    let Some(last) = array.iter().last().and_then(Value::span) else {
        return Ok(vec![(span.start + 1 + skipped, quoted(path))]);
    };
    let rest = body.get(last.end..span.end).unwrap_or_default();
    // A comma may follow, behind a comment even.
    let comma = after_comments(rest).filter(|at| rest.as_bytes().get(*at) == Some(&b','));
    let line = line_start(body, last.start);
    let indent = body.get(line..last.start).unwrap_or_default();
    let own_line = indent.chars().all(char::is_whitespace) && line > span.start;
    let at = last.end + comma.map_or(0, |at| at + 1);
    let end = body.get(at..).and_then(|rest| rest.find('\n')).map_or(body.len(), |line| at + line);
    let end = if body.get(..end).is_some_and(|line| line.ends_with('\r')) { end - 1 } else { end };
    let rest = body.get(at..end).unwrap_or_default().trim_start();
    if !own_line || !(rest.is_empty() || rest.starts_with('#')) {
        let text = if comma.is_some() { format!(" {},", quoted(path)) } else { format!(", {}", quoted(path)) };
        return Ok(vec![(at + skipped, text)]);
    }
    // A comment on the line of the last element stays with it.
    let line = format!("{newline}{indent}{}", quoted(path));
    Ok(match comma {
        Some(_) => vec![(end + skipped, format!("{line},"))],
        None => vec![(at + skipped, ",".to_string()), (end + skipped, line)],
    })
}

/// Returns the offset of what follows white space and comments.
fn after_comments(text: &str) -> Option<usize> {
    let mut at = 0;
    loop {
        let rest = text.get(at..)?;
        let trimmed = rest.trim_start();
        at += rest.len() - trimmed.len();
        if !trimmed.starts_with('#') {
            return Some(at);
        }
        at += trimmed.find('\n')?;
    }
}

fn line_start(text: &str, at: usize) -> usize {
    text.get(..at).and_then(|before| before.rfind('\n')).map_or(0, |newline| newline + 1)
}

/// Returns where the header of a table, or of the first one below it, stands.
fn first_header(item: &Item) -> Option<usize> {
    match item {
        Item::Table(table) => {
            let own = table.span().map(|span| span.start).filter(|_| !table.is_implicit());
            table.iter().filter_map(|(_, item)| first_header(item)).chain(own).min()
        }
        Item::ArrayOfTables(tables) => tables.iter().filter_map(|table| table.span()).map(|span| span.start).min(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Settings;

    fn wired(text: &str) -> String {
        let mut new = text.to_string();
        for (at, added) in insertion(text, "o/new.nix", &["overlay.nix".into()]).unwrap().into_iter().rev() {
            new.insert_str(at, &added);
        }
        let settings = Settings::parse(Path::new("overlayctl.toml"), &new).unwrap();
        assert_eq!(settings.overlays.as_ref().unwrap().last().map(String::as_str), Some("o/new.nix"), "{new}");
        let old = Settings::parse(Path::new("overlayctl.toml"), text).unwrap();
        assert_eq!(settings.boards.len(), old.boards.len());
        assert!(old.overlays.iter().flatten().zip(settings.overlays.iter().flatten()).all(|(a, b)| a == b));
        new
    }

    #[test]
    fn the_list_gets_one_more_and_nothing_else_changes() {
        assert_eq!(wired("overlays = [\"a.nix\"] # c\n"), "overlays = [\"a.nix\", \"o/new.nix\"] # c\n");
        assert_eq!(wired("overlays = [ ]"), "overlays = [\"o/new.nix\" ]");
        assert_eq!(
            wired("\u{feff}# c\r\noverlays = [\r\n\t'a.nix', # first\r\n\t\"b.nix\" # last\r\n]\r\n"),
            "\u{feff}# c\r\noverlays = [\r\n\t'a.nix', # first\r\n\t\"b.nix\", # last\r\n\t\"o/new.nix\"\r\n]\r\n"
        );
        assert_eq!(
            wired("overlays = [\n  \"a.nix\" # c, d\n  , # x\n]\n"),
            "overlays = [\n  \"a.nix\" # c, d\n  , # x\n  \"o/new.nix\",\n]\n"
        );
        assert_eq!(
            wired("patches = \"p\"\n\n# pi\n[boards.pi]\nplatform = \"x\"\n"),
            "patches = \"p\"\n\n# pi\noverlays = [\"overlay.nix\", \"o/new.nix\"]\n\n[boards.pi]\nplatform = \"x\"\n"
        );
        assert_eq!(wired("patches = \"p\""), "patches = \"p\"\noverlays = [\"overlay.nix\", \"o/new.nix\"]\n");
        assert_eq!(wired(""), "overlays = [\"overlay.nix\", \"o/new.nix\"]\n");
    }

    proptest::proptest! {
        #[test]
        fn any_list_stays_what_it_was(
            parts in proptest::collection::vec(("[a-z]{1,4}", "[ \t]{0,2}|\r?\n[ \t]{0,3}|#[ a,\\]\"]{0,5}\n"), 0..5),
            trailing: bool,
            tail in "|\n|\r\n# x\r\n|\n[boards.b]\nplatform = \"x\"\n",
        ) {
            let mut text = String::from("overlays = [");
            for (i, (name, gap)) in parts.iter().enumerate() {
                text.push_str(&format!("{gap}'{name}'{gap}"));
                if trailing || i + 1 < parts.len() {
                    text.push(',');
                }
            }
            text.push_str("\n]");
            text.push_str(&tail);
            if Settings::parse(Path::new("overlayctl.toml"), &text).is_ok() {
                wired(&text);
            }
        }
    }
}
