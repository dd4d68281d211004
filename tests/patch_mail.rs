//! Mail as `git mailsplit` and `git mailinfo` read it: the same messages, the same bytes of message and diff; and mailboxes that `git am`
//! takes.
//!
//! 300 mails are generated (charsets, transfer encodings, parts, flowed text, brackets, folded and encoded headers), 100 come from `git
//! format-patch` with odd authors, subjects and options, and are then sent as mailers do; 200 more are odd (`OVERLAYCTL_MAIL_CASES` of
//! them from seed `OVERLAYCTL_MAIL_FROM`). The right values are git's.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test says what it expects and fails loudly")]

#[path = "support/random.rs"]
mod random;

use std::path::Path;
use std::process::{Command, Stdio};

use overlayctl::patch::{Error, PatchFile, Spot, mailbox};
use random::Random;

fn git(dir: &Path) -> Command {
    let mut command = Command::new("git");
    command.current_dir(dir).env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.env("LC_ALL", "C").env("HOME", dir).env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_CONFIG_GLOBAL", "/dev/null");
    for who in ["AUTHOR", "COMMITTER"] {
        command.env(format!("GIT_{who}_NAME"), "C").env(format!("GIT_{who}_EMAIL"), "c@example.org");
        command.env(format!("GIT_{who}_DATE"), "2024-01-02T03:04:05+02:00");
    }
    command
}

fn has_git() -> bool {
    let found = Command::new("git").arg("--version").stdout(Stdio::null()).status().is_ok_and(|s| s.success());
    if !found {
        eprintln!("skipped: `git` is not installed");
    }
    found
}

/// What git reads in one message.
#[derive(Debug, PartialEq)]
struct Read {
    message: Vec<u8>,
    diff: Vec<u8>,
    info: String,
}

fn mailinfo(dir: &Path, mail: &[u8]) -> Option<Read> {
    std::fs::write(dir.join("mail"), mail).unwrap();
    let output = git(dir)
        .args(["mailinfo", "msg", "patch"])
        .stdin(std::fs::File::open(dir.join("mail")).unwrap())
        .output()
        .unwrap();
    let read = |name: &str| std::fs::read(dir.join(name)).unwrap();
    let info = String::from_utf8_lossy(&output.stdout).into_owned();
    output.status.success().then(|| Read { message: read("msg"), diff: read("patch"), info })
}

/// What git makes of a file: its messages, each read.
fn peer(dir: &Path, file: &[u8]) -> Vec<Read> {
    let out = dir.join("split");
    let _ = std::fs::remove_dir_all(&out);
    std::fs::create_dir(&out).unwrap();
    std::fs::write(dir.join("box"), file).unwrap();
    assert!(git(dir).args(["mailsplit", "-b", "-osplit", "box"]).stdout(Stdio::null()).status().unwrap().success());
    let mut names: Vec<_> = std::fs::read_dir(&out).unwrap().map(|e| e.unwrap().path()).collect();
    names.sort();
    names.iter().map(|path| mailinfo(dir, &std::fs::read(path).unwrap()).unwrap()).collect()
}

/// Bytes that are no UTF-8 are Latin-1, as `git commit` has it.
fn repaired(bytes: &[u8]) -> String {
    let chunks = bytes.utf8_chunks();
    chunks.map(|c| c.valid().to_string() + &c.invalid().iter().map(|b| *b as char).collect::<String>()).collect()
}

/// Compares what is read from a file with what git reads; returns how many messages there were.
fn compare(dir: &Path, file: &[u8], case: &str) -> usize {
    let theirs = peer(dir, file);
    let ours = mailbox::read(file).unwrap_or_else(|e| panic!("{case}: {e}\n{}", String::from_utf8_lossy(file)));
    assert_eq!(ours.len(), theirs.len(), "{case}: {}", String::from_utf8_lossy(file));
    for (ours, theirs) in ours.iter().zip(&theirs) {
        let context =
            || format!("{case}\n{}\n-- read as\n{}", String::from_utf8_lossy(file), String::from_utf8_lossy(ours));
        // git finds in what was read what it found in the mail, and the diff is a part of it to the byte.
        let again = mailinfo(dir, ours).unwrap_or_else(|| panic!("git does not read it again: {}", context()));
        assert_eq!(repaired(&again.message), repaired(&theirs.message), "{}", context());
        assert_eq!(again.diff, theirs.diff, "{}", context());
        assert_eq!(again.info, theirs.info, "{}", context());
        assert!(ours.ends_with(&theirs.diff), "{}", context());
        let Ok(patch) = PatchFile::parse(ours) else {
            assert!(!theirs.diff.windows(3).any(|w| w == b"@@ "), "a patch is lost: {}", context());
            continue;
        };
        let message = patch.message();
        assert_eq!(message.body, repaired(&theirs.message).trim_matches('\n'), "{}", context());
        let field = |name: &str| theirs.info.lines().find_map(|l| l.strip_prefix(name)).unwrap_or_default().to_string();
        assert_eq!(message.subject, field("Subject: "), "{}", context());
        let author = message.author.unwrap_or_default();
        assert!(author.contains(&field("Email: ")), "{author}: {}", context());
        assert!(!String::from_utf8_lossy(&message.body.into_bytes()).contains('\u{fffd}'), "{}", context());
    }
    theirs.len()
}

