//! What is sent to a board: one tar archive with the missing store paths and the new generation, and lists by which the board
//! checks that all of it arrived.
//!
//! `sums` comes first and is what `sha256sum -c` reads; files whose names it could not carry, symbolic links and programs are in `odd`.

use std::ffi::OsStr;
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use sha2::{Digest as _, Sha256};
use tar::{Builder, EntryType, Header};

use super::quote::escaped;

/// How the archive is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    Xz,
    Zstd,
    Gzip,
    Plain,
}

impl How {
    /// Returns the best of those that the board can unpack.
    pub fn best(unpack: &std::collections::BTreeSet<String>) -> How {
        let order = [("xz", How::Xz), ("zstd", How::Zstd), ("gzip", How::Gzip)];
        order.into_iter().find(|(name, _)| unpack.contains(*name)).map_or(How::Plain, |(_, how)| how)
    }

    pub fn name(self) -> &'static str {
        match self {
            How::Xz => "xz",
            How::Zstd => "zstd",
            How::Gzip => "gzip",
            How::Plain => "none",
        }
    }
}

enum Source {
    Dir,
    Text(Vec<u8>),
    File(PathBuf),
    Link(PathBuf),
}

struct Item {
    /// Its path in the archive.
    path: PathBuf,
    source: Source,
    executable: bool,
}

/// An archive, not yet written.
#[derive(Default)]
pub(super) struct Archive {
    items: Vec<Item>,
    sums: Vec<u8>,
    odd: Vec<u8>,
}

impl Archive {
    fn add(&mut self, path: PathBuf, source: Source, executable: bool) -> io::Result<()> {
        let name = [b"./", path.as_os_str().as_bytes()].concat();
        let digest = match &source {
            Source::Dir => None,
            Source::Text(text) => Some(HEXLOWER.encode(&Sha256::digest(text))),
            Source::File(real) => Some(digest(real)?),
            Source::Link(target) => {
                let line = format!("link {} {}\n", escaped(target.as_os_str().as_bytes()), escaped(&name));
                self.odd.extend(line.bytes());
                None
            }
        };
        // What `sha256sum -c` would read otherwise than it stands.
        let is_odd = name.iter().any(|b| matches!(b, b'\n' | b'\r' | b'\\'));
        match digest {
            Some(digest) if is_odd => self.odd.extend(format!("file {digest} {}\n", escaped(&name)).bytes()),
            Some(digest) => self.sums.extend([digest.as_bytes(), b"  ", &name, b"\n"].concat()),
            None => {}
        }
        if executable {
            self.odd.extend(format!("exec - {}\n", escaped(&name)).bytes());
        }
        self.items.push(Item { path, source, executable });
        Ok(())
    }

    pub fn dir(&mut self, path: impl Into<PathBuf>) -> io::Result<()> {
        self.add(path.into(), Source::Dir, false)
    }

    pub fn text(&mut self, path: impl Into<PathBuf>, text: impl Into<Vec<u8>>) -> io::Result<()> {
        self.add(path.into(), Source::Text(text.into()), false)
    }

    pub fn program(&mut self, path: impl Into<PathBuf>, text: impl Into<Vec<u8>>) -> io::Result<()> {
        self.add(path.into(), Source::Text(text.into()), true)
    }

    pub fn link(&mut self, path: impl Into<PathBuf>, target: impl Into<PathBuf>) -> io::Result<()> {
        self.add(path.into(), Source::Link(target.into()), false)
    }

    /// Adds what is at `real`, with all that is below.
    pub fn tree(&mut self, path: &Path, real: &Path) -> io::Result<()> {
        use std::os::unix::fs::PermissionsExt as _;
        let metadata = real.symlink_metadata()?;
        if metadata.is_symlink() {
            return self.link(path, std::fs::read_link(real)?);
        }
        if metadata.is_file() {
            return self.add(path.into(), Source::File(real.into()), metadata.permissions().mode() & 0o111 != 0);
        }
        self.dir(path)?;
        let mut below = std::fs::read_dir(real)?.map(|entry| Ok(entry?.file_name())).collect::<io::Result<Vec<_>>>()?;
        below.sort();
        below.iter().try_for_each(|name| self.tree(&path.join(name), &real.join(name)))
    }

