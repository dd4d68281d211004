//! The reader of `.drv` files: what it accepts it prints back, what it refuses it names, and it never panics.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr, reason = "tests fail loudly")]
mod graph_support;
#[path = "support/random.rs"]
mod random;

use std::borrow::Cow;
use std::collections::HashMap;

use overlayctl::drv::{self, Derivation, Input, Output, OutputKind, Problem, Scanner, Selection};
use overlayctl::graph::{Error, Graph, Root};
use proptest::collection::{btree_map, btree_set, vec};
use proptest::prelude::*;
use random::Random;

const MUSL: &str = r#"Derive([("out","/nix/store/p6c6aww7hmvbx9wja0qakmss047bdhvs-musl","","")],[("/nix/store/0gbfxchai3yvrf514a7pjcjxrw1qx9z0-bash.drv",["out"]),("/nix/store/1008dbkxb22dyj3kqf313gr54wig4si2-sys.drv",["dev","out"])],["/nix/store/9krlzvny65gdc8s7kpb6lkx8cd02c25b-builder.sh"],"x86_64-linux","/bin/sh",["-e","a\"b"],[("name","musl"),("pname","musl"),("text","one\ntwo\tthree\\ \r"),("version","1")])"#;

/// As Nix 2.34 writes a derivation that needs an output of a derivation that is itself an output.
const DYNAMIC: &str = r#"DrvWithVersion("xp-dyn-drv",[("out","","r:sha256","")],[("/nix/store/0gbfxchai3yvrf514a7pjcjxrw1qx9z0-a.drv",["out"]),("/nix/store/1008dbkxb22dyj3kqf313gr54wig4si2-b.drv",([],[("out",["out"]),("two",(["x"],[("out",["dev"])]))]))],[],"x86_64-linux","/bin/sh",[],[("name","d")])"#;

fn refused(text: &str) -> (usize, Problem) {
    let error = drv::parse(text.as_bytes()).expect_err(text);
    assert!(!Scanner::default().scan(text.as_bytes()), "{text}");
    (error.offset, error.problem)
}

