//! The fast reader: finds in a `.drv` file what a graph needs, and checks the rest without keeping it.
//!
//! It allocates nothing per file and accepts only the canonical text: sorted names, no escapes in names and paths. What it
//! refuses goes to [`super::parse`], which says why or gives a [`super::Derivation`] that can be printed canonically.
//! It never accepts what `parse` refuses (tests/graph_drv.rs holds both against each other).

use std::borrow::Cow;

use super::derivation::OutputKind;
use super::parse::MAX_DEPTH;

/// A part of the scanned text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Range {
    start: usize,
    end: usize,
}

impl Range {
    /// Returns the bytes, as they stand in the file: a string without its quotes but with its escapes.
    pub fn of(self, text: &[u8]) -> &[u8] {
        text.get(self.start..self.end).unwrap_or_default()
    }
}

/// An output as the scanner finds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScannedOutput {
    /// Its name; UTF-8.
    pub name: Range,
    /// Its store path; UTF-8, empty when it is not known before the build.
    pub path: Range,
    pub hash_algo: Range,
    pub hash: Range,
    pub kind: OutputKind,
}

/// A reusable scanner: the findings of the last text.
#[derive(Debug, Default)]
pub struct Scanner {
    /// The outputs, sorted by name.
    pub outputs: Vec<ScannedOutput>,
    /// The paths of the input derivations, sorted; UTF-8.
    pub inputs: Vec<Range>,
    pub system: Range,
    /// The list of the input sources, with its brackets.
    pub sources: Range,
    /// Everything after that list: system, builder, arguments, environment.
    pub own: Range,
    /// The variable `pname`.
    pub pname: Option<Range>,
    /// The variable `version`.
    pub version: Option<Range>,
    /// The variable `src`.
    pub src: Option<Range>,
    /// The variable `srcs`.
    pub srcs: Option<Range>,
    /// The variable `patches`.
    pub patches: Option<Range>,
    /// The variable `__json`: all attributes of a derivation with structured attributes.
    pub json: Option<Range>,
}

impl Scanner {
    /// Scans the text of a `.drv` file; `false` when it is not a canonical derivation, and then the findings mean
    /// nothing.
    pub fn scan(&mut self, text: &[u8]) -> bool {
        self.outputs.clear();
        self.inputs.clear();
        (self.pname, self.version, self.src, self.srcs, self.patches, self.json) = (None, None, None, None, None, None);
        let mut cursor = Cursor { text, at: 0 };
        self.derivation(&mut cursor).is_some() && cursor.at == text.len()
    }

    fn derivation(&mut self, cursor: &mut Cursor<'_>) -> Option<()> {
        let text = cursor.text;
        let dynamic = if cursor.take(b"Derive(").is_some() {
            false
        } else {
            cursor.take(b"DrvWithVersion(\"xp-dyn-drv\",")?;
            true
        };
        self.outputs(cursor)?;
        cursor.take(b",")?;
        self.inputs(cursor, dynamic)?;
        cursor.take(b",")?;
        let sources = cursor.at;
        let mut last: &[u8] = b"";
        cursor.list(|cursor| {
            let path = cursor.plain()?.of(text);
            let ok = path.first() == Some(&b'/') && path.is_ascii() && last < path;
            last = path;
            ok.then_some(())
        })?;
        self.sources = Range { start: sources, end: cursor.at };
        cursor.take(b",")?;
        let own = cursor.at;
        self.system = cursor.plain()?;
        std::str::from_utf8(self.system.of(text)).ok()?;
        cursor.take(b",")?;
        cursor.string()?;
        cursor.take(b",")?;
        cursor.list(|cursor| cursor.string().map(drop))?;
        cursor.take(b",")?;
        self.environment(cursor)?;
        cursor.take(b")")?;
        self.own = Range { start: own, end: cursor.at };
        Some(())
    }

    fn outputs(&mut self, cursor: &mut Cursor<'_>) -> Option<()> {
        let text = cursor.text;
        let mut last: &[u8] = b"";
        cursor.list(|cursor| {
            cursor.take(b"(")?;
            let name = cursor.plain()?;
            cursor.take(b",")?;
            let path = cursor.plain()?;
            cursor.take(b",")?;
            let hash_algo = cursor.plain()?;
            cursor.take(b",")?;
            let hash = cursor.plain()?;
            cursor.take(b")")?;
            let fields = [name, path, hash_algo, hash].map(|field| field.of(text));
            let rooted = matches!(fields[1].first(), None | Some(b'/'));
            if !rooted || !fields.iter().all(|field| field.is_ascii()) || fields[0] <= last {
                return None;
            }
            last = fields[0];
            let kind = OutputKind::of(fields[1], fields[2], fields[3])?;
            self.outputs.push(ScannedOutput { name, path, hash_algo, hash, kind });
            Some(())
        })?;
        (!self.outputs.is_empty()).then_some(())
    }