/// Names, words and lines by charset.
const CHARSETS: [(&str, &str, &str); 9] = [
    ("", "Jorg Muller", "plain text"),
    ("UTF-8", "Jörg Müller", "grüße – „ok“ 漢字"),
    ("utf-8", "Łukasz Ż", "zażółć gęślą jaźń"),
    ("ISO-8859-1", "Jörg Müller", "grüße an alle: ½ §"),
    ("iso-8859-15", "Chloé Œuf", "3 € non"),
    ("windows-1252", "José", "“quoted” – 5 €"),
    ("koi8-r", "Привет", "исправить ошибку"),
    ("gb2312", "中文", "修复错误"),
    ("Shift_JIS", "日本", "修正する"),
];

fn encode(text: &str, charset: &str) -> Vec<u8> {
    match charset.to_ascii_lowercase().as_str() {
        "" => text.as_bytes().to_vec(),
        "iso-8859-1" => text.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect(),
        other => {
            let (bytes, _, lost) = encoding_rs::Encoding::for_label(other.as_bytes()).unwrap().encode(text);
            assert!(!lost, "{text} in {charset}");
            bytes.into_owned()
        }
    }
}

fn quoted_printable(bytes: &[u8], width: usize) -> Vec<u8> {
    let mut out = Vec::new();
    for line in bytes.split_inclusive(|b| *b == b'\n') {
        let (text, end) = line.strip_suffix(b"\n").map_or((line, false), |t| (t, true));
        let mut column = 0;
        for (i, b) in text.iter().enumerate() {
            let last = i + 1 == text.len();
            let plain = (33..=126).contains(b) && *b != b'=' || (matches!(b, b' ' | b'\t') && !last);
            let piece = if plain { vec![*b] } else { format!("={b:02X}").into_bytes() };
            if column + piece.len() > width {
                out.extend_from_slice(b"=\n");
                column = 0;
            }
            column += piece.len();
            out.extend(piece);
        }
        if end {
            out.push(b'\n');
        }
    }
    out
}

fn base64(bytes: &[u8]) -> Vec<u8> {
    let code = data_encoding::BASE64.encode(bytes);
    code.as_bytes().chunks(76).flat_map(|line| [line, b"\n"].concat()).collect()
}

fn flowed(bytes: &[u8], delsp: bool) -> Vec<u8> {
    let mut out = Vec::new();
    for line in bytes.split_inclusive(|b| *b == b'\n') {
        let text = line.strip_suffix(b"\n").unwrap_or(line);
        // Mailers take blanks at the end of a line off, as the line would go on.
        let text = if text == b"-- " { text } else { text.trim_ascii_end() };
        // Text that begins with a blank is stuffed; a long line is broken behind a blank.
        if text.starts_with(b" ") || text.starts_with(b"From ") {
            out.push(b' ');
        }
        let cut = text.iter().rposition(|b| *b == b' ').filter(|at| *at > 30 && !text.starts_with(b"-- "));
        match cut {
            Some(at) => {
                out.extend_from_slice(&text[..=at]);
                out.extend_from_slice(if delsp { b" \n" } else { b"\n" });
                out.extend_from_slice(&text[at + 1..]);
            }
            None => out.extend_from_slice(text),
        }
        out.push(b'\n');
    }
    out
}

fn word(text: &str, charset: &str, r: &mut Random) -> String {
    let charset = if charset.is_empty() { "us-ascii" } else { charset };
    let bytes = encode(text, if charset == "us-ascii" { "" } else { charset });
    match r.below(2) {
        0 => format!("=?{charset}?B?{}?=", data_encoding::BASE64.encode(&bytes)),
        _ => {
            let q: String = bytes
                .iter()
                .map(|b| {
                    if b.is_ascii_alphanumeric() {
                        (*b as char).to_string()
                    } else if *b == b' ' {
                        "_".into()
                    } else {
                        format!("={b:02x}")
                    }
                })
                .collect();
            format!("=?{charset}?q?{q}?=")
        }
    }
}

const DIFF: &str = "diff --git a/f.c b/f.c\nindex 1234567..89abcde 100644\n--- a/f.c\n+++ b/f.c\n@@ -1,4 +1,5 @@ int main(void)\n a == b; \n-\tint x = 1;\t\n+\tint x =3D 1; /* =20 */\n+ a long line of text that goes on and on, past what mail has, with = and blanks in it; yes \n \u{c}\n c\n";