#[test]
fn all_forms_are_read_and_printed_back() {
    let hash = "5d5b09f6dcb2d53a5fffc60c4ac0d55fabdf556069d6631545f42aa6e3500f2e";
    let fixed = MUSL.replace(r#"musl","","")"#, &format!(r#"musl","r:sha256","{hash}")"#));
    let floating = MUSL.replace(r#""/nix/store/p6c6aww7hmvbx9wja0qakmss047bdhvs-musl","","""#, r#""","r:sha256","""#);
    let deferred = MUSL.replace(r#""/nix/store/p6c6aww7hmvbx9wja0qakmss047bdhvs-musl","","""#, r#""","","""#);
    let impure =
        MUSL.replace(r#""/nix/store/p6c6aww7hmvbx9wja0qakmss047bdhvs-musl","","""#, r#""","r:sha256","impure""#);
    for (text, kind) in [
        (MUSL, OutputKind::InputAddressed),
        (&fixed, OutputKind::Fixed),
        (&floating, OutputKind::ContentAddressed),
        (&deferred, OutputKind::Deferred),
        (&impure, OutputKind::Impure),
        (DYNAMIC, OutputKind::ContentAddressed),
    ] {
        let derivation = drv::parse(text.as_bytes()).unwrap_or_else(|error| panic!("{error}: {text}"));
        assert_eq!(String::from_utf8(derivation.print()).unwrap(), text);
        assert_eq!(derivation.outputs[0].kind(), kind);
        let mut scanner = Scanner::default();
        assert!(scanner.scan(text.as_bytes()), "{text}");
        assert_eq!(scanner.inputs.len(), derivation.inputs.len());
        assert_eq!(scanner.outputs[0].kind, kind);
    }
    let musl = drv::parse(MUSL.as_bytes()).unwrap();
    assert_eq!(musl.env("text"), Some(&b"one\ntwo\tthree\\ \r"[..]));
    assert_eq!(&*musl.args[1], b"a\"b");
    assert!(matches!(musl.env[0].1, Cow::Borrowed(_)), "nothing is copied that needs no change");
    assert!(drv::parse(fixed.as_bytes()).unwrap().is_fixed_output());
    assert!(!musl.is_fixed_output() && !musl.is_dynamic());
    assert!(drv::parse(DYNAMIC.as_bytes()).unwrap().is_dynamic());
}

#[test]
fn structured_attributes_are_one_json_text() {
    let text = MUSL.replace(
        r#"[("name","musl")"#,
        r#"[("__json","{\"pname\":\"musl\",\"patches\":[\"a\",\"b\"]}"),("name","musl")"#,
    );
    let derivation = drv::parse(text.as_bytes()).unwrap();
    assert_eq!(derivation.structured_attrs().unwrap()["patches"][1], "b");
    assert!(drv::parse(MUSL.as_bytes()).unwrap().structured_attrs().is_none());
}

#[test]
fn what_is_wrong_is_named_with_its_offset() {
    let at = |needle: &str| MUSL.find(needle).unwrap();
    assert_eq!(refused(""), (0, Problem::Header));
    assert_eq!(refused("Derive"), (0, Problem::Header));
    assert_eq!(refused("Derive("), (7, Problem::Truncated));
    assert_eq!(refused(&format!("{MUSL} ")), (MUSL.len(), Problem::Trailing));
    assert_eq!(refused(&format!("{MUSL}\n")), (MUSL.len(), Problem::Trailing));
    assert_eq!(refused(&MUSL[..MUSL.len() - 1]), (MUSL.len() - 1, Problem::Truncated));
    assert_eq!(refused(&MUSL.replace("[\"-e\",", "[\"-e\"")), (at("[\"-e\"") + 5, Problem::Expected(",")));
    assert_eq!(refused(&MUSL.replace("[\"-e\",", "[\"-e\",,")), (at("[\"-e\"") + 6, Problem::Expected("\"")));
    assert_eq!(refused(&MUSL.replace("\\t", "\\x")), (at("\\t"), Problem::Escape));
    assert_eq!(refused(&MUSL.replace("\"pname\"", "\"name\"")).1, Problem::Duplicate);
    assert_eq!(refused(&MUSL.replace("[\"/nix", "[\"nix")).1, Problem::NotAbsolute);
    assert_eq!(refused(&MUSL.replace("-musl\",\"\",\"\"", "-musl\",\"\",\"x\"")), (8, Problem::OutputKind));
    assert_eq!(refused(&MUSL.replace("-musl\",\"\",\"\"", "-musl\",\"sha256\",\"\"")), (8, Problem::OutputKind));
    let empty = format!("Derive([],{}", &MUSL[at(",[(\"/nix/store/0") + 1..]);
    assert_eq!(refused(&empty), (7, Problem::NoOutputs));
    assert_eq!(refused(&DYNAMIC.replace("xp-dyn-drv", "xp-new")), (15, Problem::Version));
    let old = DYNAMIC.replace("DrvWithVersion(\"xp-dyn-drv\",", "Derive(");
    assert_eq!(refused(&old).1, Problem::Expected("["), "the older form has no dynamic inputs");
    let deep = format!("{}[]{}", "([],[(\"o\",".repeat(100_000), ")])".repeat(100_000));
    assert_eq!(refused(&DYNAMIC.replace("[\"dev\"]", &deep)).1, Problem::TooDeep);
}

#[test]
fn every_truncation_is_refused_at_its_end() {
    for text in [MUSL, DYNAMIC] {
        for end in 0..text.len() {
            let (offset, problem) = refused(&text[..end]);
            assert!(offset <= end, "{problem} at {offset} of {end}");
        }
    }
}

#[test]
fn a_closure_is_read_over_any_source() {
    let path = |name: &str| format!("/nix/store/0gbfxchai3yvrf514a7pjcjxrw1qx9z0-{name}.drv");
    let derivation = |inputs: &[&str]| {
        let mut derivation = drv::parse(MUSL.as_bytes()).unwrap();
        derivation.inputs =
            inputs.iter().map(|name| Input { drv_path: path(name).into(), outputs: Selection::default() }).collect();
        derivation
    };
    let all =
        [("a", derivation(&["b", "c"])), ("b", derivation(&["c"])), ("c", derivation(&[])), ("d", derivation(&["a"]))];
    let source = All(all.into_iter().map(|(name, derivation)| (path(name), derivation.print())).collect());
    let closure = drv::read_closure([path("a").as_str()], &source).unwrap();
    let mut paths: Vec<&str> = closure.keys().map(String::as_str).collect();
    paths.sort_unstable();
    assert_eq!(paths, [path("a"), path("b"), path("c")]);
    assert_eq!(closure[&path("a")], source.0[&path("a")]);
    let error = drv::read_closure([path("e").as_str()], &source).unwrap_err();
    assert!(matches!(error, drv::Error::Read { drv_path, .. } if drv_path == path("e")));
}

fn text() -> impl Strategy<Value = Vec<u8>> {
    vec(prop_oneof![4 => any::<u8>(), 1 => prop::sample::select(&b"\"\\\n\r\t,()[]"[..])], 0..24)
}

fn name() -> impl Strategy<Value = String> {
    "[a-z][a-z0-9.+_-]{0,10}"
}

fn selection() -> impl Strategy<Value = Selection<'static>> {
    let leaf = btree_set(name(), 0..3)
        .prop_map(|names| Selection { names: names.into_iter().map(Cow::Owned).collect(), dynamic: Vec::new() });
    leaf.prop_recursive(3, 8, 2, |inner| {
        (btree_set(name(), 0..3), btree_map(name(), inner, 0..3)).prop_map(|(names, dynamic)| Selection {
            names: names.into_iter().map(Cow::Owned).collect(),
            dynamic: dynamic.into_iter().map(|(name, below)| (Cow::Owned(name), below)).collect(),
        })
    })
}

prop_compose! {
    fn derivation()(
        outputs in btree_map(name(), prop::sample::select(vec![("/nix/store/x", "", ""), ("", "", ""), ("", "sha256", ""), ("/y", "r:sha1", "00")]), 1..4),
        inputs in btree_map("/[a-z]{1,8}\\.drv", selection(), 0..4),
        sources in btree_set("/[a-z]{1,8}", 0..4),
        system in name(),
        builder in text(),
        args in vec(text(), 0..4),
        env in btree_map(text(), text(), 0..6),
    ) -> Derivation<'static> {
        Derivation {
            outputs: outputs.into_iter().map(|(name, (path, algo, hash))| Output {
                name: name.into(), path: path.into(), hash_algo: algo.into(), hash: hash.into(),
            }).collect(),
            inputs: inputs.into_iter().map(|(path, outputs)| Input { drv_path: path.into(), outputs }).collect(),
            sources: sources.into_iter().map(Cow::Owned).collect(),
            system: system.into(),
            builder: builder.into(),
            args: args.into_iter().map(Cow::Owned).collect(),
            env: env.into_iter().map(|(name, value)| (Cow::Owned(name), Cow::Owned(value))).collect(),
        }
    }
}

/// Checks both readers on any bytes: no panic, and the scanner accepts nothing that the parser refuses.
fn check(bytes: &[u8]) -> Result<(), TestCaseError> {
    let mut scanner = Scanner::default();
    let scanned = scanner.scan(bytes);
    match drv::parse(bytes) {
        Ok(derivation) => {
            let printed = derivation.print();
            let again = drv::parse(&printed);
            prop_assert_eq!(again.as_ref(), Ok(&derivation));
            if scanned {
                let inputs = scanner.inputs.iter().map(|range| std::str::from_utf8(range.of(bytes)).unwrap());
                prop_assert!(derivation.inputs.iter().map(|input| input.drv_path.as_ref()).eq(inputs));
            }
        }
        Err(error) => {
            prop_assert!(error.offset <= bytes.len());
            prop_assert!(!scanned, "the scanner accepts what the parser refuses: {error}");
        }
    }
    Ok(())
}

/// Real files of many shapes, or the two above where there are none.
fn real() -> Vec<Vec<u8>> {
    let mut texts = vec![MUSL.as_bytes().to_vec(), DYNAMIC.as_bytes().to_vec()];
    if let Some(data) = graph_support::data() {
        let files = data.files();
        texts.extend(
            files.iter().step_by(1009).map(|file| std::fs::read(file).unwrap()).filter(|text| text.len() < 20_000),
        );
    }
    texts
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_printed_is_parsed(derivation in derivation()) {
        let text = derivation.print();
        let parsed = drv::parse(&text);
        prop_assert_eq!(parsed.as_ref(), Ok(&derivation));
        check(&text)?;
    }

    #[test]
    fn order_is_restored(derivation in derivation(), turn in any::<prop::sample::Index>()) {
        let mut turned = derivation.clone();
        turned.outputs.rotate_left(turn.index(derivation.outputs.len()));
        turned.inputs.reverse();
        turned.sources.reverse();
        turned.env.reverse();
        let text = turned.print();
        let mut parsed = drv::parse(&text).unwrap();
        parsed.sort();
        prop_assert_eq!(parsed, derivation);
    }

    #[test]
    fn any_bytes_are_no_reason_to_panic(bytes in vec(any::<u8>(), 0..200)) {
        check(&bytes)?;
        check(&[b"Derive([(\"out\",\"", &bytes[..]].concat())?;
    }
}

#[test]
fn damaged_real_files_are_refused_or_read_the_same_by_both() {
    let texts = real();
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        cases: 400,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let structure = prop::sample::select(&b"\"\\,()[]n/-D\0\xff"[..]);
    let damage = vec((any::<prop::sample::Index>(), structure, 0..4u8), 1..4);
    runner
        .run(&(any::<prop::sample::Index>(), damage), |(which, damage)| {
            let mut text = which.get(&texts).clone();
            for (place, byte, kind) in damage {
                let at = place.index(text.len().max(1)).min(text.len().saturating_sub(1));
                match kind {
                    0 => text[at] = byte,
                    1 => text.insert(at, byte),
                    2 => drop(text.remove(at)),
                    _ => text.truncate(at.max(1)),
                }
                if text.is_empty() {
                    text.push(byte);
                }
            }
            check(&text)
        })
        .unwrap();
}

/// Damages a text: bits, bytes, what structure is made of, pieces lost, doubled, or taken from another text.
fn damage(random: &mut Random, text: &mut Vec<u8>, other: &[u8]) {
    const STRUCTURE: &[u8] = b"\"\\,()[]n/-D\0\xff";
    let at = random.below(text.len());
    let end = (at + 1 + random.below(40)).min(text.len());
    match random.below(8) {
        0 if !text.is_empty() => text[at] ^= 1 << random.below(8),
        1 if !text.is_empty() => text[at] = random.next() as u8,
        2 if !text.is_empty() => text[at] = STRUCTURE[random.below(STRUCTURE.len())],
        3 => text.insert(at, STRUCTURE[random.below(STRUCTURE.len())]),
        4 => drop(text.drain(at..end)),
        5 => text.truncate(at),
        6 => {
            let piece = text[at..end].to_vec();
            let to = random.below(text.len());
            drop(text.splice(to..to, piece));
        }
        _ => {
            let from = random.below(other.len());
            let piece = &other[from..(from + 40).min(other.len())];
            drop(text.splice(at..end, piece.iter().copied()));
        }
    }
}

/// Serves texts by path.
struct All(HashMap<String, Vec<u8>>);

impl drv::Source for All {
    fn read(&self, drv_path: &str, buffer: &mut Vec<u8>) -> std::io::Result<()> {
        buffer.clone_from(self.0.get(drv_path).ok_or(std::io::ErrorKind::NotFound)?);
        Ok(())
    }
}

/// Serves one text for every path: whatever it needs is itself.
struct Only<'t>(&'t [u8]);

impl drv::Source for Only<'_> {
    fn read(&self, _: &str, buffer: &mut Vec<u8>) -> std::io::Result<()> {
        buffer.clear();
        buffer.extend_from_slice(self.0);
        Ok(())
    }
}

