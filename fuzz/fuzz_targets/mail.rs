//! Mails and patch headers: mailboxes come apart and together, trailers are set without touching the diff, a message that is written is
//! read the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use overlayctl::patch::{
    self, Message, PatchFile, add_trailer, date, lint, mail, mailbox, queue, remove_trailer, set_trailer,
};

fn parse<'a>(what: &str, bytes: &'a [u8]) -> PatchFile<'a> {
    PatchFile::parse(bytes).unwrap_or_else(|error| panic!("{what} is no patch: {error}\n{}", bytes.escape_ascii()))
}

/// The part of a patch that is no header.
fn diff<'a>(patch: &'a PatchFile<'_>) -> Vec<u8> {
    patch.to_bytes()[patch.preamble().len()..].to_vec()
}

fn trailers(bytes: &[u8]) {
    let Ok(before) = PatchFile::parse(bytes) else { return };
    for (key, value) in [("Upstream-Status", "Pending"), ("CVE", "CVE-2024-1"), ("Signed-off-by", "A <a@b>")] {
        for (what, made) in [
            ("set_trailer", set_trailer(bytes, key, value)),
            ("add_trailer", add_trailer(bytes, key, value)),
            ("remove_trailer", remove_trailer(bytes, key, None)),
        ] {
            let Ok(made) = made else { continue };
            let now = parse(what, &made);
            let shown = || format!("{what} {key}\n{}", String::from_utf8_lossy(&made));
            assert!(diff(&now) == diff(&before), "the diff stays: {}", shown());
            let headers = now.headers();
            match what {
                "remove_trailer" => assert!(headers.values(key).next().is_none(), "it is gone: {}", shown()),
                _ => assert!(headers.values(key).any(|there| there == value), "it is there: {}", shown()),
            }
            if what == "set_trailer" {
                assert!(set_trailer(&made, key, value).is_ok_and(|again| again == made), "once is enough: {}", shown());
            }
            let subject = before.headers().subject;
            assert!(what == "remove_trailer" || subject.is_none() || headers.subject == subject, "{}", shown());
        }
    }
}

fn message(patch: &PatchFile<'_>) {
    let first = patch.message();
    let body = diff(patch);
    let once = patch::compose(&first, &body);
    let composed = parse("a composed mail", &once);
    assert_eq!(composed.files().len(), patch.files().len(), "{}", String::from_utf8_lossy(&once));
    // Read and written again and again it soon says the same. Not at once: a body may begin with headers, which count, as git has it.
    let mut message: Message = composed.message();
    let settled = (0..4).any(|_| {
        let again = parse("a composed mail", &patch::compose(&message, &body)).message();
        std::mem::replace(&mut message, again.clone()) == again
    });
    assert!(settled, "it says something else each time: {message:?}\n{}", String::from_utf8_lossy(&once));
}

fuzz_target!(|data: &[u8]| {
    let pieces = mailbox::split(data);
    assert!(pieces.concat() == data, "a mailbox is its pieces");
    let _ = (mailbox::split(&mailbox::join(&pieces)), mailbox::read(data).is_ok());
    let text = String::from_utf8_lossy(data);
    if let Some((seconds, offset)) = date::read(&text) {
        assert_eq!(date::read(&date::write(seconds, offset)), Some((seconds, offset)), "a date is written and read");
        let _ = date::day(seconds);
    }
    let slug = queue::slug(&text);
    assert!(!slug.contains('/') && !slug.contains('\0') && !slug.starts_with('.'), "a slug is a part of a file name: {slug:?}");
    let name = queue::QueueName::new(7, &text);
    assert_eq!(queue::QueueName::parse(&name.file_name()).as_ref(), Some(&name));
    for piece in pieces.into_iter().take(8) {
        let _ = (lint::upstream_status(piece), mail::decode(piece).is_ok());
        trailers(piece);
        if let Ok(patch) = PatchFile::parse(piece) {
            let _ = lint::lint("x.patch", &patch, &Default::default());
            message(&patch);
        }
    }
});
