//! The pieces of a file in which a copy of something can be: the file itself, and what is packed in it.
//!
//! Images and archives that are not compressed need no reader of their own: the programs in them begin as programs do. What is known to
//! be compressed in a way that is not read here is said, and never passed over.

use std::ops::Range;

use memchr::memmem;

use crate::queue::source::opened;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Piece<'b> {
    /// An ELF file, or an archive of them.
    Code(&'b [u8]),
    /// Anything else.
    Data(&'b [u8]),
    /// What cannot be looked into, by what it is.
    Closed(&'static str),
}

/// The most that is unpacked of one file, and how often one thing may be packed in another.
const MAX_BYTES: u64 = 1 << 29;
const MAX_DEPTH: usize = 4;
/// The most programs that are taken out of one image.
const MAX_PROGRAMS: usize = 4096;

/// Hands the pieces of a file to `see`.
pub(super) fn pieces(bytes: &[u8], see: &mut dyn FnMut(Piece<'_>)) {
    below(bytes, MAX_DEPTH, see);
}

fn below(bytes: &[u8], depth: usize, see: &mut dyn FnMut(Piece<'_>)) {
    if is_elf(bytes) || bytes.starts_with(b"!<arch>\n") {
        return see(Piece::Code(bytes));
    }
    see(Piece::Data(bytes));
    if let Some(what) = closed(bytes) {
        return see(Piece::Closed(what));
    }
    if unpacked(bytes, depth, see) {
        return;
    }
    let mut programs = programs(bytes);
    if programs.len() > MAX_PROGRAMS {
        see(Piece::Closed("an image of more programs than are looked at"));
        programs.truncate(MAX_PROGRAMS);
    }
    for program in programs {
        see(Piece::Code(bytes.get(program).unwrap_or_default()));
    }
    // A script can carry what it unpacks.
    if bytes.starts_with(b"#!") && memchr::memchr(0, bytes).is_some() {
        const MAGICS: [&[u8]; 4] = [b"\x1f\x8b\x08", b"\xfd7zXZ\0", b"BZh", b"\x28\xb5\x2f\xfd"];
        let places = MAGICS.iter().filter_map(|magic| memmem::find(bytes, magic));
        for rest in places.filter_map(|at| bytes.get(at..)) {
            unpacked(rest, depth, see);
        }
    }
}

/// Hands on what is packed in `bytes`, and says whether all of it is.
fn unpacked(bytes: &[u8], depth: usize, see: &mut dyn FnMut(Piece<'_>)) -> bool {
    let Some(opened) = opened(bytes, if depth == 0 { 0 } else { MAX_BYTES }) else { return false };
    if opened.more {
        see(Piece::Closed("packed, and not to be unpacked to its end"));
    }
    if depth > 0 {
        opened.files.iter().for_each(|file| below(file, depth - 1, see));
    }
    !opened.more
}

fn is_elf(bytes: &[u8]) -> bool {
    // Programs that read programs hold the first bytes as well: the whole header is looked at.
    let ident = bytes.starts_with(b"\x7fELF") && matches!(bytes.get(4..7), Some([1 | 2, 1 | 2, 1]));
    let word = |at: usize| match (bytes.get(5), bytes.get(at..at + 2)) {
        (Some(2), Some([high, low])) => u16::from_be_bytes([*high, *low]),
        (_, Some([low, high])) => u16::from_le_bytes([*low, *high]),
        _ => 0,
    };
    let header = if bytes.get(4) == Some(&1) { 0x28 } else { 0x34 };
    ident && (1..=4).contains(&word(16)) && matches!(word(header), 52 | 64)
}

/// Returns where in an image programs begin; what is loaded of each is told by itself, so it goes to the end.
fn programs(bytes: &[u8]) -> Vec<Range<usize>> {
    let starts = memmem::find_iter(bytes, b"\x7fELF").filter(|at| bytes.get(*at..).is_some_and(is_elf));
    let starts: Vec<usize> = starts.take(MAX_PROGRAMS + 1).collect();
    let is_object = |at: usize| bytes.get(at + 16..at + 18).is_some_and(|kind| kind == [1, 0] || kind == [0, 1]);
    let end = |index: usize, start: usize| match is_object(start) {
        true => starts.get(index + 1).copied().unwrap_or(bytes.len()),
        false => bytes.len(),
    };
    starts.iter().enumerate().map(|(index, start)| *start..end(index, *start)).collect()
}

/// Names a file system or image that is compressed inside.
fn closed(bytes: &[u8]) -> Option<&'static str> {
    let at = |offset: usize, magic: &[u8]| bytes.get(offset..).is_some_and(|rest| rest.starts_with(magic));
    Some(match () {
        () if at(0, b"hsqs") || at(0, b"sqsh") => "a squashfs image",
        () if at(1024, &[0xe2, 0xe1, 0xf5, 0xe0]) => "an EROFS image",
        () if at(0, &[0x45, 0x3d, 0xcd, 0x28]) => "a cramfs image",
        () if at(0, b"UBI#") || at(0, &[0x31, 0x18, 0x10, 0x06]) => "a UBI image",
        () if at(0, &[0x85, 0x19]) && bytes.len() > 1 << 16 => "a JFFS2 image",
        () if at(0, b"7z\xbc\xaf\x27\x1c") => "a 7z archive",
        () if at(0x1_0040, b"_BHRfS_M") => "a Btrfs image",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(bytes: &[u8]) -> Vec<String> {
        let mut found = Vec::new();
        pieces(bytes, &mut |piece| {
            found.push(match piece {
                Piece::Code(bytes) => format!("code {}", bytes.len()),
                Piece::Data(_) => "data".to_string(),
                Piece::Closed(what) => what.to_string(),
            });
        });
        found
    }

    fn program(len: usize) -> Vec<u8> {
        let mut bytes = b"\x7fELF\x02\x01\x01".to_vec();
        bytes.resize(len, 0);
        (bytes[16], bytes[0x34]) = (2, 64);
        bytes
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        use std::io::Write as _;
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn programs_are_found_wherever_they_are_packed() {
        assert_eq!(seen(&program(90)), ["code 90"]);
        let image = [vec![0; 100], program(90), program(70)].concat();
        assert_eq!(seen(&image), ["data", "code 160", "code 70"]);
        assert_eq!(
            seen(b"a text that speaks of \x7fELF\x02\x01\x01 and goes on and on and on and on and on"),
            ["data"]
        );
        assert_eq!(seen(&gzip(&gzip(&program(90)))), ["data", "data", "code 90"]);
        let script = [b"#!/bin/sh\nexit 0\n".to_vec(), gzip(&program(90))].concat();
        assert_eq!(seen(&script), ["data", "code 90"]);
        assert_eq!(seen(b"#!/bin/sh\necho hi\n"), ["data"]);
        assert_eq!(seen(b"hsqs and so on"), ["data", "a squashfs image"]);
        assert_eq!(seen(b""), ["data"]);
    }

    #[test]
    fn what_is_beyond_a_bound_is_said() {
        let not_to_its_end = "packed, and not to be unpacked to its end";
        let deep = (0..=MAX_DEPTH).fold(program(90), |inner, _| gzip(&inner));
        assert_eq!(seen(&deep), [["data"; MAX_DEPTH + 1].as_slice(), &[not_to_its_end]].concat());
        // What follows is another stream than the first, or cut off.
        let two = [gzip(&program(90)), b"\x28\xb5\x2f\xfd and so on".to_vec()].concat();
        assert_eq!(seen(&two), ["data", not_to_its_end, "code 90"]);
        let whole = gzip(&program(90));
        assert!(seen(&whole[..whole.len() - 9]).contains(&not_to_its_end.to_string()));
        let many = program(70).repeat(MAX_PROGRAMS + 1);
        assert_eq!(seen(&[vec![0], many].concat()).get(1).unwrap(), "an image of more programs than are looked at");
    }
}