#[test]
fn a_hundred_thousand_damaged_files_are_no_reason_to_panic_and_both_readers_agree() {
    let texts: Vec<Vec<u8>> = real().into_iter().filter(|text| text.len() < 3_000).collect();
    // Without optimisation a sample of them, for the suite's sake.
    let rounds = if cfg!(debug_assertions) { 5_000 } else { 100_000 };
    let mut random = Random(4);
    let (mut accepted, start) = (0, std::time::Instant::now());
    let root = [Root { attr: None, drv_path: "/nix/store/0gbfxchai3yvrf514a7pjcjxrw1qx9z0-a.drv".into() }];
    for round in 0..rounds {
        let mut text = texts[random.below(texts.len())].clone();
        let other = &texts[random.below(texts.len())];
        for _ in 0..1 + random.below(3) {
            damage(&mut random, &mut text, other);
        }
        check(&text).unwrap();
        accepted += usize::from(drv::parse(&text).is_ok());
        // What is accepted is kept, or refused with a reason.
        if round % 16 == 0 {
            match (drv::parse(&text), Graph::read(&root, &Only(&text))) {
                (Err(_), Err(Error::Derivation(drv::Error::Parse { .. }))) => {}
                (Ok(derivation), Ok(graph)) => assert!(derivation.inputs.is_empty() && graph.len() == 1),
                (Ok(derivation), Err(Error::Cycle(_))) => assert!(!derivation.inputs.is_empty()),
                (Ok(_), Err(Error::NotADerivation { .. })) => {}
                (parsed, read) => panic!("{parsed:?} {read:?}: {}", String::from_utf8_lossy(&text)),
            }
        }
    }
    eprintln!("{rounds} damaged files, {accepted} of them still derivations, {:?}", start.elapsed());
    // Damage inside a value leaves a derivation; most other damage does not.
    assert!(accepted > rounds / 20 && accepted < rounds * 19 / 20, "{accepted}");
}

#[test]
fn much_is_read() {
    // Escapes, lists and unsorted names are where a careless reader is quadratic, and this test would not end.
    let value = "\\n".repeat(2_000_000);
    let unsorted: String = (0..100_000).rev().map(|index| format!(",(\"v{index:06}\",\"\")")).collect();
    let text = MUSL.replace("one", &value).replace(",(\"version\",\"1\")", &unsorted);
    assert_eq!(drv::parse(text.as_bytes()).unwrap().env.len(), 100_003);
}