    fn inputs(&mut self, cursor: &mut Cursor<'_>, dynamic: bool) -> Option<()> {
        let text = cursor.text;
        let mut last: &[u8] = b"";
        cursor.list(|cursor| {
            cursor.take(b"(")?;
            let range = cursor.plain()?;
            let path = range.of(text);
            if path.first() != Some(&b'/') || !path.is_ascii() || path <= last {
                return None;
            }
            last = path;
            cursor.take(b",")?;
            cursor.selection(if dynamic { MAX_DEPTH } else { 0 })?;
            cursor.take(b")")?;
            self.inputs.push(range);
            Some(())
        })
    }

    fn environment(&mut self, cursor: &mut Cursor<'_>) -> Option<()> {
        let text = cursor.text;
        let mut last: Option<&[u8]> = None;
        cursor.list(|cursor| {
            cursor.take(b"(")?;
            let name = cursor.plain()?.of(text);
            if last.is_some_and(|last| last >= name) {
                return None;
            }
            last = Some(name);
            cursor.take(b",")?;
            let value = cursor.string()?;
            cursor.take(b")")?;
            match name {
                b"pname" => self.pname = Some(value),
                b"version" => self.version = Some(value),
                b"src" => self.src = Some(value),
                b"srcs" => self.srcs = Some(value),
                b"patches" => self.patches = Some(value),
                b"__json" => self.json = Some(value),
                _ => {}
            }
            Some(())
        })
    }
}

/// Returns what a raw range means: its escapes undone.
pub fn unescape(raw: &[u8]) -> Cow<'_, [u8]> {
    if memchr::memchr(b'\\', raw).is_none() {
        return Cow::Borrowed(raw);
    }
    let mut bytes = Vec::with_capacity(raw.len());
    let mut rest = raw.iter();
    while let Some(&byte) = rest.next() {
        bytes.push(match byte {
            b'\\' => match rest.next() {
                Some(b'n') => b'\n',
                Some(b'r') => b'\r',
                Some(b't') => b'\t',
                Some(&other) => other,
                None => b'\\',
            },
            _ => byte,
        });
    }
    Cow::Owned(bytes)
}

struct Cursor<'a> {
    text: &'a [u8],
    at: usize,
}

impl Cursor<'_> {
    #[inline]
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    #[inline]
    fn take(&mut self, token: &[u8]) -> Option<()> {
        self.text.get(self.at..)?.starts_with(token).then(|| self.at += token.len())
    }

    #[inline]
    fn list(&mut self, mut element: impl FnMut(&mut Self) -> Option<()>) -> Option<()> {
        self.take(b"[")?;
        if self.peek()? == b']' {
            self.at += 1;
            return Some(());
        }
        loop {
            element(self)?;
            let next = self.peek()?;
            self.at += 1;
            match next {
                b',' => {}
                b']' => return Some(()),
                _ => return None,
            }
        }
    }

    /// Takes what is needed of an input: names, or at most `depth` levels of dynamic outputs.
    fn selection(&mut self, depth: usize) -> Option<()> {
        let text = self.text;
        let nested = depth > 0 && self.take(b"(").is_some();
        self.list(|cursor| cursor.plain().filter(|name| name.of(text).is_ascii()).map(drop))?;
        if !nested {
            return Some(());
        }
        self.take(b",")?;
        let mut last: Option<&[u8]> = None;
        self.list(|cursor| {
            cursor.take(b"(")?;
            let name = cursor.plain()?.of(text);
            if !name.is_ascii() || last.is_some_and(|last| last >= name) {
                return None;
            }
            last = Some(name);
            cursor.take(b",")?;
            cursor.selection(depth - 1)?;
            cursor.take(b")")
        })?;
        self.take(b")")
    }

    /// Takes a string without escapes.
    #[inline]
    fn plain(&mut self) -> Option<Range> {
        self.take(b"\"")?;
        let start = self.at;
        let length = memchr::memchr2(b'"', b'\\', self.text.get(start..)?)?;
        let end = start + length;
        if self.text.get(end) != Some(&b'"') {
            return None;
        }
        self.at = end + 1;
        Some(Range { start, end })
    }

    #[inline]
    fn string(&mut self) -> Option<Range> {
        self.take(b"\"")?;
        let start = self.at;
        loop {
            self.at += memchr::memchr2(b'"', b'\\', self.text.get(self.at..)?)?;
            if self.text.get(self.at) == Some(&b'"') {
                let end = self.at;
                self.at += 1;
                return Some(Range { start, end });
            }
            if !matches!(self.text.get(self.at + 1)?, b'n' | b'r' | b't' | b'"' | b'\\') {
                return None;
            }
            self.at += 2;
        }
    }
}
