//! quilt's `series` files: patch names, `-pN` and `-R`, comments; read and written without losing a byte.
//!
//! Format: quilt(1) and the reader in quilt's scripts: a `#` at the start of a line or behind a blank begins a comment; options follow the
//! name. Must not read the patches.

use super::error::Error;

/// A `series` file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Series {
    lines: Vec<Line>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Line {
    /// As written, with its line end.
    text: String,
    entry: Option<Entry>,
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
        for (i, whole) in text.split_inclusive('\n').enumerate() {
            let bad = |why| Error::BadSeries { line: i + 1, why };
            let line = whole.trim_end();
            let code = match line.find('#') {
                Some(0) => "",
                Some(at) if line[..at].ends_with([' ', '\t']) => &line[..at],
                _ => line,
            };
            let mut words = code.split_whitespace();
            let entry = match words.next() {
                None => None,
                Some(name) => {
                    super::names::safe(name).map_err(|()| bad("the name leaves the folder"))?;
                    let mut entry = Entry { name: name.to_string(), strip: 1, reverse: false };
                    while let Some(word) = words.next() {
                        match word.strip_prefix("-p") {
                            _ if word == "-R" => entry.reverse = true,
                            // `-pab` and `-p ab` are quilt's names for git-like prefixes: level 1.
                            Some("") => match words.next() {
                                Some("ab") => entry.strip = 1,
                                Some(n) => entry.strip = n.parse().map_err(|_| bad("-p without a number"))?,
                                None => return Err(bad("-p without a number")),
                            },
                            Some("ab") => entry.strip = 1,
                            Some(n) => entry.strip = n.parse().map_err(|_| bad("-p without a number"))?,
                            None => return Err(bad("an option other than -pN and -R")),
                        }
                    }
                    if series.entries().any(|e| e.name == entry.name) {
                        return Err(bad("the patch is there twice"));
                    }
                    Some(entry)
                }
            };
            series.lines.push(Line { text: whole.to_string(), entry });
        }
        Ok(series)
    }

    /// Returns the patches in order.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.lines.iter().filter_map(|l| l.entry.as_ref())
    }

    /// Adds a patch at the end.
    ///
    /// # Errors
    /// [`Error::BadSeries`] as for [`Series::parse`].
    pub fn push(&mut self, entry: &Entry) -> Result<(), Error> {
        if self.lines.last().is_some_and(|l| !l.text.ends_with('\n'))
            && let Some(last) = self.lines.last_mut()
        {
            last.text.push('\n');
        }
        let mut text = self.to_string();
        text.push_str(&line_of(entry));
        *self = Series::parse(&text)?;
        Ok(())
    }

    /// Takes a patch out; says whether it was there.
    pub fn remove(&mut self, name: &str) -> bool {
        let before = self.lines.len();
        self.lines.retain(|l| l.entry.as_ref().is_none_or(|e| e.name != name));
        self.lines.len() != before
    }
}

fn line_of(entry: &Entry) -> String {
    let level = if entry.strip == 1 { String::new() } else { format!(" -p{}", entry.strip) };
    format!("{}{level}{}\n", entry.name, if entry.reverse { " -R" } else { "" })
}

impl std::fmt::Display for Series {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.lines.iter().try_for_each(|l| f.write_str(&l.text))
    }
}

impl FromIterator<Entry> for Series {
    fn from_iter<I: IntoIterator<Item = Entry>>(entries: I) -> Series {
        Series { lines: entries.into_iter().map(|e| Line { text: line_of(&e), entry: Some(e) }).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_options_and_comments() {
        let text = "# debian\n\ndebian/a.patch\nb.patch -p0  # old\nc#1.patch -R\nd.patch -p ab -R";
        let mut series = Series::parse(text).unwrap();
        let entries: Vec<_> = series.entries().map(|e| (e.name.as_str(), e.strip, e.reverse)).collect();
        assert_eq!(
            entries,
            [("debian/a.patch", 1, false), ("b.patch", 0, false), ("c#1.patch", 1, true), ("d.patch", 1, true)]
        );
        assert_eq!(series.to_string(), text);
        series.push(&Entry { name: "e.patch".into(), strip: 2, reverse: false }).unwrap();
        assert!(series.remove("b.patch") && !series.remove("b.patch"));
        assert_eq!(series.to_string(), "# debian\n\ndebian/a.patch\nc#1.patch -R\nd.patch -p ab -R\ne.patch -p2\n");
        for bad in ["a.patch -x\n", "a.patch\na.patch\n", "../a.patch\n", "/a.patch\n", "a.patch -p\n", "a.patch -px\n"]
        {
            assert!(matches!(Series::parse(bad), Err(Error::BadSeries { .. })), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn what_is_read_is_written(text in "([a-c./# \t\n-]|-p1|-R){0,40}") {
            if let Ok(series) = Series::parse(&text) {
                prop_assert_eq!(series.to_string(), text);
                let again: Series = series.entries().cloned().collect();
                prop_assert_eq!(Series::parse(&again.to_string()).unwrap(), again);
            }
        }
    }
}
