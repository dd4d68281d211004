//! The names of a package's patches: `NNNN-subject.patch`, their order, and how files move when the order changes.
//!
//! The slug is git format-patch's (`format_sanitized_subject`, git-format-patch(1) "FILE NAMES"): runs of bytes that are not
//! `[A-Za-z0-9._]` become one `-`, runs of dots one dot, no `-` or dots at the end, the whole name at most 64 bytes. Must
//! not touch the disk.

use super::error::Error;

/// The longest file name, as in git: `FORMAT_PATCH_NAME_MAX_DEFAULT`.
pub const NAME_MAX: usize = 64;

/// The name of a patch in a queue.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct QueueName {
    /// The number before the subject; it says the order.
    pub number: u32,
    /// The rest, without number and `.patch`.
    pub slug: String,
}

impl QueueName {
    /// Makes the name of the patch `number` with a subject (or a file's stem). Numbers are 1 and up.
    pub fn new(number: u32, subject: &str) -> QueueName {
        let prefix = format!("{number:04}-").len();
        let mut slug = slug(subject);
        slug.truncate(NAME_MAX.saturating_sub(prefix + ".patch".len() + 1));
        let cut = slug.trim_end_matches(['.', '-']).len();
        slug.truncate(cut);
        if slug.is_empty() {
            slug.push_str("patch");
        }
        QueueName { number, slug }
    }

    /// Reads a file name. `None` when it is not of the form `N...-slug.patch` (or `.diff`).
    pub fn parse(file_name: &str) -> Option<QueueName> {
        let stem = file_name.strip_suffix(".patch").or_else(|| file_name.strip_suffix(".diff"))?;
        let (number, slug) = stem.split_once('-')?;
        let digits = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
        if !digits || slug.is_empty() || slug.contains(['/', '\0']) {
            return None;
        }
        Some(QueueName { number: number.parse().ok()?, slug: slug.to_string() })
    }

    pub fn file_name(&self) -> String {
        format!("{:04}-{}.patch", self.number, self.slug)
    }
}

impl std::fmt::Display for QueueName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.file_name())
    }
}

/// Makes the part of a file name that says the subject, as git does. ASCII only; may be empty.
pub fn slug(subject: &str) -> String {
    let mut out = String::new();
    let mut gap = false;
    let mut last_dot = false;
    for c in subject.lines().next().unwrap_or_default().chars() {
        if !(c.is_ascii_alphanumeric() || c == '.' || c == '_') {
            gap = true;
            continue;
        }
        if c == '.' && last_dot && !gap {
            continue;
        }
        if gap && !out.is_empty() {
            out.push('-');
        }
        gap = false;
        out.push(c);
        last_dot = c == '.';
    }
    let cut = out.trim_end_matches(['.', '-']).len();
    out.truncate(cut);
    // A name that begins with a dot is hidden, and `..` would be worse.
    let start = out.len() - out.trim_start_matches(['.', '-']).len();
    out.split_off(start)
}

/// Returns the patches of a directory in their order: by number, then by name. Other files are left out.
pub fn order<S: AsRef<str>>(file_names: impl IntoIterator<Item = S>) -> Vec<String> {
    let mut found: Vec<(u32, String)> = file_names
        .into_iter()
        .filter_map(|name| QueueName::parse(name.as_ref()).map(|q| (q.number, name.as_ref().to_string())))
        .collect();
    found.sort();
    found.into_iter().map(|(_, name)| name).collect()
}

/// Returns the number of the patch to come: one more than the largest, at least 1.
pub fn next_number<S: AsRef<str>>(file_names: impl IntoIterator<Item = S>) -> u32 {
    let largest = file_names.into_iter().filter_map(|name| QueueName::parse(name.as_ref())).map(|q| q.number).max();
    largest.unwrap_or(0).saturating_add(1)
}

/// Returns the order in which the patch at `from` stands at `to` (both from 0), the others keeping theirs.
///
/// # Errors
/// [`Error::BadQueueName`] when there is no such place.
pub fn moved<S: AsRef<str>>(order: &[S], from: usize, to: usize) -> Result<Vec<String>, Error> {
    let mut names: Vec<String> = order.iter().map(|n| n.as_ref().to_string()).collect();
    if from >= names.len() || to >= names.len() {
        return Err(Error::BadQueueName { name: format!("{}", from.max(to) + 1) });
    }
    let name = names.remove(from);
    names.insert(to, name);
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_are_gits() {
        for (subject, name) in [
            ("fix: the thing (CVE-2024-1)", "0007-fix-the-thing-CVE-2024-1.patch"),
            ("a...b  c", "0007-a.b-c.patch"),
            ("..hidden", "0007-hidden.patch"),
            ("ends with dots...", "0007-ends-with-dots.patch"),
            ("Ünïcode", "0007-n-code.patch"),
            ("???", "0007-patch.patch"),
            ("../../etc/passwd", "0007-etc-passwd.patch"),
        ] {
            assert_eq!(QueueName::new(7, subject).file_name(), name, "{subject}");
        }
        let long = QueueName::new(1, &"word ".repeat(40)).file_name();
        assert_eq!(long, "0001-word-word-word-word-word-word-word-word-word-word-wo.patch");
        assert!(long.len() < NAME_MAX);
    }

    #[test]
    fn the_order_is_the_number() {
        let names = ["0002-b.patch", "README", "10-c.patch", "0001-a.patch", "x.patch"];
        assert_eq!(order(names), ["0001-a.patch", "0002-b.patch", "10-c.patch"]);
        assert_eq!(next_number(names), 11);
        assert_eq!(next_number(Vec::<String>::new()), 1);
    }

    proptest! {
        #[test]
        fn every_subject_makes_a_name_that_reads_back(number in 1u32..99_999, subject in "\\PC{0,80}") {
            let name = QueueName::new(number, &subject);
            prop_assert_eq!(QueueName::parse(&name.file_name()), Some(name.clone()));
            prop_assert!(name.file_name().len() < NAME_MAX);
            prop_assert!(name.file_name().bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b)));
        }
    }
}
