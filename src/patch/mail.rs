//! Reads one mail as `git mailinfo` does, and returns it as a plain patch file: parts put together, transfer encodings undone, the
//! message in UTF-8, the diff in the bytes that it has.
//!
//! Must not change a message that is a plain patch already, and must not split mailboxes.

use std::borrow::Cow;

use super::decode;
use super::error::{Error, Spot};
use super::parse::Reader;

/// Returns the patch file that a mail carries; the same bytes where that is what it is. (What only the transfer needed goes: the encoding,
/// the boundaries and headers of parts; and the CRs of a mail that was stored with CR LF.)
///
/// # Errors
/// [`Error::CannotDecode`] for a charset that is not known, or that the message is not in.
pub fn decode(message: &[u8]) -> Result<Cow<'_, [u8]>, Error> {
    // Tags may stand above the mail.
    let inner = message.windows(6).position(|w| w == b"\nFrom ").map(|at| at + 1);
    if let Some((above, inner)) = inner.map(|at| message.split_at(at)).filter(|(above, inner)| {
        let is_mail = super::mailbox::is_from_line(inner.split(|b| *b == b'\n').next().unwrap_or_default());
        is_mail && !Fields::read(above).mail && !above.split(|b| *b == b'\n').any(breaks)
    }) {
        return Ok(match decode(inner)? {
            Cow::Borrowed(_) => Cow::Borrowed(message),
            Cow::Owned(inner) => Cow::Owned([above, &inner].concat()),
        });
    }
    let crlf = message.split(|b| *b == b'\n').next().is_some_and(|line| line.ends_with(b"\r"));
    let text = match crlf && Fields::read(message).mail {
        true => Cow::Owned(message.split_inclusive(|b| *b == b'\n').flat_map(without_cr).copied().collect::<Vec<u8>>()),
        false => Cow::Borrowed(message),
    };
    let fields = Fields::read(&text);
    let body = text.get(fields.end..).unwrap_or_default();
    // A message in UTF-8, or in no charset, is as it should be; so is one that is all ASCII.
    let mut message = body.split_inclusive(|b| *b == b'\n').take_while(|l| !breaks(l));
    let ascii = decode::keeps_ascii(&fields.part.charset) && message.all(<[u8]>::is_ascii);
    let recoded = !ascii && !matches!(fields.part.charset.to_ascii_lowercase().as_str(), "" | "utf-8" | "utf8");
    let plain = fields.part.coding == Coding::Plain && !fields.part.flowed && fields.boundary.is_none() && !recoded;
    if !fields.mail || plain {
        return Ok(text);
    }
    let mut out = fields.rewritten.clone();
    out.push(b'\n');
    let at = |reader: &Reader<'_>| Spot { span: None, ..reader.spot() };
    let mut body = Body {
        boundaries: fields.boundary.into_iter().collect(),
        part: fields.part,
        partial: Vec::new(),
        flowing: Vec::new(),
        in_message: true,
        out,
    };
    let lines = text.iter().take(fields.end).filter(|b| **b == b'\n').count() + 1;
    body.read(Reader { bytes: &text, at: fields.end, line: lines }, at)?;
    Ok(Cow::Owned(body.out))
}

/// Says whether a text begins with the headers of a mail.
pub(super) fn is_mail(text: &[u8]) -> bool {
    Fields::read(text).mail
}

