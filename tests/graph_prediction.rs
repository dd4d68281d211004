//! Predictions against a truth that is known: package sets that are made up, with stages, overrides and two names for one
//! package, each of whose attributes is marked in turn and whose outputs are then computed anew.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr, reason = "a test says what it expects")]

#[path = "support/store_path.rs"]
mod store_path;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write as _;
use std::io;
use std::path::PathBuf;

use overlayctl::drv::Source;
use overlayctl::graph::{Graph, MARK, Missing, Root, RootList, StoreDir};
use proptest::prelude::*;
use store_path::path;

/// How a package of a made-up set comes about.
#[derive(Debug, Clone)]
enum Origin {
    /// It has an expression and a source of its own.
    Own,
    /// `base.override { ... }` of an earlier package: the same source and name, configured otherwise.
    Override(usize),
    /// Another attribute for an earlier package.
    Alias(usize),
}

#[derive(Debug, Clone)]
struct Package {
    origin: Origin,
    /// Attributes that it takes, by index of earlier packages.
    takes: Vec<usize>,
    /// Whether the tools of the build platform are made of it too.
    tool: bool,
}

/// The stages: what runs on the build platform, and what is made with it for another.
const STAGES: [&str; 2] = ["", "-aarch64-unknown-linux-gnu"];

/// Which attributes are marked.
#[derive(Clone, Copy)]
enum Marking {
    Nothing,
    One(usize),
    Every,
}

/// The derivations of a set as text, and that of each attribute in the last stage.
struct Set {
    files: HashMap<String, String>,
    roots: Vec<Root>,
}

/// A derivation under way: its path, its output, and what another one can override of it.
#[derive(Clone)]
struct Made {
    drv: String,
    output: String,
}

/// The name of an attribute: without digits, which would look like a version.
fn attr_name(index: usize) -> String {
    let letter = |value: usize| char::from(b'a' + (value % 26) as u8);
    format!("attr{}{}", letter(index / 26), letter(index))
}

impl Set {
    /// Evaluates a set as nixpkgs' expressions would with an overlay that marks attributes.
    fn of(packages: &[Package], marking: Marking) -> Set {
        let mut set = Set { files: HashMap::new(), roots: Vec::new() };
        let stdenv = set.derivation("stdenv-linux", None, "", &[], &[]);
        let mut tools: Vec<Option<Made>> = vec![None; packages.len()];
        for (stage, platform) in STAGES.iter().enumerate() {
            let mut values: Vec<Made> = Vec::new();
            for index in 0..packages.len() {
                let package = &packages[bound_to(packages, index)];
                let mut inputs: Vec<Made> = vec![stdenv.clone()];
                // In the last stage tools come from the one before.
                let take = |attr: &usize| tools[*attr].clone().filter(|_| stage > 0 && packages[*attr].tool);
                let taken = |attr: &usize| take(attr).unwrap_or_else(|| values[*attr].clone());
                let (origin, marks) = resolve(packages, index, marking);
                let source = packages[origin].clone();
                inputs.extend(source.takes.iter().map(taken));
                let bound = bound_to(packages, index);
                inputs.extend(package.takes.iter().filter(|_| origin != bound).map(taken));
                let config = if bound == origin { String::new() } else { format!("with-{bound}") };
                let name = format!("package{origin}-1.0{platform}");
                values.push(set.derivation(&name, Some(origin), &config, &inputs, &marks));
            }
            if stage == 0 {
                // Whatever is built at all is built for both platforms.
                set.roots.extend(values.iter().map(|made| Root { attr: None, drv_path: made.drv.clone() }));
                tools = values.into_iter().map(Some).collect();
            } else {
                let roots = values.into_iter().enumerate();
                set.roots.extend(roots.map(|(index, made)| Root { attr: Some(attr_name(index)), drv_path: made.drv }));
            }
        }
        set
    }

