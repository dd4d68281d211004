//! Archives into trees: tar (plain, gzip, bzip2, xz, zstd, lzip) and zip, told apart by their first bytes.
//!
//! Unpacked in memory by libraries. An entry whose path leads out of the archive, or through a link, refuses the whole
//! archive; links that lead out and devices are left out and named. What unpacks to more than
//! the limits is refused when the limit is reached, not after. Must not write anything.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek as _};
use std::path::Path;

use crate::patch::{EXECUTABLE, REGULAR};
use crate::queue::Error;
use crate::queue::source::{Gathered, Limits};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Packing {
    Tar,
    Gzip,
    Bzip2,
    Xz,
    Zstd,
    Lzip,
    Lzma,
    Zip,
}

/// The first bytes of a file say how it is packed; a tar's magic stands at 257.
fn packing(head: &[u8]) -> Option<Packing> {
    Some(match head {
        [0x1f, 0x8b, ..] => Packing::Gzip,
        [b'B', b'Z', b'h', b'1'..=b'9', ..] => Packing::Bzip2,
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Packing::Xz,
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Packing::Zstd,
        [b'L', b'Z', b'I', b'P', ..] => Packing::Lzip,
        [b'P', b'K', 3, 4, ..] | [b'P', b'K', 5, 6, ..] => Packing::Zip,
        // LZMA alone has no magic: the properties that every writer uses, then a dictionary size.
        [0x5d, 0, 0, _, _, 0xff, 0xff, ..] => Packing::Lzma,
        head if head.get(257..262) == Some(b"ustar") => Packing::Tar,
        head if old_tar(head) => Packing::Tar,
        _ => return None,
    })
}

/// A tar from before POSIX: no magic, but the checksum of its first header is right.
fn old_tar(head: &[u8]) -> bool {
    let Some(block) = head.get(..512) else { return false };
    let digits = block.get(148..156).unwrap_or_default();
    let text: String = digits.iter().map(|b| char::from(*b)).filter(char::is_ascii_digit).collect();
    let sum: u64 =
        block.iter().enumerate().map(|(i, b)| if (148..156).contains(&i) { 32 } else { u64::from(*b) }).sum();
    block.first() != Some(&0) && u64::from_str_radix(&text, 8) == Ok(sum)
}

/// Says whether the file looks like an archive.
pub(crate) fn is_archive(path: &Path) -> bool {
    let mut head = Vec::new();
    File::open(path).is_ok_and(|f| f.take(512).read_to_end(&mut head).is_ok()) && packing(&head).is_some()
}

/// Says whether a name promises an archive, so that a damaged one is not taken for a plain file.
pub(crate) fn is_named_so(name: &str) -> bool {
    let ends = [".tar", ".gz", ".tgz", ".bz2", ".tbz2", ".xz", ".txz", ".zst", ".lz", ".lzma", ".zip", ".crate"];
    ends.iter().any(|end| name.ends_with(end))
}

pub(crate) fn unpack(path: &Path, limits: &Limits, into: &mut Gathered) -> Result<(), Error> {
    let fail = |e: io::Error| said(path, &e, limits);
    let mut file = File::open(path).map_err(fail)?;
    let mut head = Vec::new();
    (&mut file).take(512).read_to_end(&mut head).map_err(fail)?;
    file.rewind().map_err(fail)?;
    let Some(packing) = packing(&head) else {
        return Err(Error::Unpack { path: path.to_path_buf(), why: "it is no archive that overlayctl knows".into() });
    };
    let file = BufReader::with_capacity(1 << 17, file);
    match packing {
        Packing::Zip => unzip(file, path, limits, into),
        packing => untar(unpacker(packing, file).map_err(fail)?, path, limits, into),
    }
}

/// Returns what takes the compression off; a tar, and a zip, have none around them.
fn unpacker<'r>(packing: Packing, file: impl BufRead + 'r) -> io::Result<Box<dyn Read + 'r>> {
    // A dictionary above 1 GiB is not what anyone packs sources with.
    const MEMORY_KIB: u32 = 1 << 20;
    Ok(match packing {
        Packing::Tar | Packing::Zip => Box::new(file),
        Packing::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(file)),
        Packing::Bzip2 => Box::new(bzip2::bufread::MultiBzDecoder::new(file)),
        Packing::Xz => Box::new(lzma_rust2::XzReader::new_mem_limit(file, true, MEMORY_KIB)),
        Packing::Lzip => Box::new(lzma_rust2::LzipReader::new(file)),
        Packing::Lzma => Box::new(lzma_rust2::LzmaReader::new_mem_limit(file, MEMORY_KIB, None)?),
        Packing::Zstd => Box::new(zstd::stream::read::Decoder::with_buffer(file)?),
    })
}

/// What came out of something that is packed.
#[derive(Debug, Default)]
pub(crate) struct Opened {
    /// What was compressed, or the files of a zip.
    pub(crate) files: Vec<Vec<u8>>,
    /// Whether there is more: the limit was reached, or what follows cannot be unpacked.
    pub(crate) more: bool,
}

