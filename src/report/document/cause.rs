//! Root causes, the fields that changed quoted as a diff.

use similar::TextDiff;

use crate::base::store_path;
use crate::graph::{Change, without_platform};
use crate::ops::why::cause::Cause;
use crate::view::{Block, Document, Role};

/// The most lines of one field that are quoted.
const LINES: usize = 6;

/// The longest line that is quoted, in characters.
const WIDTH: usize = 120;

impl Cause {
    /// Returns the names of the fields, and their difference in the form of a unified diff.
    fn quoted(&self, verbose: bool) -> (String, String) {
        let Some(changes) = &self.changes else {
            return match (&self.unreadable, &self.before) {
                (Some(why), _) => (format!("what changed cannot be read: {why}"), String::new()),
                (None, None) => ("is new".into(), String::new()),
                (None, Some(_)) => ("changed".into(), String::new()),
            };
        };
        if changes.own.is_empty() {
            return (format!("takes other inputs in {}", changes.inherited.join(", ")), String::new());
        }
        let mut fields = Vec::new();
        let mut diff = String::new();
        for change in &changes.own {
            let (field, text) = field(change, verbose);
            fields.push(field);
            diff.push_str(&text);
        }
        (fields.join(", "), diff)
    }
}

/// Shows root causes; those with the same name and the same difference are one.
pub(super) fn show(causes: &[Cause], limit: usize, verbose: bool, document: &mut Document) {
    let mut groups: Vec<((String, String, String), usize)> = Vec::new();
    for cause in causes {
        let (mut fields, diff) = cause.quoted(verbose);
        if !cause.caused_by.is_empty() {
            fields.push_str(&format!(", by {}", cause.caused_by.join(", ")));
        }
        let key = (without_platform(&cause.name), fields, diff);
        match groups.iter_mut().find(|(known, _)| *known == key) {
            Some((_, count)) => *count += 1,
            None => groups.push((key, 1)),
        }
    }
    for ((name, fields, diff), count) in groups.iter().take(limit) {
        let mut line = Role::Warn.text(name);
        if *count > 1 {
            line = line.with(Role::Dim, format!("  ({count} derivations)"));
        }
        document.line(line.plain(format!("  {fields}")));
        if !diff.is_empty() {
            document.push(Block::Diff(diff.clone()));
        }
    }
    if groups.len() > limit {
        let left: usize = groups.iter().skip(limit).map(|(_, count)| count).sum();
        let names: Vec<&str> = groups.iter().skip(limit).take(4).map(|((name, ..), _)| name.as_str()).collect();
        let more = if groups.len() > limit + 4 { ", ..." } else { "" };
        document.line(
            Role::Dim
                .text(format!("... and {left} more changed of themselves: {}{more} (--verbose)", names.join(", "))),
        );
    }
}

/// Returns the name of a field and its difference.
fn field(change: &Change, verbose: bool) -> (String, String) {
    let removed_added = |removed: &[String], added: &[String]| {
        let lines = removed.iter().map(|path| ('-', path)).chain(added.iter().map(|path| ('+', path)));
        // A file whose content alone changed has the same name before and after.
        let again = |path: &String, others: &[String]| {
            others.iter().any(|other| store_path::name(other) == store_path::name(path) && other != path)
        };
        let line = |(sign, path): (char, &String)| {
            let same = again(path, removed) || again(path, added);
            let hash =
                store_path::split(path).filter(|_| same && !verbose).map(|(hash, _)| hash.get(..7).unwrap_or(hash));
            let hash = hash.map(|hash| format!("  ({hash}...)")).unwrap_or_default();
            format!("{sign} {}{hash}\n", shown(path, verbose))
        };
        lines.map(line).collect::<String>()
    };
    match change {
        Change::Patches { added, removed, reordered } => {
            let order = if *reordered { "patches (another order)" } else { "patches" };
            (order.into(), removed_added(removed, added))
        }
        Change::Source { before, after } => ("source".into(), values(before.as_deref(), after.as_deref(), verbose)),
        Change::Builder { before, after } => ("builder".into(), values(Some(before), Some(after), verbose)),
        Change::Arguments { before, after } => {
            ("arguments".into(), values(Some(&before.join("\n")), Some(&after.join("\n")), verbose))
        }
        Change::System { before, after } => ("system".into(), values(Some(before), Some(after), verbose)),
        Change::Outputs { before, after } => {
            ("outputs".into(), values(Some(&before.join("\n")), Some(&after.join("\n")), verbose))
        }
        Change::Variable { name, before, after } => {
            (name.clone(), values(before.as_deref(), after.as_deref(), verbose))
        }
        Change::InputSources { added, removed } => ("files".into(), removed_added(removed, added)),
    }
}

/// Returns a store path as people read it; whole when they want it.
fn shown(path: &str, verbose: bool) -> String {
    if verbose { path.to_owned() } else { store_path::name(path).to_owned() }
}

/// Returns the lines in which two values differ.
fn values(before: Option<&str>, after: Option<&str>, verbose: bool) -> String {
    // One word a line where all is in one line: flags are told apart, a long line is not quoted whole.
    let lines = |value: &str| -> String {
        let separated =
            if value.contains('\n') { value.to_owned() } else { value.split(' ').collect::<Vec<_>>().join("\n") };
        separated.trim_end().to_owned() + "\n"
    };
    let (before, after) = (before.map(lines).unwrap_or_default(), after.map(lines).unwrap_or_default());
    let diff = TextDiff::from_lines(before.as_str(), after.as_str());
    let mut out = String::new();
    let mut count = 0;
    for change in diff.iter_all_changes() {
        let sign = match change.tag() {
            similar::ChangeTag::Delete => '-',
            similar::ChangeTag::Insert => '+',
            similar::ChangeTag::Equal => continue,
        };
        count += 1;
        if !verbose && count > LINES {
            continue;
        }
        let line = change.value().trim_end();
        let cut: String = line.chars().take(if verbose { usize::MAX } else { WIDTH }).collect();
        let dots = if cut.len() < line.len() { " ..." } else { "" };
        out.push_str(&format!("{sign} {cut}{dots}\n"));
    }
    if !verbose && count > LINES {
        out.push_str(&format!("  ... {} more lines\n", count - LINES));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Changes;

    #[test]
    fn flags_are_told_apart_and_long_fields_cut() {
        assert_eq!(values(Some("-a -b -c"), Some("-a -x -c"), false), "- -b\n+ -x\n");
        assert_eq!(values(None, Some("1"), false), "+ 1\n");
        let long: String = (0..20).map(|i| format!("{i}\n")).collect();
        assert!(values(Some(""), Some(&long), false).ends_with("  ... 15 more lines\n"));
        assert!(!values(Some(""), Some(&long), true).contains("..."));
    }

    #[test]
    fn causes_with_one_change_are_one() {
        let cause = |name: &str| Cause {
            drv_path: String::new(),
            name: name.into(),
            before: Some(String::new()),
            changes: Some(Changes {
                own: vec![Change::Patches {
                    added: vec!["/nix/store/971qyph05ykg6i7akswlz0pq4dzl26r5-fix.patch".into()],
                    removed: Vec::new(),
                    reordered: false,
                }],
                inherited: Vec::new(),
            }),
            caused_by: Vec::new(),
            unreadable: None,
        };
        let mut document = Document::new();
        show(&[cause("musl-1.1.22"), cause("musl-1.1.22-aarch64-unknown-linux-musl")], 3, false, &mut document);
        assert_eq!(document.blocks.len(), 2);
        assert_eq!(document.blocks[1], Block::Diff("+ fix.patch\n".into()));
    }
}
