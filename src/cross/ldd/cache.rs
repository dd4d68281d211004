//! `ld.so.cache`, where glibc's loader finds what `ldconfig` found, and `ld.so.conf`, of which `ldconfig` makes it.
//!
//! The format is that of `elf/dl-cache.h`: a header, entries of fixed size, texts; older systems have a table of the format before
//! in front. Entries for a processor's special abilities (`glibc-hwcaps`) are left out, and an entry's flags are not looked at: the
//! file that it names says what it is for.

use std::collections::HashMap;

use super::Files;
use crate::cross::elf::Endianness;

const MAGIC: &[u8] = b"glibc-ld.so.cache1.1";
const OLD_MAGIC: &[u8] = b"ld.so-1.7.0\0";
const HEADER: usize = 48;
const ENTRY: usize = 24;
const OLD_HEADER: usize = 16;
const OLD_ENTRY: usize = 12;

/// The paths of a cache by the names of libraries, each in the order of the file.
#[derive(Debug, Default)]
pub(super) struct Cache {
    paths: HashMap<String, Vec<String>>,
}

impl Cache {
    /// Reads the cache at `path`; `None` where there is none that a loader would take.
    pub(super) fn read(files: &dyn Files, path: &str, endianness: Endianness) -> Option<Cache> {
        // A cache that cannot be read is none to the loader.
        parse(&files.read(path).ok()??, endianness)
    }

    pub(super) fn paths(&self, name: &str) -> &[String] {
        self.paths.get(name).map(Vec::as_slice).unwrap_or_default()
    }
}

fn parse(bytes: &[u8], endianness: Endianness) -> Option<Cache> {
    let number = |bytes: &[u8], at: usize| -> Option<usize> {
        let word: [u8; 4] = bytes.get(at..at.checked_add(4)?)?.try_into().ok()?;
        let number = if endianness == Endianness::Little { u32::from_le_bytes(word) } else { u32::from_be_bytes(word) };
        usize::try_from(number).ok()
    };
    let mut table = bytes;
    if bytes.starts_with(OLD_MAGIC) {
        let end = number(bytes, OLD_MAGIC.len())?.checked_mul(OLD_ENTRY)?.checked_add(OLD_HEADER)?;
        // 64-bit numbers follow, which some processors align to four bytes only.
        let starts = [end.next_multiple_of(8), end.next_multiple_of(4)];
        table = starts.into_iter().filter_map(|at| bytes.get(at..)).find(|rest| rest.starts_with(MAGIC))?;
    }
    if !table.starts_with(MAGIC) {
        return None;
    }
    let text = |at: usize| -> Option<String> {
        let rest = table.get(at..)?;
        Some(String::from_utf8_lossy(rest.get(..rest.iter().position(|b| *b == 0)?)?).into_owned())
    };
    let mut cache = Cache::default();
    let count = number(table, MAGIC.len())?;
    let entries = table.get(HEADER..HEADER.checked_add(count.checked_mul(ENTRY)?)?)?;
    for entry in entries.chunks_exact(ENTRY) {
        let for_all = entry.get(16..)?.iter().all(|b| *b == 0);
        let (Some(name), Some(path)) = (text(number(entry, 4)?), text(number(entry, 8)?)) else { continue };
        if for_all {
            cache.paths.entry(name).or_default().push(path);
        }
    }
    Some(cache)
}

/// The most files of configuration that are read.
const MAX_FILES: usize = 200;

/// Returns the directories that `/etc/ld.so.conf` and what it includes name.
pub(super) fn configured_dirs(files: &dyn Files) -> Vec<String> {
    let mut dirs = Vec::new();
    let mut todo = vec!["/etc/ld.so.conf".to_string()];
    let mut read = 0;
    while let Some(path) = todo.pop() {
        read += 1;
        let Some(bytes) = files.read(&path).ok().flatten().filter(|_| read <= MAX_FILES) else { continue };
        let mut included = Vec::new();
        for line in String::from_utf8_lossy(&bytes).lines() {
            let line = line.split('#').next().unwrap_or("").trim();
            match line.strip_prefix("include").filter(|rest| rest.starts_with([' ', '\t'])) {
                Some(patterns) => included.extend(patterns.split_whitespace().flat_map(|p| matching(files, &path, p))),
                // `DIR=TYPE` was for the libraries of Linux 1.
                None => {
                    dirs.extend(line.split([' ', '\t', ':', ',']).map(|d| d.split('=').next().unwrap_or(d).to_string()))
                }
            }
        }
        todo.extend(included.into_iter().rev());
    }
    dirs.retain(|dir| dir.starts_with('/'));
    dirs
}