fn generated(seed: u64) -> Vec<u8> {
    let r = &mut Random(seed);
    let (charset, name, line) = *r.pick(&CHARSETS);
    let mut message = String::new();
    if r.below(6) == 0 {
        message.push_str("From: In Body <in@body.example>\nSubject: in the body\n\n");
    }
    if r.below(5) == 0 {
        message.push('\n');
    }
    for _ in 0..r.below(5) {
        let text = [
            line,
            "",
            "Plain words, 1 = 1, and some more of them to be past the end of a line.",
            ">From the start",
            " indented",
            "- item  ",
        ];
        message.push_str(r.pick::<&str>(&text));
        message.push('\n');
    }
    message.push_str("\nSigned-off-by: A <a@example.org>\n");
    let cover = r.below(12) == 0;
    if !cover {
        message.push_str(r.pick::<&str>(&["---\n", "--- \n", "---\n f.c | 3 ++-\n 1 file changed\n\n", ""]));
        message.push_str(DIFF);
    }
    message.push_str(r.pick::<&str>(&["", "-- \n2.43.0\n", "-- \n2.43.0\n\n"]));
    // The diff stays in ASCII here, or a charset with other line feeds could not carry it.
    let mut body = encode(&message, charset);
    let is_flowed = r.below(6) == 0;
    let delsp = is_flowed && r.below(2) == 0;
    if is_flowed {
        body = flowed(&body, delsp);
    }
    let coding = *r.pick(&["", "7bit", "8bit", "quoted-printable", "Quoted-Printable", "base64", "BASE64"]);
    // With both git looks for the stuffed blank where a line goes on, and takes one of the text's away.
    let coding = if is_flowed { "8bit" } else { coding };
    let body = match coding.to_ascii_lowercase().as_str() {
        "quoted-printable" => quoted_printable(&body, 20 + r.below(56)),
        "base64" => base64(&body),
        _ => body,
    };
    let kind = {
        let charset = match (charset, r.below(2)) {
            ("", _) => String::new(),
            (charset, 0) => format!("; charset={charset}"),
            (charset, _) => format!(";\n\tcharset=\"{charset}\""),
        };
        let flowed = if is_flowed {
            format!("; format=flowed{}", if delsp { "; delsp=yes" } else { "" })
        } else {
            String::new()
        };
        format!("Content-Type: text/plain{charset}{flowed}\n")
    };
    let coding = if coding.is_empty() { String::new() } else { format!("Content-Transfer-Encoding: {coding}\n") };
    let bracket = *r.pick(&[
        "[PATCH] ",
        "[PATCH v2 1/3] ",
        "[v2,2/3] ",
        "[mtd-utils][PATCH] ",
        "Re: [PATCH] ",
        "",
        "[RFC PATCH 0/1] re: ",
    ]);
    let subject = match r.below(4) {
        0 => format!("{bracket}{}\n {}", word(line, charset, r), word(name, charset, r)),
        1 => format!("{bracket}a subject that\n goes on   here"),
        2 => format!("{bracket}{} and plain", word(name, charset, r)),
        _ => format!("{bracket}fix [the] thing"),
    };
    let author = match r.below(4) {
        0 => format!("{} <j@example.org>", word(name, charset, r)),
        1 => "\"Doe, J.\" <j@example.org>".into(),
        2 => "j@example.org (J Doe)".into(),
        _ => "J Doe <j@example.org>".into(),
    };
    let mut mail = match r.below(3) {
        0 => "From 0123456789012345678901234567890123456789 Mon Sep 17 00:00:00 2001\n".to_string(),
        1 => "From j@example.org Sat Jan  6 12:34:56 2024\n".into(),
        _ => String::new(),
    };
    mail.push_str(&format!("From: {author}\nTo: list@example.org\nDate: Tue, 2 Jan 2024 03:04:05 +0200\nSubject: {subject}\nMessage-Id: <x@y>\nMIME-Version: 1.0\n"));
    let mut bytes = mail.into_bytes();
    match r.below(5) {
        0 => {
            // The diff in a part of its own, attached or inline.
            let at = message.find("diff --git").unwrap_or(message.len());
            let (text, diff) = message.split_at(at);
            let how = *r.pick(&["attachment", "inline"]);
            let name = "0001-x.patch";
            bytes.extend(format!("Content-Type: multipart/mixed; boundary=\"----=_b_1\"\n\nThis is MIME.\n------=_b_1\n{kind}{coding}\n").into_bytes());
            let (text, diff) = (encode(text, charset), encode(diff, charset));
            let (text, diff) = if is_flowed { (flowed(&text, delsp), diff) } else { (text, diff) };
            let send = |bytes: &[u8]| match coding.to_ascii_lowercase() {
                c if c.contains("quoted") => quoted_printable(bytes, 70),
                c if c.contains("base64") => base64(bytes),
                _ => bytes.to_vec(),
            };
            bytes.extend(send(&text));
            bytes.extend(format!("\n------=_b_1\nContent-Type: text/x-patch; name=\"{name}\"\n{coding}Content-Disposition: {how}; filename=\"{name}\"\n\n").into_bytes());
            bytes.extend(send(&diff));
            bytes.extend_from_slice(b"\n------=_b_1--\n");
        }
        1 => {
            // Parts within a part, a signature behind. (Without the blank line git takes the inner boundary for text.)
            bytes.extend(format!("Content-Type: multipart/signed; boundary=outer\n\n--outer\nContent-Type: multipart/mixed; boundary=inner\n\n\n--inner\n{kind}{coding}\n").into_bytes());
            bytes.extend(body);
            bytes.extend_from_slice(b"\n--inner--\n\n--outer\nContent-Type: application/pgp-signature\n\n-----BEGIN PGP SIGNATURE-----\nabc=\n-----END PGP SIGNATURE-----\n--outer--\n");
        }
        _ => {
            bytes.extend(format!("{kind}{coding}\n").into_bytes());
            bytes.extend(body);
        }
    }
    if r.below(8) == 0 {
        // Where the text is UTF-8, that is.
        if let Ok(text) = std::str::from_utf8(&bytes) {
            bytes = text.replace('\n', "\r\n").into_bytes();
        }
    }
    bytes
}

#[test]
fn generated_mails_as_git_mailinfo() {
    if !has_git() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let messages: usize = (1..=300).map(|seed| compare(dir.path(), &generated(seed), &format!("seed {seed}"))).sum();
    assert!(messages >= 300);
    // Several in one file.
    let starts = |mail: &Vec<u8>| mail.starts_with(b"From ") && mail.ends_with(b"\n") && !mail.contains(&b'\r');
    let mails: Vec<Vec<u8>> = (1..=60).map(generated).filter(starts).collect();
    assert_eq!(compare(dir.path(), &mails.concat(), "a mailbox"), mails.len());
}