/// Unpacks `bytes`, not more than `most`. `None` for what is not packed, a tar among it.
pub(crate) fn opened(bytes: &[u8], most: u64) -> Option<Opened> {
    let packing = packing(bytes.get(..512).unwrap_or(bytes)).filter(|packing| *packing != Packing::Tar)?;
    let (mut opened, mut left) = (Opened::default(), most);
    let mut take = |reader: io::Result<&mut dyn Read>| {
        let mut file = Vec::new();
        // What comes before an error is there: a program can be followed by something else.
        let ended = reader.and_then(|reader| reader.take(left.saturating_add(1)).read_to_end(&mut file));
        opened.more |= ended.is_err() || file.len() as u64 > left;
        left = left.saturating_sub(file.len() as u64);
        opened.files.extend((!file.is_empty()).then_some(file));
    };
    if packing != Packing::Zip {
        match unpacker(packing, bytes) {
            Ok(mut reader) => take(Ok(&mut reader)),
            Err(error) => take(Err(error)),
        }
        return Some(opened);
    }
    match zip::ZipArchive::new(io::Cursor::new(bytes)) {
        Ok(mut archive) => (0..archive.len()).for_each(|i| match archive.by_index(i) {
            Ok(mut file) => take(Ok(&mut file)),
            Err(error) => take(Err(error.into())),
        }),
        Err(error) => take(Err(error.into())),
    }
    Some(opened)
}

/// The message with which [`Counted`] ends.
const OVER: &str = "over the limit of bytes";

fn said(path: &Path, error: &io::Error, limits: &Limits) -> Error {
    if error.to_string().contains(OVER) {
        return limits.too_many_bytes(path);
    }
    Error::Unpack { path: path.to_path_buf(), why: error.to_string() }
}

/// A reader that ends with an error after so many bytes.
struct Counted<R> {
    inner: R,
    left: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.left = self.left.checked_sub(read as u64).ok_or_else(|| io::Error::other(OVER))?;
        Ok(read)
    }
}

fn untar(stream: impl Read, path: &Path, limits: &Limits, into: &mut Gathered) -> Result<(), Error> {
    let fail = |e: io::Error| said(path, &e, limits);
    // Headers and padding count too: 1 KiB an entry, and half as much again for long names.
    let left = limits.bytes.saturating_add((limits.entries as u64).saturating_mul(1536));
    let mut archive = tar::Archive::new(Counted { inner: stream, left });
    let mut entries = 0;
    for entry in archive.entries().map_err(fail)? {
        let mut entry = entry.map_err(fail)?;
        entries += 1;
        if entries > limits.entries {
            return Err(limits.too_many_entries(path));
        }
        let kind = entry.header().entry_type();
        if kind.is_pax_global_extensions() {
            continue;
        }
        let name = entry.path_bytes().into_owned();
        let target = entry.link_name_bytes().map(|t| t.into_owned()).unwrap_or_default();
        if kind.is_dir() {
            into.directory(&name, path)?;
        } else if kind.is_symlink() {
            into.link(&name, &target, path)?;
        } else if kind.is_hard_link() {
            into.hard_link(&name, &target, path, limits)?;
        } else if kind.is_file() || kind.is_contiguous() || kind.is_gnu_sparse() {
            let executable = entry.header().mode().is_ok_and(|mode| mode & 0o100 != 0);
            // What the header says of the size is not believed: the bytes that come are.
            let room = usize::try_from(entry.size().min(1 << 20)).unwrap_or(0);
            let mut bytes = Vec::with_capacity(room);
            (&mut entry).take(limits.bytes - into.bytes.min(limits.bytes) + 1).read_to_end(&mut bytes).map_err(fail)?;
            into.file(&name, bytes, if executable { EXECUTABLE } else { REGULAR }, path, limits)?;
        } else {
            into.skip(&name, "it is a device or a pipe");
        }
    }
    if entries == 0 {
        return Err(Error::Unpack { path: path.to_path_buf(), why: "there is no tar archive in it".into() });
    }
    Ok(())
}

fn unzip(file: BufReader<File>, path: &Path, limits: &Limits, into: &mut Gathered) -> Result<(), Error> {
    let fail = |e: zip::result::ZipError| Error::Unpack { path: path.to_path_buf(), why: e.to_string() };
    let mut archive = zip::ZipArchive::new(file).map_err(fail)?;
    if archive.len() > limits.entries {
        return Err(limits.too_many_entries(path));
    }
    for i in 0..archive.len() {
        let mut entry = archive.by_index(i).map_err(fail)?;
        let name = entry.name_raw().to_vec();
        if entry.is_dir() {
            into.directory(&name, path)?;
            continue;
        }
        let (is_link, mode) = (entry.is_symlink(), entry.unix_mode().unwrap_or(0));
        let mut bytes = Vec::new();
        (&mut entry)
            .take(limits.bytes - into.bytes.min(limits.bytes) + 1)
            .read_to_end(&mut bytes)
            .map_err(|e| said(path, &e, limits))?;
        if is_link {
            into.link(&name, &bytes, path)?;
        } else {
            into.file(&name, bytes, if mode & 0o100 != 0 { EXECUTABLE } else { REGULAR }, path, limits)?;
        }
    }
    Ok(())
}
