//! Derivations as they stand in `.drv` files, and the printer.

use std::borrow::Cow;

/// A derivation, borrowed from the text it was parsed from where no escape stands in the way.
///
/// Names and store paths are UTF-8; what a builder is given may be any bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Derivation<'a> {
    /// The outputs, at least one.
    pub outputs: Vec<Output<'a>>,
    pub inputs: Vec<Input<'a>>,
    /// The store paths that it needs and that are no derivation's output.
    pub sources: Vec<Cow<'a, str>>,
    /// The system that builds it, `x86_64-linux`.
    pub system: Cow<'a, str>,
    pub builder: Cow<'a, [u8]>,
    pub args: Vec<Cow<'a, [u8]>>,
    /// Its environment: names and values.
    pub env: Vec<Variable<'a>>,
}

/// A variable of the environment: name and value.
pub type Variable<'a> = (Cow<'a, [u8]>, Cow<'a, [u8]>);

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output<'a> {
    /// Its name, `out`.
    pub name: Cow<'a, str>,
    /// Its store path; empty when it is not known before the build.
    pub path: Cow<'a, str>,
    /// `sha256`, `r:sha256`; empty for an input-addressed output.
    pub hash_algo: Cow<'a, str>,
    /// The hash; empty when it is not known before the build.
    pub hash: Cow<'a, str>,
}

/// How the path of an output comes about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputKind {
    /// From the inputs: what nearly every derivation has.
    InputAddressed,
    /// From a hash that is given: a download.
    Fixed,
    /// From the content, after the build (`__contentAddressed`).
    ContentAddressed,
    /// From the inputs, but these have content-addressed ones among them.
    Deferred,
    /// From the content, and never the same twice (`__impure`).
    Impure,
}

impl OutputKind {
    /// Returns the kind for the three fields of an output; `None` when Nix would refuse them.
    pub(super) fn of(path: &[u8], hash_algo: &[u8], hash: &[u8]) -> Option<OutputKind> {
        match (path.is_empty(), hash_algo.is_empty(), hash) {
            (false, true, b"") => Some(OutputKind::InputAddressed),
            (true, true, b"") => Some(OutputKind::Deferred),
            (true, false, b"") => Some(OutputKind::ContentAddressed),
            (true, false, b"impure") => Some(OutputKind::Impure),
            (_, false, b"" | b"impure") | (true, false, _) | (_, true, _) => None,
            (false, false, _) => Some(OutputKind::Fixed),
        }
    }
}

impl Output<'_> {
    /// Returns how its path comes about.
    pub fn kind(&self) -> OutputKind {
        // The parser has refused what has no kind; a hand-made one counts as unknown before the build.
        OutputKind::of(self.path.as_bytes(), self.hash_algo.as_bytes(), self.hash.as_bytes())
            .unwrap_or(OutputKind::Deferred)
    }
}

/// A derivation that another needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input<'a> {
    pub drv_path: Cow<'a, str>,
    pub outputs: Selection<'a>,
}

/// Which outputs of an input are needed, also of derivations that are themselves outputs (dynamic derivations).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Selection<'a> {
    pub names: Vec<Cow<'a, str>>,
    /// Outputs that are derivations, and what is needed of these.
    pub dynamic: Vec<(Cow<'a, str>, Selection<'a>)>,
}

impl Selection<'_> {
    fn sort(&mut self) {
        self.names.sort();
        self.dynamic.sort_by(|a, b| a.0.cmp(&b.0));
        for (_, below) in &mut self.dynamic {
            below.sort();
        }
    }
}

impl<'a> Derivation<'a> {
    /// Returns the value of a variable of the environment.
    pub fn env(&self, name: &str) -> Option<&[u8]> {
        self.env.iter().find(|(key, _)| **key == *name.as_bytes()).map(|(_, value)| &**value)
    }

    /// Says whether its outputs are given by hash, so that a change of its inputs changes nothing.
    pub fn is_fixed_output(&self) -> bool {
        self.outputs.iter().all(|output| output.kind() == OutputKind::Fixed)
    }