/// Commits with odd authors, subjects and texts.
fn repository(dir: &Path) {
    let run = |args: &[&str], author: &str, message: &[u8]| {
        std::fs::write(dir.join(".message"), message).unwrap();
        let done = git(dir).args(args).env("GIT_AUTHOR_NAME", author).stdout(Stdio::null()).status().unwrap();
        assert!(done.success(), "{args:?}");
    };
    run(&["init", "-q", "."], "x", b"");
    let commits: [(&str, &[u8]); 10] = [
        ("Jörg Müller", "fix: grüße\n\nEin Text mit Umlauten: äöü.\n\nSigned-off-by: J <j@x>\n".as_bytes()),
        ("Doe, J.", b"[tag] a subject with brackets\n\nText.\n"),
        ("O'Neil \"Q\" (x)", b"quotes \"in\" it = 50%\n\nA line = with equals=20\n\n>From quoted\n"),
        ("漢字 名前", "長い件名がここにあります、それはとても長いので折り返されます、本当に長いです\n\n本文\n".as_bytes()),
        ("A", b"A subject that is so long that it has to be folded by every mailer that keeps to the rules of its RFC, and then some\n\nX\n"),
        ("B B", b"subject only\n"),
        ("C", b"text with dashes\n\n-- \nnot the signature\n\n  indented\n\ttabbed\n"),
        ("D", "emoji 🎉 in it\n\nNaïve café — “ok”\n\nCo-developed-by: É <e@x>\n".as_bytes()),
        ("E", b"trailing   blanks   inside\n\nline with blanks at its end   \n\n\nthree\n"),
        ("F", b"Re: not a reply\n\nFixes: 0123456789ab (\"x\")\nLink: https://example.org/?a=b\n"),
    ];
    for (i, (author, message)) in commits.iter().enumerate() {
        std::fs::write(
            dir.join("f.c"),
            format!("int a = {i};\n\u{c}\ngrüße {i}  \n\tx\nend{}", if i % 2 == 0 { "\n" } else { "" }),
        )
        .unwrap();
        run(&["add", "f.c"], author, message);
        run(&["commit", "-q", "--cleanup=verbatim", "-F", ".message"], author, message);
    }
}

#[test]
fn mails_of_format_patch_as_git_mailinfo() {
    if !has_git() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    repository(dir.path());
    let mut messages = 0;
    let ways: [(&[&str], &str); 11] = [
        (&[], ""),
        (&["--attach"], ""),
        (&["--inline=a b"], ""),
        (&["--no-signature", "--zero-commit"], ""),
        (&["--signature=Grüße,\n-- \nX", "-v3", "--from=S <s@x>"], ""),
        (&["--subject-prefix=mtd-utils][PATCH", "-n"], "crlf"),
        (&["--cover-letter", "--thread"], ""),
        (&["--stdout-encoding"], "latin1"),
        (&["--no-stat", "-p"], "quoted-printable"),
        (&[], "base64"),
        (&["--no-encode-email-headers"], "quoted-printable crlf"),
    ];
    for (args, sent) in ways {
        let mut command = git(dir.path());
        if sent == "latin1" {
            command.args(["-c", "i18n.logOutputEncoding=ISO-8859-15"]);
        }
        let args: Vec<&str> = args.iter().copied().filter(|a| *a != "--stdout-encoding").collect();
        // Not every text fits in Latin-9.
        let range = if sent == "latin1" { "-1" } else { "--root" };
        let first = git(dir.path()).args(["rev-list", "--max-parents=0", "HEAD"]).output().unwrap();
        let first = String::from_utf8(first.stdout).unwrap().trim().to_string();
        let range = if sent == "latin1" { vec![range, first.as_str()] } else { vec![range, "HEAD"] };
        let output = command.args(["format-patch", "--stdout"]).args(&args).args(&range).output().unwrap();
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        let mailbox: Vec<u8> = mailbox::split(&output.stdout).into_iter().flat_map(|mail| resent(mail, sent)).collect();
        messages += compare(dir.path(), &mailbox, &format!("{args:?} {sent}"));
        // Alone each is the same.
        for mail in mailbox::split(&mailbox) {
            compare(dir.path(), mail, &format!("{args:?} {sent}, alone"));
        }
    }
    assert!(messages >= 100, "{messages}");
}

/// Sends a mail as `git send-email --transfer-encoding` or a mailer would.
fn resent(mail: &[u8], how: &str) -> Vec<u8> {
    let end = mail.windows(2).position(|w| w == b"\n\n").unwrap();
    let (head, body) = (&mail[..=end], &mail[end + 2..]);
    let coded = |coding: &str, body: Vec<u8>| {
        let head = String::from_utf8(head.to_vec()).unwrap();
        let keep = |l: &&str| !["MIME-Version", "Content-Type", "Content-Transfer"].iter().any(|n| l.starts_with(n));
        let head: String = head.split_inclusive('\n').filter(keep).collect();
        let kind = format!("Content-Type: text/plain; charset=UTF-8\nContent-Transfer-Encoding: {coding}\n\n");
        [head.into_bytes(), kind.into_bytes(), body].concat()
    };
    let bytes = match how.split(' ').next().unwrap() {
        "quoted-printable" => coded("quoted-printable", quoted_printable(body, 76)),
        "base64" => coded("base64", base64(body)),
        _ => mail.to_vec(),
    };
    match how.ends_with("crlf") {
        true => bytes.split_inclusive(|b| *b == b'\n').flat_map(|l| [&l[..l.len() - 1], b"\r\n"].concat()).collect(),
        false => bytes,
    }
}

