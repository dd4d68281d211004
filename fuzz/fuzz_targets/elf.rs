//! ELF files: facts, the libraries that a loader would find, and that nothing is whole of which a part is cut off.
#![no_main]

use libfuzzer_sys::fuzz_target;
use overlayctl::cross::ldd::{self, Files};
use overlayctl::cross::{self, Elf, Error, Platform};

/// One file wherever one is looked for, but for a third of the paths.
struct Everywhere<'a>(&'a [u8]);

impl Everywhere<'_> {
    fn has(&self, path: &str) -> bool {
        path.len() % 3 != 0 || path == "/p/x"
    }
}

impl Files for Everywhere<'_> {
    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, Error> {
        Ok(self.has(path).then(|| self.0.to_vec()))
    }

    fn canonical(&self, path: &str) -> Option<String> {
        self.has(path).then(|| path.to_string())
    }
}

fuzz_target!(|data: &[u8]| {
    let _ = (ldd::shebang(data), cross::Firmware::of(data), cross::Format::of(data));
    let Ok(Some(elf)) = Elf::read(data) else { return };
    let _ = (elf.linkage(), elf.is_program(), elf.is_static(), format!("{elf:?}"));
    for platform in ["aarch64-unknown-linux-musl", "armv7l-unknown-linux-gnueabihf", "mips64el-unknown-linux-gnuabi64"] {
        let _ = cross::expected(&Platform::parse(platform).unwrap()).matches(data);
    }
    let found = ldd::libraries(&Everywhere(data), "/p/x", None);
    if let Ok(Some(libraries)) = &found {
        assert!(!libraries.is_complete() || elf.damage.is_none(), "a damaged file is never complete");
        assert!(!libraries.is_complete() || libraries.needed.iter().all(|needed| needed.path.is_some()));
    }
    let _ = ldd::libraries(&Everywhere(data), "/p/x", Some(&["/d".to_string(), String::new()]));
    // Cut off in what the loader maps, it is damaged.
    if let Some(loaded) = loaded_end(data)
        && elf.damage.is_none()
        && elf.linkage().is_some()
    {
        let cut = loaded - 1 - data.len() % loaded.min(64);
        let whole = Elf::read(&data[..cut]).ok().flatten().is_some_and(|elf| elf.damage.is_none());
        assert!(!whole, "cut off at {cut} of {loaded} and said to be whole");
    }
});

/// Where the last loaded segment ends in the file, of a 64-bit little-endian file; read here by hand, not by the program.
fn loaded_end(data: &[u8]) -> Option<usize> {
    let number = |at: usize, size: usize| {
        data.get(at..at + size).map(|bytes| bytes.iter().rev().fold(0u64, |n, byte| n << 8 | u64::from(*byte)))
    };
    if data.get(4..6)? != [2, 1] || number(54, 2)? != 56 {
        return None;
    }
    let (table, count) = (usize::try_from(number(32, 8)?).ok()?, number(56, 2)? as usize);
    let end = |index: usize| {
        let at = table.checked_add(index.checked_mul(56)?)?;
        let loads = number(at, 4)? == 1;
        let end = number(at + 8, 8)?.checked_add(number(at + 32, 8)?)?;
        (loads && number(at + 32, 8)? > 0).then_some(end)
    };
    if count == 0 || table.checked_add(count * 56)? > data.len() {
        return None;
    }
    let end = usize::try_from((0..count).filter_map(end).max()?).ok()?;
    (end > 64 && end <= data.len()).then_some(end)
}