/// Returns the files that a pattern of an `include` line means; only the last part of a path may have a `*`.
fn matching(files: &dyn Files, from: &str, pattern: &str) -> Vec<String> {
    let from = from.rsplit_once('/').map_or("", |(dir, _)| dir);
    let pattern = if pattern.starts_with('/') { pattern.to_string() } else { format!("{from}/{pattern}") };
    let Some((dir, last)) = pattern.rsplit_once('/') else { return Vec::new() };
    let Some((head, tail)) = last.split_once('*') else { return vec![pattern] };
    let fits = |name: &String| name.len() >= head.len() + tail.len() && name.starts_with(head) && name.ends_with(tail);
    files.names(dir).into_iter().filter(fits).map(|name| format!("{dir}/{name}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cross::error::Error;
    use proptest::prelude::*;

    fn cache(entries: &[(&str, &str, u64)], big: bool) -> Vec<u8> {
        let word = |n: usize| if big { (n as u32).to_be_bytes() } else { (n as u32).to_le_bytes() };
        let (mut table, mut texts) = (Vec::new(), Vec::new());
        let start = HEADER + ENTRY * entries.len();
        for (name, path, hwcap) in entries {
            table.extend(word(0x303));
            table.extend(word(start + texts.len()));
            texts.extend([name.as_bytes(), &[0]].concat());
            table.extend(word(start + texts.len()));
            texts.extend([path.as_bytes(), &[0]].concat());
            table.extend(word(0));
            table.extend(if big { hwcap.to_be_bytes() } else { hwcap.to_le_bytes() });
        }
        let mut bytes = [MAGIC, &word(entries.len()), &word(texts.len())].concat();
        bytes.resize(HEADER, 0);
        [bytes, table, texts].concat()
    }

    #[test]
    fn entries_are_found_by_name_in_their_order() {
        let entries = [
            ("liba.so", "/hwcaps/liba.so", 1 << 62),
            ("liba.so", "/opt/liba.so", 0),
            ("liba.so", "/usr/lib/liba.so", 0),
        ];
        for big in [false, true] {
            let endianness = if big { Endianness::Big } else { Endianness::Little };
            let new = cache(&entries, big);
            let word = if big { 1u32.to_be_bytes() } else { 1u32.to_le_bytes() };
            let old = [OLD_MAGIC, &word, &[0; OLD_ENTRY], &[0; 4], &new].concat();
            for bytes in [new.clone(), old] {
                let read = parse(&bytes, endianness).unwrap();
                assert_eq!(read.paths("liba.so"), ["/opt/liba.so", "/usr/lib/liba.so"]);
                assert!(read.paths("libb.so").is_empty());
            }
            assert!(parse(&new[..HEADER + 10], endianness).is_none());
        }
        assert!(parse(b"", Endianness::Little).is_none());
    }

    struct Given(Vec<(&'static str, &'static str)>);

    impl Files for Given {
        fn read(&self, path: &str) -> Result<Option<Vec<u8>>, Error> {
            Ok(self.0.iter().find(|(p, _)| *p == path).map(|(_, text)| text.as_bytes().to_vec()))
        }
        fn canonical(&self, _path: &str) -> Option<String> {
            None
        }
        fn names(&self, dir: &str) -> Vec<String> {
            let below = |p: &str| p.strip_prefix(dir).and_then(|rest| rest.strip_prefix('/')).map(str::to_string);
            self.0.iter().filter_map(|(p, _)| below(p)).collect()
        }
    }

    #[test]
    fn configuration_is_read_with_what_it_includes() {
        let files = Given(vec![
            ("/etc/ld.so.conf", "# first\n/one\ninclude ld.so.conf.d/*.conf /etc/none\n/last # end\n"),
            ("/etc/ld.so.conf.d/a.conf", "/two:/three\ninclude /etc/ld.so.conf\n"),
            ("/etc/ld.so.conf.d/a.txt", "/never"),
        ]);
        let dirs = configured_dirs(&files);
        assert_eq!(dirs[..4], ["/one", "/last", "/two", "/three"]);
        assert!(!dirs.contains(&"/never".to_string()));
    }

    proptest! {
        #[test]
        fn any_cache_is_read_or_refused(
            at in any::<prop::sample::Index>(), to in any::<u8>(), cut in any::<prop::sample::Index>(), big in any::<bool>(),
        ) {
            let mut bytes = cache(&[("liba.so", "/opt/liba.so", 0), ("libb.so", "/opt/libb.so", 0)], big);
            let at = at.index(bytes.len());
            bytes[at] = to;
            bytes.truncate(cut.index(bytes.len() + 1));
            for endianness in [Endianness::Little, Endianness::Big] {
                if let Some(read) = parse(&bytes, endianness) {
                    prop_assert!(read.paths("liba.so").len() <= 2);
                }
            }
        }
    }
}