/// Patches as queues have them, put into a mailbox: `git am` takes each, with author, date and subject, and they come back to the byte.
#[test]
fn mailboxes_that_git_am_takes() {
    if !has_git() {
        return;
    }
    let diff = |n: usize| format!("--- a/f.c\n+++ b/f.c\n@@ -1 +1 @@\n-line {n}\n+line {}\n", n + 1);
    // What stands above the diff, and what the commit has to say: author, mail, date, subject.
    let heads: [(&str, [&str; 4]); 11] = [
        (
            "Description: first thing\n more text\n .\n another paragraph\nAuthor: Zoë <z@example.org>\nOrigin: upstream, https://example.org/1\nForwarded: not-needed\nLast-Update: 2024-05-06\n---\nThis patch header follows DEP-3\n",
            ["Zoë", "z@example.org", "2024-05-06", "first thing"],
        ),
        ("From: Ä <a@b.example>\nSubject: grüße\n\nText.\n---\n", ["Ä", "a@b.example", "", "grüße"]),
        (
            "From: A <a@b.example>\nDate: Tue, 2 Jan 2024 03:04:05 +0200\nSubject: [PATCH v2 2/3] [x] dated\n\n---\n",
            ["A", "a@b.example", "2024-01-02", "dated"],
        ),
        (
            "From 0000000000000000000000000000000000000000 Mon Sep 17 00:00:00 2001\nFrom: Z <z@b.example>\nSubject: [PATCH] zero commit\n\n---\n",
            ["Z", "z@b.example", "", "zero commit"],
        ),
        (
            "Upstream-Status: Backport [x]\nCVE: CVE-2024-1\n\nFrom 0123456789012345678901234567890123456789 Mon Sep 17 00:00:00 2001\nFrom: Up <up@b.example>\nDate: Tue, 2 Jan 2024 03:04:05 +0200\nSubject: [PATCH] fix it\n\nWhy.\n---\n",
            ["Up", "up@b.example", "2024-01-02", "fix it"],
        ),
        ("Free text.\n\nMore of it.\n\n", ["unknown", "unknown@localhost", "", "Free text."]),
        ("", ["unknown", "unknown@localhost", "", "a patch without a subject"]),
        ("From: Only Name\nSubject: no mail\n\n", ["Only Name", "unknown@localhost", "", "no mail"]),
        (
            "Subject: no author\n\nFrom here on\nFrom x@y Sat Jan  6 12:34:56 2024\n>From y\n",
            ["unknown", "unknown@localhost", "", "no author"],
        ),
        (
            "Subject: the order\n for once\nFrom: \"Doe, J.\" <j@b.example>\n\nX-Patch-Bytes: 3\n",
            ["Doe, J.", "j@b.example", "", "the order for once"],
        ),
        ("Description:\n on the next line\nAuthor: B <b@c.example>\n\n", ["B", "b@c.example", "", "on the next line"]),
    ];
    let patches: Vec<String> = heads.iter().enumerate().map(|(n, (head, _))| format!("{head}{}", diff(n))).collect();
    let joined = mailbox::join(&patches);
    let back: Vec<String> =
        mailbox::read(&joined).unwrap().iter().map(|p| String::from_utf8_lossy(p).into_owned()).collect();
    assert_eq!(back, patches);
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("f.c"), "line 0\n").unwrap();
    for args in [&["init", "-q", "."][..], &["add", "f.c"], &["commit", "-q", "-m", "source"]] {
        assert!(git(dir.path()).args(args).status().unwrap().success());
    }
    std::fs::write(dir.path().join("box"), &joined).unwrap();
    let am = git(dir.path()).args(["am", "-q", "box"]).output().unwrap();
    assert!(am.status.success(), "{}\n{}", String::from_utf8_lossy(&am.stderr), String::from_utf8_lossy(&joined));
    let log = git(dir.path()).args(["log", "--reverse", "--format=%an|%ae|%as|%s", "HEAD~11..HEAD"]).output().unwrap();
    let log = String::from_utf8(log.stdout).unwrap();
    for (line, (_, wanted)) in log.lines().zip(&heads) {
        let found: Vec<&str> = line.split('|').collect();
        for (found, wanted) in found.iter().zip(wanted) {
            assert!(wanted.is_empty() || found == wanted, "{line}: {wanted}");
        }
    }
    assert_eq!(log.lines().count(), heads.len());
}