    /// Returns the attributes of a derivation with `__structuredAttrs`, which are one JSON text.
    pub fn structured_attrs(&self) -> Option<serde_json::Value> {
        serde_json::from_slice(self.env("__json")?).ok()
    }

    /// Says whether an input is a derivation that another derivation makes.
    pub fn is_dynamic(&self) -> bool {
        self.inputs.iter().any(|input| !input.outputs.dynamic.is_empty())
    }

    /// Brings outputs, inputs, sources and variables into the order in which Nix writes them.
    pub fn sort(&mut self) {
        self.outputs.sort_by(|a, b| a.name.cmp(&b.name));
        self.inputs.sort_by(|a, b| a.drv_path.cmp(&b.drv_path));
        for input in &mut self.inputs {
            input.outputs.sort();
        }
        self.sources.sort();
        self.env.sort_by(|a, b| a.0.cmp(&b.0));
    }

    /// Returns the text of the `.drv` file, in the order of the fields; what [`super::parse`] took it from, byte by byte,
    /// if Nix wrote that.
    pub fn print(&self) -> Vec<u8> {
        let mut text = Vec::with_capacity(4096);
        text.extend_from_slice(if self.is_dynamic() { b"DrvWithVersion(\"xp-dyn-drv\",[" } else { b"Derive([" });
        list(&mut text, &self.outputs, |text, output| {
            text.push(b'(');
            list(text, [&output.name, &output.path, &output.hash_algo, &output.hash], |text, field| {
                quote(text, field.as_bytes());
            });
            text.push(b')');
        });
        text.extend_from_slice(b"],[");
        list(&mut text, &self.inputs, |text, input| {
            text.push(b'(');
            quote(text, input.drv_path.as_bytes());
            text.push(b',');
            print_selection(text, &input.outputs);
            text.push(b')');
        });
        text.extend_from_slice(b"],[");
        list(&mut text, &self.sources, |text, path| quote(text, path.as_bytes()));
        text.extend_from_slice(b"],");
        quote(&mut text, self.system.as_bytes());
        text.push(b',');
        quote(&mut text, &self.builder);
        text.extend_from_slice(b",[");
        list(&mut text, &self.args, |text, arg| quote(text, arg));
        text.extend_from_slice(b"],[");
        list(&mut text, &self.env, |text, (name, value)| {
            text.push(b'(');
            quote(text, name);
            text.push(b',');
            quote(text, value);
            text.push(b')');
        });
        text.extend_from_slice(b"])");
        text
    }
}

/// Prints elements with commas between them.
fn list<T>(text: &mut Vec<u8>, elements: impl IntoIterator<Item = T>, print: impl Fn(&mut Vec<u8>, T)) {
    for (index, element) in elements.into_iter().enumerate() {
        if index > 0 {
            text.push(b',');
        }
        print(text, element);
    }
}

fn print_selection(text: &mut Vec<u8>, selection: &Selection<'_>) {
    if !selection.dynamic.is_empty() {
        text.push(b'(');
    }
    text.push(b'[');
    list(text, &selection.names, |text, name| quote(text, name.as_bytes()));
    text.push(b']');
    if !selection.dynamic.is_empty() {
        text.extend_from_slice(b",[");
        list(text, &selection.dynamic, |text, (name, below)| {
            text.push(b'(');
            quote(text, name.as_bytes());
            text.push(b',');
            print_selection(text, below);
            text.push(b')');
        });
        text.extend_from_slice(b"])");
    }
}

/// Prints a string with the five escapes that Nix writes.
fn quote(text: &mut Vec<u8>, string: &[u8]) {
    text.push(b'"');
    for &byte in string {
        match byte {
            b'"' | b'\\' => text.extend_from_slice(&[b'\\', byte]),
            b'\n' => text.extend_from_slice(b"\\n"),
            b'\r' => text.extend_from_slice(b"\\r"),
            b'\t' => text.extend_from_slice(b"\\t"),
            _ => text.push(byte),
        }
    }
    text.push(b'"');
}