    fn derivation(
        &mut self,
        name: &str,
        source: Option<usize>,
        config: &str,
        inputs: &[Made],
        marks: &[usize],
    ) -> Made {
        let paths: BTreeMap<&str, &str> =
            inputs.iter().map(|input| (input.drv.as_str(), input.output.as_str())).collect();
        let outputs: Vec<&str> = inputs.iter().map(|input| input.output.as_str()).collect();
        let output = path((source, config, &outputs, marks), name);
        let mut env: BTreeMap<&str, String> = BTreeMap::from([
            ("config", config.to_owned()),
            ("inputs", outputs.join(" ")),
            ("name", name.to_owned()),
            ("out", output.clone()),
        ]);
        if let Some(source) = source {
            env.insert("src", path(source, "source.tar"));
        }
        if !marks.is_empty() {
            let names = marks.iter().map(|attr| format!(" {}", attr_name(*attr))).collect();
            env.insert(MARK, names);
        }
        let list = |entries: Vec<String>| format!("[{}]", entries.join(","));
        let inputs = list(paths.keys().map(|drv| format!("(\"{drv}\",[\"out\"])")).collect());
        let env = list(env.iter().map(|(key, value)| format!("(\"{key}\",\"{value}\")")).collect());
        let text =
            format!("Derive([(\"out\",\"{output}\",\"\",\"\")],{inputs},[],\"x86_64-linux\",\"/bin/sh\",[],{env})");
        let drv = path(&text, &format!("{name}.drv"));
        self.files.insert(drv.clone(), text);
        Made { drv, output }
    }

    /// The outputs of all derivations that the attributes need.
    fn outputs(&self) -> BTreeSet<String> {
        let graph = Graph::read(&self.roots, self).unwrap();
        graph
            .ids()
            .flat_map(|id| graph.node(id).outputs().map(|(_, path)| path.to_owned()).collect::<Vec<_>>())
            .collect()
    }
}

impl Source for Set {
    fn read(&self, drv_path: &str, buffer: &mut Vec<u8>) -> io::Result<()> {
        buffer.clear();
        buffer.extend_from_slice(self.files.get(drv_path).ok_or(io::ErrorKind::NotFound)?.as_bytes());
        Ok(())
    }
}

/// Follows names to what they stand for: an alias to its package.
fn bound_to(packages: &[Package], index: usize) -> usize {
    match packages[index].origin {
        Origin::Alias(of) => bound_to(packages, of),
        _ => index,
    }
}

/// Returns the package whose expression makes an attribute, and the marks that overlays put on it on the way: `override`
/// keeps what an overlay has put on the base.
fn resolve(packages: &[Package], index: usize, marking: Marking) -> (usize, Vec<usize>) {
    let (origin, mut marks) = match packages[index].origin {
        Origin::Own => (index, Vec::new()),
        Origin::Override(of) | Origin::Alias(of) => resolve(packages, of, marking),
    };
    if match marking {
        Marking::Nothing => false,
        Marking::One(marked) => marked == index,
        Marking::Every => true,
    } {
        marks.push(index);
    }
    (origin, marks)
}

/// Returns the base of a package and what it takes, by what the names of packages tell.
fn effective(packages: &[Package], index: usize) -> (usize, BTreeSet<usize>) {
    let own = packages[index].takes.iter().map(|taken| resolve(packages, *taken, Marking::Nothing).0);
    match packages[index].origin {
        Origin::Own => (index, own.collect()),
        Origin::Alias(of) => effective(packages, of),
        Origin::Override(of) => {
            let origin = resolve(packages, of, Marking::Nothing).0;
            (origin, effective(packages, origin).1.into_iter().chain(own).collect())
        }
    }
}

/// Makes packages of their own of those overrides that change nothing that is taken: a flag alone is no clue.
fn told_apart(mut packages: Vec<Package>) -> Vec<Package> {
    let mut seen: BTreeSet<(usize, BTreeSet<usize>)> = BTreeSet::new();
    for index in 0..packages.len() {
        let is_new = seen.insert(effective(&packages, index));
        if !is_new && matches!(packages[index].origin, Origin::Override(_)) {
            packages[index].origin = Origin::Own;
            seen.insert(effective(&packages, index));
        }
    }
    packages
}

fn packages(aliases: bool) -> impl Strategy<Value = Vec<Package>> {
    let one = (
        0..10u8,
        any::<prop::sample::Index>(),
        prop::collection::vec(any::<prop::sample::Index>(), 0..4),
        any::<bool>(),
    );
    prop::collection::vec(one, 1..24).prop_map(move |raw| {
        let make =
            |(index, (kind, of, takes, tool)): (usize, (u8, prop::sample::Index, Vec<prop::sample::Index>, bool))| {
                let origin = match kind {
                    0 | 1 if index > 0 => Origin::Override(of.index(index)),
                    2 if index > 0 && aliases => Origin::Alias(of.index(index)),
                    _ => Origin::Own,
                };
                let takes = takes.into_iter().filter(|_| index > 0).map(|taken| taken.index(index)).collect();
                Package { origin, takes, tool }
            };
        told_apart(raw.into_iter().enumerate().map(make).collect())
    })
}