/// A mail of the kinds that programs and people send and that the ones above are not: odd headers, charsets, parts in parts, text cut off.
fn odd(seed: u64) -> Vec<u8> {
    let r = &mut Random(seed ^ 0x6d61_696c);
    let (charset, text) = *r.pick(&[
        ("us-ascii", "plain words"),
        ("utf-8", "grüße – „ok“ 漢字"),
        ("UTF8", "zażółć"),
        ("iso-8859-1", "grüße"),
        ("ISO8859-1", "é"),
        ("koi8-r", "исправить ошибку"),
        ("KOI8-U", "їжак"),
        ("gb2312", "修复错误"),
        ("GB18030", "修复𠮷错误"),
        ("big5", "修復錯誤"),
        ("euc-jp", "修正する"),
        ("iso-2022-jp", "修正する"),
        ("euc-kr", "수정"),
        ("windows-1251", "ошибка"),
        ("iso-8859-2", "zażółć"),
        ("x-unknown", "plain words"),
        ("", "bytes ü"),
    ]);
    let encoded = |text: &str| -> Vec<u8> {
        match charset.to_ascii_lowercase().as_str() {
            "utf8" | "x-unknown" | "us-ascii" => text.as_bytes().to_vec(),
            "iso8859-1" => encode(text, "iso-8859-1"),
            other => encode(text, other),
        }
    };
    let words = |text: &str, r: &mut Random| -> String {
        let bytes = encoded(text);
        let q = |bytes: &[u8]| bytes.iter().map(|b| format!("={b:02X}")).collect::<String>();
        let charset = if charset.is_empty() { "utf-8" } else { charset };
        let one = |bytes: &[u8], r: &mut Random| match r.below(2) {
            0 => format!("=?{charset}?q?{}?=", q(bytes)),
            _ => format!("=?{charset}?B?{}?=", data_encoding::BASE64.encode(bytes)),
        };
        match r.below(4) {
            // Cut in the middle of a character, as some mailers do.
            0 if charset != "iso-2022-jp" => {
                let (a, b) = bytes.split_at(bytes.len() / 2);
                format!("{}{}{}", one(a, r), r.pick(&[" ", "\n ", "\n\t", "  \n "]), one(b, r))
            }
            1 => format!("a {}b", one(&bytes, r)),
            2 => format!("{} {} c", one(&bytes, r), one(&bytes, r)),
            _ => one(&bytes, r),
        }
    };
    let bracket = *r.pick(&[
        "[PATCH RFC v3 02/10] ",
        "[RFC PATCH v2] ",
        "[PATCH] [net-next] ",
        "[PATCH][v2] ",
        "Re: ",
        "RE: Re: [PATCH] ",
        "[PATCH]",
        " [PATCH 1/1]  ",
        "Fwd: [PATCH] ",
        "[OpenWrt-Devel] [PATCH] ",
        "[PATCH 5.10 001/100] ",
        "[ ",
        "] ",
        ": ",
        "",
        "re:re: ",
        "Re[2]: ",
        "[PATCH v2] Re: [x] ",
    ]);
    let subject = match r.below(7) {
        0 => format!("{bracket}{}", words(text, r)),
        1 => format!("=?UTF-8?q?=5BPATCH=5D_{}?=", text.bytes().map(|b| format!("={b:02x}")).collect::<String>()),
        2 => format!("{bracket}net: foo:\n\tfold   it\n  twice"),
        3 => format!("{bracket}[a] b [c]"),
        4 => format!("{bracket}x: {}\n {}", words(text, r), words("y", r)),
        5 => format!("{bracket}ends with blanks  "),
        _ => format!("{bracket}fix = the =? thing ?= =?x"),
    };
    let author = match r.below(10) {
        0 => format!("{} <j@example.org>", words(text, r)),
        1 => format!("\"{}\" <j@example.org>", words(text, r)),
        2 => "<j@example.org>".into(),
        3 => "j@example.org".into(),
        4 => "\"Doe, J. (x)\" <j@example.org>".into(),
        5 => "J \"Q\" Doe\n <j@example.org>".into(),
        6 => "J Doe via list <list@example.org>".into(),
        7 => "j@example.org (J. Doe)".into(),
        8 => "J  Doe\t<j@example.org> (comment)".into(),
        _ => "O'Neil \\\"X\\\" <o@example.org>".into(),
    };
    let date = *r.pick(&[
        "Tue, 2 Jan 2024 03:04:05 +0200",
        "2 Jan 2024 03:04 -0000 (UTC)",
        "Tue Jan  2 03:04:05 2024",
        "2024-01-02T03:04:05Z",
    ]);
    let from = r.pick::<&str>(&["From: ", "from: ", "FROM:", "From:\t"]).to_string() + &author + "\n";
    let subject = r.pick::<&str>(&["Subject: ", "subject:", "SUBJECT: ", "Subject:\n "]).to_string() + &subject + "\n";
    let mut headers = vec![from, subject, format!("Date: {date}\n")];
    for more in [
        "In-Reply-To: <1@example.org>\nReferences: <0@example.org>\n <1@example.org>\n",
        "Received: from a (b [1.2.3.4])\n\tby c; Tue, 2 Jan 2024\n",
        "DKIM-Signature: v=1; a=rsa;\n\tb=abc=\n\tdef\n",
        "X-Mailer: git-send-email 2.40\nList-Id: <x.example.org>\n",
        "Content-Language: en\nX-Odd:\n",
        "Cc: =?utf-8?q?J=C3=B6rg?= <j@x>,\n  K <k@x>\n",
    ] {
        if r.below(4) == 0 {
            let at = r.below(headers.len() + 1);
            headers.insert(at, more.into());
        }
    }
    let mut body = String::new();
    body.push_str(r.pick::<&str>(&[
        "", "", "", "\n", "From: In Body <in@body.example>\n\n", "Subject: in the\n body\n\n", "\n \nFrom: In Body <in@body.example>\nDate: Wed, 3 Jan 2024 00:00:00 +0000\n\n",
        ">From: quoted <q@x>\n\n", "From: not closed <n@x>\ntext\n", "Date: soon\n\n", "subject: lower case\n\n", "[PATCH] in the body\n\n",
        "Description: a DEP-3 header\n more\n .\n end\nOrigin: upstream, https://example.org/1\nForwarded: not-needed\n\n",
    ]));
    let lines = [
        text,
        "",
        "Some words.",
        ">From here",
        "> quoted",
        "-- 8< --",
        "---- >8 ----",
        "  indented",
        "a = b =20 =",
        "trailing \t",
        "-- ",
        "--",
        "----",
        "--- text",
        " ---",
        "- --- a/x",
        "Index of things",
        "diff of it",
        "From: me",
        "Fixes: 0123456789ab (\"x\")",
        "Link: https://example.org/?a=b",
        "\u{c}",
        "a\rb",
        "[x: did it]",
        "Change-Id: I0123",
        "x@example.org wrote:",
        "--=_b_1 is no boundary",
        "Cc: stable@x # 5.4",
    ];
    for _ in 0..r.below(7) {
        body.push_str(r.pick::<&str>(&lines));
        body.push('\n');
    }
    body.push_str("\nSigned-off-by: A <a@example.org>\n");
    let cover = r.below(12) == 0;
    let tail = *r.pick(&[
        "",
        "-- \n2.43.0\n",
        "\n-- \n2.43.0\n\n",
        "--\nlist mailing list\n",
        "_____\nlist mailing list\nlist@example.org\n",
    ]);
    let start = *r.pick(&[
        "---\n",
        "--- \n",
        "---\nv2: changed\n f.c | 3 ++-\n 1 file changed\n\n",
        "",
        "---\t\n",
        "Index: f.c\n====\n",
        "---  \n",
        "--- \t x\n",
    ]);
    let diff = if cover { String::new() } else { format!("{start}{DIFF}") };
    let coding = *r.pick(&["", "7bit", "8bit", "binary", "quoted-printable", "QUOTED-PRINTABLE", "base64", "Base64"]);
    let send = |text: &str, coding: &str, r: &mut Random| -> Vec<u8> {
        let bytes = encoded(text);
        match coding.to_ascii_lowercase().as_str() {
            "quoted-printable" => quoted_printable(&bytes, 12 + r.below(66)),
            "base64" => base64(&bytes),
            _ => bytes,
        }
    };
    let kind = |more: &str, r: &mut Random| {
        let charset = match r.below(4) {
            _ if charset.is_empty() => String::new(),
            0 => format!("; charset={charset}"),
            1 => format!("; CHARSET=\"{charset}\""),
            2 => format!(";\n\tformat=fixed; charset={charset}"),
            _ => format!("; charset={charset}; x=y"),
        };
        format!("Content-Type: text/plain{charset}{more}\n")
    };
    let coded =
        |coding: &str| if coding.is_empty() { String::new() } else { format!("Content-Transfer-Encoding: {coding}\n") };
    let named = *r.pick(&[
        "name=\"0001-x.patch\"",
        "name=\"=?utf-8?q?gr=C3=BC=C3=9Fe.patch?=\"",
        "name*=utf-8''gr%C3%BC.patch",
        "name=x.patch",
        "name=\"a; boundary=b.patch\"",
        "charset=utf-8; name=\"x y.patch\"",
    ]);
    let attached = |r: &mut Random| {
        let coding = *r.pick(&["", "7bit", "base64", "quoted-printable", "8bit"]);
        let bytes = match coding {
            "base64" => base64(diff.as_bytes()),
            "quoted-printable" => quoted_printable(diff.as_bytes(), 76),
            _ => diff.as_bytes().to_vec(),
        };
        let how = *r.pick(&["attachment", "inline"]);
        let kind = *r.pick(&["text/x-patch", "text/plain", "application/octet-stream", "TEXT/X-DIFF"]);
        let disposition = format!("Content-Disposition: {how};\n\tfilename=\"x.patch\"\n");
        [format!("Content-Type: {kind}; {named}\n{}{disposition}\n", coded(coding)).into_bytes(), bytes].concat()
    };
    let shape = r.below(6);
    let boundary = *r.pick(&["----=_b_1", "=_b_1", "b 1", "000"]);
    let quoted =
        if boundary.contains([' ', '=']) || r.below(2) == 0 { format!("\"{boundary}\"") } else { boundary.into() };
    let (kind_of_mail, content): (String, Vec<u8>) = match shape {
        0 | 1 => {
            let text = format!("{body}{diff}{tail}");
            (kind("", r) + &coded(coding), send(&text, coding, r))
        }
        2 => {
            // Flowed, with or without quoting of the transfer.
            let delsp = r.below(2) == 0;
            let text = flowed(body.as_bytes(), delsp);
            let text = [text, flowed(diff.as_bytes(), delsp)].concat();
            let coding = *r.pick(&["", "7bit", "8bit"]);
            (
                format!(
                    "Content-Type: text/plain; charset=utf-8; {}\n{}",
                    if delsp { "format=flowed; delsp=yes" } else { "format=\"flowed\"" },
                    coded(coding)
                ),
                text,
            )
        }
        3 => {
            let close = *r.pick(&["", "\n--BOUNDARY--\n", "\n--BOUNDARY--\nepilogue\n"]);
            let mut content = r.pick::<&str>(&["", "This is MIME.\n", "\n\n"]).as_bytes().to_vec();
            content.extend(format!("--{boundary}\n{}{}\n", kind("", r), coded(coding)).into_bytes());
            content.extend(send(&body, coding, r));
            content.extend(format!("\n--{boundary}\n").into_bytes());
            content.extend(attached(r));
            if r.below(3) == 0 {
                content.extend(
                    format!("\n--{boundary}\nContent-Type: text/plain; charset=us-ascii\n\n{tail}").into_bytes(),
                );
            }
            content.extend(close.replace("BOUNDARY", boundary).into_bytes());
            (format!("Content-Type: multipart/mixed;\n boundary={quoted}\n"), content)
        }
        _ => {
            // Parts within parts within parts.
            let mut content = b"--outer\nContent-Type: multipart/mixed; boundary=\"middle\"\n\n\n--middle\nContent-Type: multipart/alternative; boundary=inner\n\n\n--inner\n".to_vec();
            content.extend(format!("{}{}\n", kind("", r), coded(coding)).into_bytes());
            content.extend(send(&body, coding, r));
            if r.below(2) == 0 {
                content.extend_from_slice(b"\n--inner\nContent-Type: text/x-other; charset=utf-8\n\nother text\n");
            }
            content.extend_from_slice(b"\n--inner--\n\n--middle\n");
            content.extend(attached(r));
            content.extend_from_slice(b"\n--middle--\n\n--outer\nContent-Type: application/pgp-signature; name=s.asc\n\n-----BEGIN PGP SIGNATURE-----\nabc=\n-----END PGP SIGNATURE-----\n\n--outer--\n");
            ("Content-Type: multipart/signed; micalg=pgp-sha1; boundary=outer\n".into(), content)
        }
    };
    let at = r.below(headers.len() + 1);
    headers.insert(at, kind_of_mail);
    headers.insert(
        0,
        r.pick::<&str>(&[
            "From 0123456789012345678901234567890123456789 Mon Sep 17 00:00:00 2001\n",
            "From j@example.org  Sat Jan  6 12:34:56 2024\n",
            "",
        ])
        .to_string(),
    );
    let mut bytes = [headers.concat().into_bytes(), b"\n".to_vec(), content].concat();
    match r.below(8) {
        0 => {
            bytes = bytes
                .split_inclusive(|b| *b == b'\n')
                .flat_map(|l| match l.strip_suffix(b"\n") {
                    Some(l) => [l, b"\r\n"].concat(),
                    None => l.to_vec(),
                })
                .collect()
        }
        1 if bytes.ends_with(b"\n") => drop(bytes.pop()),
        2 => bytes = [b"\n\n".to_vec(), bytes].concat(),
        _ => {}
    }
    bytes
}