    /// Returns the hash of the list of hashes, which says all that is in it.
    pub fn digest(&mut self) -> String {
        let line = format!("{}  ./odd\n", HEXLOWER.encode(&Sha256::digest(&self.odd)));
        if !self.sums.starts_with(line.as_bytes()) {
            self.sums.splice(0..0, line.bytes());
        }
        HEXLOWER.encode(&Sha256::digest(&self.sums))
    }

    /// Writes it, compressed; returns how many bytes that were before.
    pub fn write(&self, how: How, out: &mut dyn Write) -> io::Result<u64> {
        match how {
            How::Plain => self.plain(out),
            How::Gzip => {
                let mut writer = flate2::write::GzEncoder::new(out, flate2::Compression::best());
                let size = self.plain(&mut writer)?;
                writer.finish().map(|_| size)
            }
            How::Zstd => {
                let mut writer = zstd::stream::Encoder::new(out, 19)?;
                let size = self.plain(&mut writer)?;
                writer.finish().map(|_| size)
            }
            How::Xz => {
                let mut writer = lzma_rust2::XzWriter::new(out, lzma_rust2::XzOptions::with_preset(6))?;
                let size = self.plain(&mut writer)?;
                writer.finish().map(|_| size)
            }
        }
    }

    fn plain(&self, out: &mut dyn Write) -> io::Result<u64> {
        let mut builder = Builder::new(Counted { out, count: 0 });
        for (name, text) in [("sums", &self.sums), ("odd", &self.odd)] {
            append(&mut builder, Path::new(name), false, text.len() as u64, &mut text.as_slice())?;
        }
        for item in &self.items {
            match &item.source {
                Source::Dir => {
                    let mut header = header(EntryType::Directory, 0o755, 0);
                    builder.append_data(&mut header, &item.path, io::empty())?;
                }
                Source::Text(text) => {
                    append(&mut builder, &item.path, item.executable, text.len() as u64, &mut text.as_slice())?;
                }
                Source::File(real) => {
                    let mut file = std::fs::File::open(real)?;
                    let size = file.metadata()?.len();
                    append(&mut builder, &item.path, item.executable, size, &mut file)?;
                }
                Source::Link(target) => {
                    let mut header = header(EntryType::Symlink, 0o777, 0);
                    // As it stands, where it has room: what is read back on the board is compared byte by byte.
                    if target.as_os_str().len() <= 100 {
                        header.set_link_name_literal(target.as_os_str().as_bytes())?;
                        builder.append_data(&mut header, &item.path, io::empty())?;
                    } else {
                        builder.append_link(&mut header, &item.path, target)?;
                    }
                }
            }
        }
        Ok(builder.into_inner()?.count)
    }
}

fn header(kind: EntryType, mode: u32, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size);
    header.set_uid(0);
    header.set_gid(0);
    // As in a store.
    header.set_mtime(1);
    header
}

fn append<W: Write>(
    builder: &mut Builder<W>,
    path: &Path,
    executable: bool,
    size: u64,
    data: &mut dyn Read,
) -> io::Result<()> {
    let mut header = header(EntryType::Regular, if executable { 0o555 } else { 0o444 }, size);
    builder.append_data(&mut header, path, data)
}

fn digest(path: &Path) -> io::Result<String> {
    let (mut hash, mut file) = (Sha256::new(), std::fs::File::open(path)?);
    let mut buffer = vec![0; 1 << 16];
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            got => hash.update(buffer.get(..got).unwrap_or_default()),
        }
    }
    Ok(HEXLOWER.encode(&hash.finalize()))
}

/// Counts what goes through.
pub(super) struct Counted<W> {
    pub out: W,
    pub count: u64,
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.count += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Returns the text of a command file: the commands one after another, each quoted, until one fails.
pub(super) fn commands(list: &[Vec<String>]) -> String {
    let lines: Vec<String> = list.iter().map(|words| super::quote::command(words)).collect();
    lines.join(" &&\n") + "\n"
}

/// Returns a path below a directory of the archive; the name comes from a store and is any bytes.
pub(super) fn below(dir: &str, name: &str) -> PathBuf {
    Path::new(dir).join(OsStr::new(name))
}
