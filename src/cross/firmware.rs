//! What a board starts before any program: kernel images, device trees, boot loaders' containers.
//!
//! Told by the first bytes of a file, none of which are ELF. Layouts: Linux `Documentation/arm64/booting.rst`,
//! `Documentation/x86/boot.rst`, `Documentation/riscv/boot-image-header.rst`, the magic number of `zImage` in
//! `arch/arm/boot/compressed/head.S`, U-Boot's `include/image.h`, the Devicetree Specification 5.2. Must not judge a
//! platform by a file's name.

use serde::Serialize;

use super::platform::Platform;

/// A file that a boot loader or a kernel reads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Firmware {
    pub kind: &'static str,
    /// nixpkgs' family and width of the processor that it is for; absent where the file does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu: Option<(&'static str, u8)>,
}

impl Firmware {
    /// Tells what a file is by its first 0x240 bytes; `None` for what has no mark of its own, such as a raw `u-boot.bin`.
    pub fn of(head: &[u8]) -> Option<Firmware> {
        let at = |offset: usize, magic: &[u8]| head.get(offset..offset + magic.len()) == Some(magic);
        let found = |kind, cpu| Some(Firmware { kind, cpu });
        match () {
            () if head.starts_with(b"\x7fELF") => None,
            () if at(0x38, b"ARM\x64") => found("Linux kernel image", Some(("arm", 64))),
            () if at(0x24, &0x016f_2818_u32.to_le_bytes()) || at(0x24, &0x016f_2818_u32.to_be_bytes()) => {
                found("Linux kernel image (zImage)", Some(("arm", 32)))
            }
            () if at(0x38, b"RSC\x05") => found("Linux kernel image", Some(("riscv", 64))),
            () if at(0x202, b"HdrS") && at(0x1fe, b"\x55\xaa") => {
                // `xloadflags` came with protocol 2.12; its lowest bit says that there is a 64-bit entry.
                let version = head.get(0x206..0x208).map_or(0, |v| u16::from_le_bytes([v[0], v[1]]));
                let is_64 = version >= 0x020c && head.get(0x236).is_some_and(|flags| flags & 1 != 0);
                found("Linux kernel image (bzImage)", Some(("x86", if is_64 { 64 } else { 32 })))
            }
            () if head.starts_with(b"MZ") && at(4, b"zimg") => found("compressed Linux kernel image for EFI", None),
            () if at(0, &0x2705_1956_u32.to_be_bytes()) && head.len() >= 64 => {
                let kind = match head.get(30) {
                    Some(2) => "U-Boot image of a kernel (uImage)",
                    Some(3) => "U-Boot image of a ramdisk",
                    Some(5) => "U-Boot image of firmware",
                    Some(6) => "U-Boot script",
                    Some(8) => "U-Boot image of a device tree",
                    _ => "U-Boot image",
                };
                found(kind, head.get(29).copied().and_then(uboot_cpu))
            }
            () if at(0, &0xd00d_feed_u32.to_be_bytes()) => found("device tree", None),
            () => None,
        }
    }

    /// Says whether a platform's processor can start it; `None` where the file does not say for which it is.
    pub fn is_for(&self, platform: &Platform) -> Option<bool> {
        let (family, bits) = self.cpu?;
        let cpu = platform.cpu;
        // A 64-bit x86 boots the images of 32-bit kernels; every other processor takes its own only.
        Some(cpu.family == family && (u32::from(cpu.bits) == u32::from(bits) || family == "x86"))
    }
}

impl std::fmt::Display for Firmware {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.cpu {
            Some((family, bits)) => write!(f, "{} for {bits}-bit {family}", self.kind),
            None => f.write_str(self.kind),
        }
    }
}

/// U-Boot's numbers of architectures (`IH_ARCH_...`), those that nixpkgs can build for.
fn uboot_cpu(number: u8) -> Option<(&'static str, u8)> {
    Some(match number {
        2 => ("arm", 32),
        3 => ("x86", 32),
        5 => ("mips", 32),
        6 => ("mips", 64),
        7 => ("power", 32),
        14 => ("microblaze", 32),
        22 => ("arm", 64),
        24 => ("x86", 64),
        26 => ("riscv", 64),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: usize = 0x240;

    fn image(marks: &[(usize, &[u8])]) -> Vec<u8> {
        let mut bytes = vec![0; HEAD];
        for (at, mark) in marks {
            bytes[*at..at + mark.len()].copy_from_slice(mark);
        }
        bytes
    }

    #[test]
    fn kernels_say_for_which_processor_they_are() {
        let platforms = ["aarch64-linux", "armv7l-linux", "riscv64-linux", "x86_64-linux"];
        let images = [
            image(&[(0x38, b"ARM\x64")]),
            image(&[(0x24, b"\x18\x28\x6f\x01")]),
            image(&[(0x30, b"RISCV\0\0\0"), (0x38, b"RSC\x05")]),
            image(&[(0x1fe, b"\x55\xaa"), (0x202, b"HdrS"), (0x206, b"\x0f\x02"), (0x236, b"\x7f")]),
        ];
        for (i, bytes) in images.iter().enumerate() {
            let found = Firmware::of(bytes).unwrap();
            for (j, platform) in platforms.iter().enumerate() {
                assert_eq!(found.is_for(&Platform::parse(platform).unwrap()), Some(i == j), "{found} on {platform}");
            }
        }
    }

    #[test]
    fn containers_and_trees() {
        let uimage = image(&[(0, b"\x27\x05\x19\x56"), (28, &[5, 22, 2, 1])]);
        assert_eq!(Firmware::of(&uimage).unwrap().to_string(), "U-Boot image of a kernel (uImage) for 64-bit arm");
        let tree = Firmware::of(b"\xd0\x0d\xfe\xed\0\0").unwrap();
        assert_eq!((tree.kind, tree.is_for(&Platform::parse("riscv64-linux").unwrap())), ("device tree", None));
    }

    #[test]
    fn other_files_and_cut_off_ones_are_none() {
        for bytes in [&b""[..], b"\x7fELF", b"#!/bin/sh\n", b"MZ", b"\xd0\x0d", b"\x27\x05\x19\x56"] {
            assert_eq!(Firmware::of(bytes), None);
        }
        for cut in 0..HEAD {
            // Nothing panics, whatever is missing.
            Firmware::of(&image(&[(0x202, b"HdrS"), (0x1fe, b"\x55\xaa")])[..cut]);
        }
    }
}