/// `OVERLAYCTL_MAIL_CASES` says how many there are, `OVERLAYCTL_MAIL_FROM` the first seed.
#[test]
fn odd_mails_as_git_mailinfo() {
    if !has_git() {
        return;
    }
    let number = |name: &str, or: u64| std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(or);
    let (from, cases) = (number("OVERLAYCTL_MAIL_FROM", 1), number("OVERLAYCTL_MAIL_CASES", 200));
    let dir = tempfile::tempdir().unwrap();
    let mut wrong = Vec::new();
    for seed in from..from + cases {
        let mail = odd(seed);
        // What git does not read need not be read either.
        if mailinfo(dir.path(), &mail).is_none() {
            continue;
        }
        if let Err(difference) = std::panic::catch_unwind(|| compare(dir.path(), &mail, &format!("seed {seed}"))) {
            wrong.push((seed, difference.downcast_ref::<String>().cloned().unwrap_or_default()));
        }
    }
    let seeds: Vec<u64> = wrong.iter().map(|(seed, _)| *seed).collect();
    assert!(wrong.is_empty(), "{} of {cases} differ, seeds {seeds:?}; the first: {}", wrong.len(), wrong[0].1);
}

/// Text in UTF-16 that begins with a mark of its byte order, which git decodes line by line and so not at all.
#[test]
fn utf_16_is_decoded_as_a_whole() {
    let text = format!("grüße 漢字\n\nSigned-off-by: A <a@example.org>\n---\n{DIFF}");
    let be: Vec<u8> = [0xfe, 0xff].into_iter().chain(text.encode_utf16().flat_map(u16::to_be_bytes)).collect();
    let le: Vec<u8> = [0xff, 0xfe].into_iter().chain(text.encode_utf16().flat_map(u16::to_le_bytes)).collect();
    for bytes in [be, le] {
        let head = "From: A <a@example.org>\nSubject: x\nContent-Type: text/plain; charset=UTF-16\nContent-Transfer-Encoding: base64\n\n";
        let mail = [head.as_bytes(), &base64(&bytes)].concat();
        let read = mailbox::read(&mail).unwrap();
        assert!(String::from_utf8(read[0].to_vec()).unwrap().ends_with(&text), "{}", String::from_utf8_lossy(&read[0]));
    }
}

/// UTF-7 that is more than ASCII: `git mailinfo` decodes it, we have no decoder for it. It is refused with its line rather than kept
/// as something else; what a part is that is only ASCII in it, is read.
#[test]
fn utf_7_is_refused_where_it_would_have_to_be_decoded() {
    let mail = |text: &str| {
        let head = "From: A <a@example.org>\nSubject: x\nContent-Type: text/plain; charset=UTF-7\n\n";
        format!("{head}{text}\n---\n{DIFF}")
    };
    let refused = mailbox::read(mail("Hi -+Jjo--!").as_bytes()).unwrap_err();
    assert!(refused.to_string().contains("UTF-7"), "{refused}");
    assert!(matches!(refused, Error::CannotDecode { at: Spot { line: 5, .. }, .. }), "{refused:?}");
    let read = mailbox::read(mail("Hi!").replace('+', "-").as_bytes()).map(|read| read.len());
    assert!(read.is_ok(), "{read:?}");
}
