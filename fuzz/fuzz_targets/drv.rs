//! `.drv` files: what the parser takes is printed back and read the same; the scanner takes nothing that the parser refuses, and reads
//! the same; a graph of several of them holds what it was read from.
#![no_main]

use libfuzzer_sys::fuzz_target;
use overlayctl::drv::{self, Scanner, Source};
use overlayctl::graph::{Delta, Graph, Missing, Root};

const HASH: &str = "/nix/store/0gbfxchai3yvrf514a7pjcjxrw1qx9z";

/// The texts by the last digit of the hash of their paths.
struct Texts<'a>(Vec<&'a [u8]>);

impl Source for Texts<'_> {
    fn read(&self, path: &str, buffer: &mut Vec<u8>) -> std::io::Result<()> {
        let digit = path.strip_prefix(HASH).and_then(|rest| rest.get(..1)).and_then(|digit| digit.parse::<usize>().ok());
        let text = digit.and_then(|digit| self.0.get(digit)).ok_or(std::io::ErrorKind::NotFound)?;
        buffer.clear();
        buffer.extend_from_slice(text);
        Ok(())
    }
}

fn text_of(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("the scanner takes only UTF-8")
}

fn one(bytes: &[u8]) {
    let mut scanner = Scanner::default();
    let scanned = scanner.scan(bytes);
    let derivation = match drv::parse(bytes) {
        Ok(derivation) => derivation,
        Err(error) => {
            assert!(error.offset <= bytes.len(), "the place of an error is in the text");
            assert!(!scanned, "the scanner takes what the parser refuses: {error}");
            return;
        }
    };
    assert_eq!(drv::parse(&derivation.print()).as_ref(), Ok(&derivation), "print, parse");
    let mut sorted = derivation.clone();
    sorted.sort();
    assert_eq!(drv::parse(&sorted.print()).as_ref(), Ok(&sorted), "sort, print, parse");
    let _ = (derivation.structured_attrs(), derivation.is_fixed_output(), derivation.is_dynamic());
    if !scanned {
        return;
    }
    // Nix escapes these three, and writes a version only where an output is an input's output.
    let is_versioned = !bytes.starts_with(b"Derive(");
    if is_versioned == derivation.is_dynamic() && !bytes.iter().any(|byte| matches!(byte, b'\n' | b'\r' | b'\t')) {
        assert!(derivation.print() == bytes, "what Nix wrote is printed as Nix wrote it");
    }
    assert!(derivation.inputs.iter().map(|i| i.drv_path.as_ref()).eq(scanner.inputs.iter().map(|r| text_of(r.of(bytes)))));
    let outputs = scanner.outputs.iter().map(|o| (text_of(o.name.of(bytes)), text_of(o.path.of(bytes)), o.kind));
    assert!(derivation.outputs.iter().map(|o| (o.name.as_ref(), o.path.as_ref(), o.kind())).eq(outputs));
    assert_eq!(derivation.system, text_of(scanner.system.of(bytes)));
    for (name, range) in [
        ("pname", scanner.pname),
        ("version", scanner.version),
        ("src", scanner.src),
        ("srcs", scanner.srcs),
        ("patches", scanner.patches),
        ("__json", scanner.json),
    ] {
        let found = range.map(|range| drv::unescape(range.of(bytes)).into_owned());
        assert_eq!(derivation.env(name).map(<[u8]>::to_vec), found, "{name}");
    }
}

fuzz_target!(|data: &[u8]| {
    let texts: Vec<&[u8]> = data.split(|byte| *byte == 0).take(10).collect();
    texts.iter().for_each(|text| one(text));
    let root = [Root { attr: Some("a".into()), drv_path: format!("{HASH}0-a.drv") }];
    let texts = Texts(texts);
    let listed = Graph::read_with(&root, &texts, Missing::List);
    if let Ok(graph) = Graph::read(&root, &texts) {
        assert!(listed.is_ok(), "what is whole is whole with gaps allowed");
        assert!(Delta::between(&graph, &graph).rebuilt().is_empty(), "nothing differs from itself");
    }
    let Ok(graph) = listed else { return };
    for id in graph.ids() {
        let node = graph.node(id);
        assert_eq!(graph.find(node.drv_path()), Some(id));
        let _ = (node.name(), node.pname(), node.version(), node.system());
        let _ = (node.outputs().count(), node.patches().count(), node.sources().count());
    }
    let _ = graph.predict("a");
});
