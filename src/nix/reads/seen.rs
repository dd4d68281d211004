//! How files, directories and variables are now, as numbers that differ where an evaluation could see a difference.
//!
//! The content of a file counts by where links lead, inode, size and times: to read all of it would take longer than to evaluate it
//! again. A directory counts by its names and their kinds, what was looked for by whether it is there.

use std::collections::BTreeMap;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rayon::prelude::*;
use twox_hash::XxHash3_128;

use super::Look;
use crate::base::store_path::STORE_DIR;

#[derive(Clone, Copy)]
pub(super) struct Seen {
    pub(super) print: u128,
    /// When it was changed last, in nanoseconds since 1970.
    pub(super) changed: i128,
    /// Whether it is in the store, wherever links lead.
    pub(super) is_stored: bool,
}

/// Says whether something changed after a moment, or so shortly before that the file system's clock cannot tell.
pub(super) fn changed_since(changed: i128, moment: SystemTime) -> bool {
    /// A tick of the slowest clock that a kernel marks files with.
    const TICK: Duration = Duration::from_millis(11);
    let since = moment.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().saturating_sub(TICK);
    i128::try_from(since.as_nanos()).is_ok_and(|since| changed >= since)
}

/// Looks at everything; in the same order.
pub(super) fn see(looked: &[(&str, Look)], copy: Option<&Path>) -> Vec<Seen> {
    let chunks = looked.par_chunks(64).map(|chunk| {
        let mut places = Places { copy: copy.map(Path::to_path_buf), ..Places::default() };
        chunk.iter().map(|(name, look)| places.see(name, *look)).collect::<Vec<_>>()
    });
    chunks.flatten().collect()
}

/// Where directories really are; asked once for all that is in one of them.
#[derive(Default)]
struct Places {
    known: BTreeMap<PathBuf, (PathBuf, i128)>,
    copy: Option<PathBuf>,
}

impl Places {
    fn see(&mut self, name: &str, look: Look) -> Seen {
        let path = Path::new(name);
        let mut sum = Sum { copy: self.copy.clone(), ..Sum::default() };
        match look {
            Look::Variable => {
                if let Some(value) = std::env::var_os(name) {
                    sum.text.extend_from_slice(value.as_bytes());
                    sum.text.push(1);
                }
            }
            Look::Presence(_) => {
                // As Nix asks: a link that leads nowhere is there. A slash at the end asks for a directory.
                let is_there = path.symlink_metadata().is_ok() && (!name.ends_with('/') || path.is_dir());
                return Seen { print: u128::from(is_there), changed: i128::MIN, is_stored: false };
            }
            Look::Kind => match path.symlink_metadata() {
                Ok(there) => {
                    sum.text.push(kind(there.file_type()));
                    sum.changed = changed(&there);
                }
                Err(_) => sum.text.push(0),
            },
            Look::Names => {
                let real = self.real(path, &mut sum);
                sum.names(&real);
            }
            Look::Content => {
                let mut real = self.real(path, &mut sum);
                if real.is_dir() {
                    let default = real.join("default.nix");
                    real = self.real(&default, &mut sum);
                }
                // A directory that was put in the place of another one has a new time itself.
                if let Some(dir) = real.parent() {
                    sum.changed_with(dir);
                }
                sum.add(&real);
            }
            Look::Tree => {
                let real = self.real(path, &mut sum);
                sum.tree(&real);
            }
        }
        Seen { print: XxHash3_128::oneshot(&sum.text), changed: sum.changed, is_stored: sum.is_stored }
    }

    /// Follows links, and counts where they lead and when they were made; the path as it is where it leads nowhere.
    fn real(&mut self, path: &Path, sum: &mut Sum) -> PathBuf {
        let (dir, name) = (path.parent().unwrap_or(path), path.file_name().unwrap_or_default());
        if !self.known.contains_key(dir) {
            self.known.insert(dir.to_path_buf(), resolved(dir, self.copy.as_deref()));
        }
        let (real_dir, linked) = self.known.get(dir).cloned().unwrap_or_default();
        let mut real = real_dir.join(name);
        sum.changed = sum.changed.max(linked);
        if real.is_symlink() {
            let (leads, linked) = resolved(&real, self.copy.as_deref());
            sum.changed = sum.changed.max(linked);
            real = leads;
        }
        sum.is_stored = real.starts_with(STORE_DIR);
        let below = self.copy.as_ref().and_then(|copy| real.strip_prefix(copy).ok());
        sum.text.extend_from_slice(below.unwrap_or(&real).as_os_str().as_bytes());
        sum.text.push(u8::from(below.is_some()));
        real
    }
}

