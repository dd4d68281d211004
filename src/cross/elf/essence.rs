//! What of an ELF file or an archive of them counts where it runs or is linked: not what debuggers read.

use object::{Object as _, ObjectSection as _};

use crate::cross::archive;

/// Returns a text of the sections that count, with their names and addresses, the same for two files that differ in debug information
/// and build id only; `None` for what is neither an ELF file with sections nor an archive of such.
pub fn essence(bytes: &[u8]) -> Option<Vec<u8>> {
    if let Ok(Some(members)) = archive::members(bytes) {
        let mut text = Vec::new();
        for member in members {
            let data = member.data?;
            text.extend_from_slice(member.name);
            text.extend(essence(data).unwrap_or_else(|| data.to_vec()));
        }
        return Some(text);
    }
    if !bytes.starts_with(b"\x7fELF") {
        return None;
    }
    let file = object::File::parse(bytes).ok()?;
    // Type, machine and flags; where the tables stand moves with the debug information.
    let mut text = bytes.get(..0x14)?.to_vec();
    text.extend(file.entry().to_le_bytes());
    let before = text.len();
    for section in file.sections() {
        let name = section.name().ok()?;
        if is_for_debuggers(name) {
            continue;
        }
        text.extend_from_slice(name.as_bytes());
        text.extend(section.address().to_le_bytes());
        text.extend(section.size().to_le_bytes());
        text.extend_from_slice(section.data().ok()?);
    }
    (text.len() > before).then_some(text)
}

fn is_for_debuggers(name: &str) -> bool {
    let bare = name.strip_prefix(".rela").or(name.strip_prefix(".rel")).unwrap_or(name);
    bare.starts_with(".debug")
        || bare.starts_with(".zdebug")
        || bare.starts_with(".gnu.debuglto")
        // Their lengths follow the names of sections, not the code.
        || matches!(bare, ".gnu_debuglink" | ".gnu_debugaltlink" | ".gnu_debugdata" | ".note.gnu.build-id" | ".shstrtab")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_debuggers_read_does_not_count() {
        let dir = tempfile::tempdir().unwrap();
        let compiled = |name: &str, source: &str| -> Option<Vec<u8>> {
            let (c, o) = (dir.path().join("t.c"), dir.path().join(name));
            std::fs::write(&c, source).unwrap();
            let done = std::process::Command::new("gcc").args(["-g", "-O2", "-c", "-o"]).arg(&o).arg(&c).status();
            if !done.is_ok_and(|status| status.success()) {
                eprintln!("skipped: gcc is not installed");
                return None;
            }
            Some(std::fs::read(&o).unwrap())
        };
        let Some(plain) = compiled("a.o", "int f(int a) { return a + 1; }\n") else { return };
        let later = compiled("b.o", "/* one */\n/* two */\nint f(int a) { return a + 1; }\n").unwrap();
        let other = compiled("c.o", "int f(int a) { return a + 2; }\n").unwrap();
        assert_ne!(plain, later);
        assert_eq!(essence(&plain), essence(&later));
        assert_ne!(essence(&plain), essence(&other));
        assert_eq!(essence(b"no object"), None);
        assert_eq!(essence(&plain[..40]), None);
    }
}