fn without_cr(line: &[u8]) -> impl Iterator<Item = &u8> {
    let (text, end): (&[u8], &[u8]) = line.strip_suffix(b"\r\n").map_or((line, b""), |text| (text, b"\n"));
    text.iter().chain(end)
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Coding {
    #[default]
    Plain,
    QuotedPrintable,
    Base64,
}

/// What the headers say of a part.
#[derive(Clone, Default)]
struct Part {
    coding: Coding,
    charset: String,
    /// `format=flowed` (RFC 3676).
    flowed: bool,
    /// `delsp=yes`: the blank of a soft line end is no blank of the text.
    delsp: bool,
}

impl Part {
    /// A character is more than one byte, and so is a line feed: only the whole can be decoded.
    fn is_wide(&self) -> bool {
        let charset = self.charset.to_ascii_lowercase();
        ["utf-16", "utf16", "utf-32", "ucs-2"].iter().any(|wide| charset.starts_with(wide))
    }
}

/// The header fields of a mail or of a part.
#[derive(Default)]
struct Fields {
    part: Part,
    /// `--` and the boundary.
    boundary: Option<Vec<u8>>,
    /// A sender or a subject is there.
    mail: bool,
    /// Where the empty line is that ends them.
    end: usize,
    /// The fields as they are once everything is decoded.
    rewritten: Vec<u8>,
}

impl Fields {
    fn read(text: &[u8]) -> Fields {
        let mut fields = Fields::default();
        while text.get(fields.end).is_some_and(u8::is_ascii_whitespace) {
            fields.end += 1;
        }
        while let Some(rest) = text.get(fields.end..).filter(|rest| !rest.is_empty()) {
            let line_end = |at: usize| rest[at..].iter().position(|b| *b == b'\n').map_or(rest.len(), |i| at + i + 1);
            let mut len = line_end(0);
            let name =
                rest[..len].iter().position(|b| *b == b':').filter(|n| rest[..*n].iter().all(u8::is_ascii_graphic));
            let from = rest.starts_with(b"From ") || rest.starts_with(b">From ");
            if name.is_none() && !from {
                break;
            }
            while rest.get(len).is_some_and(|b| matches!(b, b' ' | b'\t')) {
                len = line_end(len);
            }
            let whole = &rest[..len];
            fields.end += len;
            let (name, value) = whole.split_at(name.filter(|_| !from).unwrap_or(0));
            let value = String::from_utf8_lossy(value).replace("\r\n", "\n").replace('\n', " ");
            let lower = value.to_ascii_lowercase();
            match name.to_ascii_lowercase().as_slice() {
                b"content-type" => {
                    let is = |name, wanted| attribute(&value, name).is_some_and(|v| v.eq_ignore_ascii_case(wanted));
                    fields.boundary = attribute(&value, "boundary=").map(|b| format!("--{b}").into_bytes());
                    fields.part.charset = attribute(&value, "charset=").unwrap_or_default().to_string();
                    (fields.part.flowed, fields.part.delsp) = (is("format=", "flowed"), is("delsp=", "yes"));
                    fields.rewritten.extend_from_slice(b"Content-Type: text/plain; charset=UTF-8\n");
                    continue;
                }
                b"content-transfer-encoding" => {
                    fields.part.coding = match () {
                        () if lower.contains("base64") => Coding::Base64,
                        () if lower.contains("quoted-printable") => Coding::QuotedPrintable,
                        () => Coding::Plain,
                    };
                    fields.rewritten.extend_from_slice(b"Content-Transfer-Encoding: 8bit\n");
                    continue;
                }
                b"from" | b"subject" => fields.mail = true,
                _ => {}
            }
            fields.rewritten.extend_from_slice(whole);
        }
        fields
    }
}

/// Returns the value of an attribute of `Content-Type:`.
fn attribute<'v>(value: &'v str, name: &str) -> Option<&'v str> {
    let from = value.get(value.to_ascii_lowercase().find(name)? + name.len()..)?;
    match from.strip_prefix('"') {
        Some(quoted) => quoted.split('"').next(),
        None => from.split([';', ' ', '\t']).next(),
    }
}

/// Says whether a line ends the message: what follows is the diff, or what stands between.
pub(super) fn breaks(line: &[u8]) -> bool {
    line.starts_with(b"diff -")
        || line.starts_with(b"Index: ")
        || line.strip_prefix(b"---").is_some_and(|rest| {
            rest.trim_ascii().is_empty() || (rest[0] == b' ' && rest.get(1).is_some_and(|b| !b.is_ascii_whitespace()))
        })
}

/// The body of a mail on its way.
struct Body {
    boundaries: Vec<Vec<u8>>,
    part: Part,
    /// The beginning of a line whose end the encoding keeps back.
    partial: Vec<u8>,
    /// The beginning of a line that flows on.
    flowing: Vec<u8>,
    /// The line that begins the diff has not come.
    in_message: bool,
    out: Vec<u8>,
}

