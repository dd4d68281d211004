//! `ar` archives, their members, and what of them is in a program.
#![no_main]

use libfuzzer_sys::fuzz_target;
use overlayctl::cross::contents::Library;
use overlayctl::cross::{Elf, archive};

/// Writes members as GNU `ar` does; long names with a slash and an offset stay as they are.
fn print(members: &[archive::Member<'_>]) -> Option<Vec<u8>> {
    let mut out = b"!<arch>\n".to_vec();
    for member in members {
        let short = member.name.len() < 16 && member.name.is_ascii() && !member.name.contains(&b'/') && !member.name.contains(&b' ');
        let data = member.data.filter(|_| short && !member.name.is_empty() && !member.name.starts_with(b"#1"))?;
        let name = String::from_utf8(member.name.to_vec()).ok()? + "/";
        out.extend(format!("{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n", 0, 0, 0, 644, data.len()).into_bytes());
        out.extend_from_slice(data);
        if data.len() % 2 == 1 {
            out.push(b'\n');
        }
    }
    Some(out)
}

fuzz_target!(|data: &[u8]| {
    if let Ok(Some(members)) = archive::members(data) {
        for member in members.iter().filter_map(|member| member.data) {
            let inside = data.as_ptr_range();
            assert!(member.is_empty() || inside.contains(&member.as_ptr()), "a member is a part of the archive");
        }
        members.iter().take(4).filter_map(|member| member.data).for_each(|member| drop(Elf::read(member)));
        if let Some(printed) = print(&members) {
            let again = archive::members(&printed).expect("what is written is read").expect("as an archive");
            let plain = |members: &[archive::Member<'_>]| -> Vec<(Vec<u8>, Option<Vec<u8>>)> {
                members.iter().map(|m| (m.name.to_vec(), m.data.map(<[u8]>::to_vec))).collect()
            };
            assert_eq!(plain(&again), plain(&members), "print, parse");
        }
    }
    let half = data.len() / 2;
    for (before, after, program) in [(&data[..half], &data[half..], data), (data, &data[half..], &data[..half])] {
        if let Ok(Ok(library)) = Library::archive(before, after) {
            let _ = library.look(program);
        }
    }
    if let Some(library) = Library::shared(&data[..half], &data[half..]) {
        let _ = library.look(data);
    }
    // Against itself a library has no change.
    if let Ok(Ok(_)) = Library::archive(data, data) {
        panic!("an archive differs from itself");
    }
});