/// Returns where a path leads, and when the last of the links on the way was made, but for those in a copy.
fn resolved(path: &Path, copy: Option<&Path>) -> (PathBuf, i128) {
    let real = path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
    let mut linked = i128::MIN;
    if real != path {
        for above in path.ancestors().filter(|above| !copy.is_some_and(|copy| above.starts_with(copy))) {
            if let Ok(there) = above.symlink_metadata()
                && there.is_symlink()
            {
                linked = linked.max(changed(&there));
            }
        }
    }
    (real, linked)
}

fn changed(there: &std::fs::Metadata) -> i128 {
    i128::from(there.ctime()) * 1_000_000_000 + i128::from(there.ctime_nsec())
}

fn kind(of: std::fs::FileType) -> u8 {
    match () {
        () if of.is_file() => b'f',
        () if of.is_dir() => b'd',
        () if of.is_symlink() => b'l',
        () if of.is_fifo() => b'p',
        () => b'o',
    }
}

struct Sum {
    text: Vec<u8>,
    changed: i128,
    is_stored: bool,
    copy: Option<PathBuf>,
}

impl Default for Sum {
    fn default() -> Sum {
        Sum { text: Vec::with_capacity(256), changed: i128::MIN, is_stored: false, copy: None }
    }
}

impl Sum {
    /// Adds what there is to see of one file.
    fn add(&mut self, path: &Path) {
        match path.symlink_metadata() {
            Ok(there) if self.is_copied(path) => {
                self.text.extend_from_slice(&there.mode().to_le_bytes());
                let content = match there.is_symlink() {
                    true => std::fs::read_link(path).map(|target| target.into_os_string().into_vec()),
                    false if there.is_dir() => Ok(Vec::new()),
                    false => std::fs::read(path),
                };
                let content = content.unwrap_or_else(|error| error.to_string().into_bytes());
                self.text.extend_from_slice(&XxHash3_128::oneshot(&content).to_le_bytes());
            }
            Ok(there) => {
                let numbers = [there.mtime(), there.mtime_nsec(), there.ctime(), there.ctime_nsec()];
                let sizes = [there.dev(), there.ino(), there.size(), u64::from(there.mode())];
                // When something was put into a directory says nothing that the names in it do not say.
                let is_dir = there.is_dir();
                self.text.extend(numbers.into_iter().filter(|_| !is_dir).flat_map(i64::to_le_bytes));
                self.text.extend(sizes.into_iter().filter(|_| !is_dir).flat_map(u64::to_le_bytes));
                self.text.push(kind(there.file_type()));
                self.changed = self.changed.max(changed(&there));
            }
            Err(error) => self.text.extend_from_slice(error.kind().to_string().as_bytes()),
        }
    }

    /// Adds the names in a directory, and returns them.
    fn names(&mut self, dir: &Path) -> Vec<std::ffi::OsString> {
        let entries = std::fs::read_dir(dir).and_then(Iterator::collect::<std::io::Result<Vec<_>>>);
        let mut names = Vec::new();
        match entries {
            Ok(entries) => {
                let kinds = entries.into_iter().map(|entry| (entry.file_name(), entry.file_type().map_or(0, kind)));
                let mut kinds: Vec<_> = kinds.collect();
                kinds.sort();
                for (name, kind) in kinds {
                    self.text.extend_from_slice(name.as_bytes());
                    self.text.extend_from_slice(&[0, kind]);
                    names.push(name);
                }
            }
            Err(error) => self.text.extend_from_slice(error.kind().to_string().as_bytes()),
        }
        self.changed_with(dir);
        names
    }

    fn changed_with(&mut self, dir: &Path) {
        if let Some(there) = dir.metadata().ok().filter(|_| !self.is_copied(dir)) {
            self.changed = self.changed.max(changed(&there));
        }
    }

    fn is_copied(&self, path: &Path) -> bool {
        self.copy.as_ref().is_some_and(|copy| path.starts_with(copy))
    }

    /// Adds a file, or a directory with all that is below it; links are not followed.
    fn tree(&mut self, path: &Path) {
        self.add(path);
        if path.symlink_metadata().is_ok_and(|there| there.is_dir()) {
            for name in self.names(path) {
                self.tree(&path.join(name));
            }
        }
    }
}