impl Body {
    fn read(&mut self, mut reader: Reader<'_>, at: impl Fn(&Reader<'_>) -> Spot) -> Result<(), Error> {
        let is_boundary = |boundaries: &[Vec<u8>], line: &[u8]| boundaries.last().is_some_and(|b| line.starts_with(b));
        // What stands before the first part says that this is MIME; what follows a last part says nothing.
        let skip = |boundaries: &[Vec<u8>], reader: &mut Reader<'_>| {
            while reader.peek().is_some_and(|line| !is_boundary(boundaries, line)) {
                reader.next();
            }
        };
        match self.boundaries.is_empty() {
            true => drop(reader.next()),
            false => skip(&self.boundaries, &mut reader),
        }
        while let Some(line) = reader.peek() {
            let spot = at(&reader);
            if is_boundary(&self.boundaries, line) {
                self.flush(&spot)?;
                let closes = self.boundaries.last().is_some_and(|b| line[b.len()..].starts_with(b"--"));
                reader.next();
                if closes {
                    self.boundaries.pop();
                    self.line(b"\n", &spot)?;
                    if self.boundaries.is_empty() {
                        break;
                    }
                    skip(&self.boundaries, &mut reader);
                    continue;
                }
                let fields = Fields::read(&reader.bytes[reader.at..]);
                let empty = reader.peek().is_some_and(|line| line.trim_ascii().is_empty());
                for _ in 0..reader.bytes[reader.at..][..if empty { 0 } else { fields.end }]
                    .iter()
                    .filter(|b| **b == b'\n')
                    .count()
                {
                    reader.next();
                }
                self.part = if empty { Part::default() } else { fields.part };
                self.boundaries.extend(fields.boundary.filter(|_| !empty));
                reader.next();
                continue;
            }
            let line = reader.next();
            let decoded = match self.part.coding {
                Coding::Plain => line.to_vec(),
                Coding::QuotedPrintable => decode::quoted_printable(line),
                Coding::Base64 => decode::base64(line),
            };
            for piece in decoded.split_inclusive(|b| *b == b'\n') {
                self.piece(piece, &spot)?;
            }
        }
        let end = at(&reader);
        self.flush(&end)
    }

    /// Takes a line or a part of one.
    fn piece(&mut self, piece: &[u8], at: &Spot) -> Result<(), Error> {
        if self.part.is_wide() || (!piece.ends_with(b"\n") && self.part.coding != Coding::Plain) {
            self.partial.extend_from_slice(piece);
            return Ok(());
        }
        let line = [std::mem::take(&mut self.partial).as_slice(), piece].concat();
        if !self.part.flowed {
            return self.line(&line, at);
        }
        let text = line.strip_suffix(b"\n").unwrap_or(&line);
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        if text == b"-- " {
            let before = std::mem::take(&mut self.flowing);
            if !before.is_empty() {
                self.line(&before, at)?;
            }
            return self.line(&line, at);
        }
        // A blank was put before what begins with one; a line that ends with one goes on.
        let stuffed = usize::from(text.starts_with(b" "));
        match text[stuffed..].strip_suffix(b" ") {
            Some(more) => self.flowing.extend_from_slice(if self.part.delsp { more } else { &text[stuffed..] }),
            None => {
                let whole = [std::mem::take(&mut self.flowing).as_slice(), &line[stuffed..]].concat();
                self.line(&whole, at)?;
            }
        }
        Ok(())
    }

    fn flush(&mut self, at: &Spot) -> Result<(), Error> {
        let rest = [std::mem::take(&mut self.flowing), std::mem::take(&mut self.partial)].concat();
        if rest.is_empty() || !self.part.is_wide() {
            return if rest.is_empty() { Ok(()) } else { self.line(&rest, at) };
        }
        let what = format!("text in the charset `{}`", self.part.charset);
        let text = decode::to_utf8(&rest, &self.part.charset)
            .ok_or_else(|| Error::CannotDecode { what, at: at.clone() })?
            .into_owned();
        self.part = Part::default();
        text.split_inclusive(|b| *b == b'\n').try_for_each(|line| self.line(line, at))
    }

    fn line(&mut self, line: &[u8], at: &Spot) -> Result<(), Error> {
        if !self.in_message {
            self.out.extend_from_slice(line);
            return Ok(());
        }
        let what = || match self.part.charset.as_str() {
            "" => "text of no charset".to_string(),
            charset => format!("text in the charset `{charset}`"),
        };
        let text = decode::to_utf8(line, &self.part.charset)
            .ok_or_else(|| Error::CannotDecode { what: what(), at: at.clone() })?;
        self.in_message = !breaks(&text);
        self.out.extend_from_slice(&text);
        Ok(())
    }
}
