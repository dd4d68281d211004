//! quilt's `series` files: patch names, `-pN` and `-R`, comments.
//!
//! Format: quilt(1) and the reader in quilt's scripts: a `#` at the start of a line or behind a blank begins a comment; options follow the
//! name; blanks are spaces and tabs. Must not read the patches.

use super::error::Error;

/// What parts words, with what the end of a line may leave behind.
const BLANKS: [char; 3] = [' ', '\t', '\r'];

/// A `series` file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Series {
    entries: Vec<Entry>,
}

/// One patch of a series.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The path of the patch, relative to the series.
    pub name: String,
    /// `-pN`; quilt's default is 1.
    pub strip: usize,
    /// `-R`.
    pub reverse: bool,
}

impl Series {
    /// Reads a series file.
    ///
    /// # Errors
    /// [`Error::BadSeries`] for an option other than `-pN`, `-p ab` and `-R`, for a name that leaves the folder, and for one that is
    /// there twice.
    pub fn parse(text: &str) -> Result<Series, Error> {
        let mut series = Series::default();
        for (i, line) in text.lines().enumerate() {
            let bad = |why| Error::BadSeries { line: i + 1, why };
            let code = match line.find('#') {
                Some(0) => "",
                Some(at) if line[..at].ends_with(BLANKS) => &line[..at],
                _ => line,
            };
            let mut words = code.split(BLANKS).filter(|word| !word.is_empty());
            let Some(name) = words.next() else { continue };
            super::names::safe(name).map_err(|()| bad("the name leaves the folder"))?;
            let mut entry = Entry { name: name.to_string(), strip: 1, reverse: false };
            while let Some(word) = words.next() {
                let level = match word.strip_prefix("-p") {
                    _ if word == "-R" => {
                        entry.reverse = true;
                        continue;
                    }
                    Some("") => words.next().unwrap_or_default(),
                    Some(level) => level,
                    None => return Err(bad("an option other than -pN and -R")),
                };
                // `-pab` and `-p ab` are quilt's names for git-like prefixes: level 1.
                let number = if level == "ab" { Ok(1) } else { level.parse() };
                entry.strip = number.map_err(|_| bad("-p without a number"))?;
            }
            if series.entries().any(|e| e.name == entry.name) {
                return Err(bad("the patch is there twice"));
            }
            series.entries.push(entry);
        }
        Ok(series)
    }

    /// Returns the patches in order.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter()
    }
}

impl std::fmt::Display for Series {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.entries.iter().try_for_each(|entry| {
            let level = if entry.strip == 1 { String::new() } else { format!(" -p{}", entry.strip) };
            writeln!(f, "{}{level}{}", entry.name, if entry.reverse { " -R" } else { "" })
        })
    }
}

impl FromIterator<Entry> for Series {
    fn from_iter<I: IntoIterator<Item = Entry>>(entries: I) -> Series {
        Series { entries: entries.into_iter().collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_options_and_comments() {
        let text = "# debian\n\ndebian/a.patch\nb.patch -p0  # old\nc#1.patch -R\nd.patch -p ab -R";
        let series = Series::parse(text).unwrap();
        let entries: Vec<_> = series.entries().map(|e| (e.name.as_str(), e.strip, e.reverse)).collect();
        assert_eq!(
            entries,
            [("debian/a.patch", 1, false), ("b.patch", 0, false), ("c#1.patch", 1, true), ("d.patch", 1, true)]
        );
        assert_eq!(series.to_string(), "debian/a.patch\nb.patch -p0\nc#1.patch -R\nd.patch -R\n");
        for bad in ["a.patch -x\n", "a.patch\na.patch\n", "../a.patch\n", "/a.patch\n", "a.patch -p\n", "a.patch -px\n"]
        {
            assert!(matches!(Series::parse(bad), Err(Error::BadSeries { .. })), "{bad}");
        }
    }

    /// A name may have other characters that show nothing, a `#` behind one of them too.
    #[test]
    fn blanks_are_those_of_quilt() {
        let series = Series::parse("a\u{b}#b.patch\n\u{b}#\nc\u{a0}d.patch -R\r\n\r#e\n").unwrap();
        let names: Vec<_> = series.entries().map(|e| (e.name.as_str(), e.reverse)).collect();
        assert_eq!(names, [("a\u{b}#b.patch", false), ("\u{b}#", false), ("c\u{a0}d.patch", true)]);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(text in "([a-c./# \t\n\r\u{b}\u{a0}-]|-p1|-R){0,40}") {
            if let Ok(series) = Series::parse(&text) {
                prop_assert_eq!(Series::parse(&series.to_string()).unwrap(), series);
            }
        }
    }
}