/// The paths of the derivations that are rebuilt when one attribute is marked.
fn truth(plain: &Graph, packages: &[Package], marked: usize) -> BTreeSet<String> {
    let after = Set::of(packages, Marking::One(marked)).outputs();
    let is_rebuilt = |id: &u32| plain.node(*id).outputs().any(|(_, path)| !after.contains(path));
    plain.ids().filter(is_rebuilt).map(|id| plain.node(id).drv_path().to_owned()).collect()
}

fn paths(graph: &Graph, ids: impl Iterator<Item = u32>) -> BTreeSet<String> {
    ids.map(|id| graph.node(id).drv_path().to_owned()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// From derivations alone the bounds hold, and all that is rebuilt is predicted, possible or counted.
    #[test]
    fn the_range_of_a_bare_graph_holds(packages in packages(true)) {
        let plain = Set::of(&packages, Marking::Nothing);
        let graph = Graph::read(&plain.roots, &plain).unwrap();
        for index in 0..packages.len() {
            let real = truth(&graph, &packages, index);
            let prediction = graph.predict(&attr_name(index)).unwrap();
            let range = prediction.range;
            prop_assert!(range.low <= real.len() && real.len() <= range.high, "attr{index}: {} {range:?}", real.len());
            let mut told = paths(&graph, prediction.rebuild.iter().copied());
            told.extend(paths(&graph, prediction.possible.iter().map(|possible| possible.node)));
            prop_assert!(real.difference(&told).count() <= prediction.unlisted);
            prop_assert!(prediction.unlisted <= range.high - range.low);
        }
    }

    /// With marks it is exact, whatever is an override or another name of what; also from a file.
    #[test]
    fn marks_make_it_exact(packages in packages(true)) {
        let plain = Set::of(&packages, Marking::Nothing);
        let marked = Set::of(&packages, Marking::Every);
        let graph = Graph::read(&plain.roots, &plain).unwrap().with_marks(&marked.roots, &marked).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("graph");
        graph.write(&file, "key").unwrap();
        let graph = Graph::open_unproved(&file).unwrap();
        for index in 0..packages.len() {
            let prediction = graph.predict(&attr_name(index)).unwrap();
            let real = truth(&graph, &packages, index);
            prop_assert_eq!(&paths(&graph, prediction.rebuild.iter().copied()), &real, "attr{}", index);
            prop_assert_eq!((prediction.range.low, prediction.range.high), (real.len(), real.len()));
            prop_assert!(prediction.possible.is_empty());
        }
    }

    /// Where attributes did not evaluate with marks, the truth is between the bounds still.
    #[test]
    fn what_has_no_marks_is_only_possible(packages in packages(false), left_out: prop::sample::Index) {
        let plain = Set::of(&packages, Marking::Nothing);
        let mut marked = Set::of(&packages, Marking::Every);
        prop_assume!(packages.len() > 1);
        marked.roots.remove(left_out.index(packages.len()));
        let graph = Graph::read(&plain.roots, &plain).unwrap().with_marks(&marked.roots, &marked).unwrap();
        for index in 0..packages.len() {
            let prediction = graph.predict(&attr_name(index)).unwrap();
            let real = truth(&graph, &packages, index).len();
            prop_assert!(prediction.range.low <= real && real <= prediction.range.high, "{real} {:?}", prediction.range);
        }
    }
}

/// The pair that no graph of derivations can tell apart: a package and an override of it, in one direction.
#[test]
fn an_override_in_one_direction_is_a_range_and_with_marks_a_point() {
    let own = |takes: &[usize]| Package { origin: Origin::Own, takes: takes.to_vec(), tool: false };
    let mut packages = vec![own(&[]), own(&[]), Package { origin: Origin::Override(1), takes: vec![0], tool: false }];
    packages.extend((0..40).map(|_| own(&[1])));
    packages.extend((0..30).map(|_| own(&[2])));
    let plain = Set::of(&packages, Marking::Nothing);
    let marked = Set::of(&packages, Marking::Every);
    let bare = Graph::read(&plain.roots, &plain).unwrap();
    let exact = Graph::read(&plain.roots, &plain).unwrap().with_marks(&marked.roots, &marked).unwrap();
    // Both stages are roots, so that there are two of each.
    for (attr, real) in [(1, 144), (2, 62)] {
        assert_eq!(truth(&bare, &packages, attr).len(), real);
        let range = bare.predict(&attr_name(attr)).unwrap().range;
        assert!(range.low <= real && range.high == 144, "{range:?}: either may be the base");
        assert_eq!(exact.predict(&attr_name(attr)).unwrap().rebuild.len(), real);
    }
}

/// Libc, kernel headers and compilers are found without a root of that name; what is no package is refused.
#[test]
fn packages_without_a_root_are_found_by_their_names() {
    let mut set = Set { files: HashMap::new(), roots: Vec::new() };
    let stdenv = set.derivation("stdenv-linux", None, "", &[], &[]);
    let mut last = stdenv.clone();
    let names = ["linux-headers-6.1", "glibc-2.42", "gcc-15.2.0", "gcc-wrapper-15.2.0", "hello-1.0"];
    for (index, name) in names.iter().enumerate() {
        last = set.derivation(name, Some(index), "", &[stdenv.clone(), last.clone()], &[]);
    }
    set.roots.push(Root { attr: Some("hello".into()), drv_path: last.drv });
    let graph = Graph::read(&set.roots, &set).unwrap();
    for (attr, count) in [("linuxHeaders", 5), ("glibc", 4), ("gcc-unwrapped", 3), ("gcc15", 3), ("gcc", 3)] {
        let prediction = graph.predict(attr).unwrap();
        assert_eq!((prediction.rebuild.len(), prediction.range.high), (count, count), "{attr}");
    }
    for attr in ["musl", "h", "stdenv-", ""] {
        assert!(graph.predict(attr).is_err(), "{attr}");
    }
}

/// Real oracles, where there are any: `OVERLAYCTL_PREDICTION` names a directory with a list `before.tsv`, a store below
/// `nix/store` (or a file `store` that says where that is), and for each oracle a file `rebuilt-NAME.txt`, as
/// `tests/prediction.sh --oracles` writes them.
#[test]
fn the_range_holds_on_real_oracles() {
    let Some(directories) = std::env::var_os("OVERLAYCTL_PREDICTION") else {
        eprintln!("skipped: OVERLAYCTL_PREDICTION names no directory with oracles");
        return;
    };
    let mut table = String::new();
    let mut wrong = Vec::new();
    for directory in std::env::split_paths(&directories) {
        let list = RootList::parse(&std::fs::read_to_string(directory.join("before.tsv")).unwrap()).unwrap();
        let store =
            std::fs::read_to_string(directory.join("store")).map_or(directory.clone(), |to| PathBuf::from(to.trim()));
        let graph = Graph::read_with(&list.roots, &StoreDir::open(&store).unwrap(), Missing::Refuse).unwrap();
        let mut oracles: Vec<PathBuf> =
            std::fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().path()).collect();
        oracles.sort();
        for file in oracles {
            let name = file.file_name().unwrap().to_str().unwrap();
            let Some(attr) = name.strip_prefix("rebuilt-").and_then(|rest| rest.strip_suffix(".txt")) else { continue };
            let text = std::fs::read_to_string(&file).unwrap();
            let real: BTreeSet<String> = text.lines().map(str::to_owned).collect();
            let Ok(prediction) = graph.predict(attr) else {
                writeln!(table, "{attr}\tnot in the graph").unwrap();
                continue;
            };
            let rebuild = paths(&graph, prediction.rebuild.iter().copied());
            let possible = paths(&graph, prediction.possible.iter().map(|possible| possible.node));
            let missed = real.iter().filter(|path| !rebuild.contains(*path) && !possible.contains(*path)).count();
            let range = prediction.range;
            writeln!(
                table,
                "{attr}\treal {}\trange {} {}\trebuild {}\tfalse {}\tlisted {}\tunlisted {}\tmissed {missed}",
                real.len(),
                range.low,
                range.high,
                rebuild.len(),
                rebuild.difference(&real).count(),
                possible.len(),
                prediction.unlisted,
            )
            .unwrap();
            let holds = range.low <= real.len()
                && real.len() <= range.high
                && missed <= prediction.unlisted
                && prediction.unlisted <= range.high - range.low;
            if !holds {
                wrong.push(attr.to_owned());
            }
        }
    }
    eprintln!("{table}");
    assert!(wrong.is_empty(), "{wrong:?}");
}
