//! Attributes that are another name of something: whoever changes one of the names may leave the others as they are.
//!
//! `openssl` may be `openssl_1_0_2` by another name, `python3` be `python37`. In the graph all names are one derivation,
//! and it does not say by which of them a package was taken. An overlay on the exact name changes them all; an overlay on
//! another name changes only what takes it by that. Must not read `.drv` files.

use fixedbitset::FixedBitSet;

use super::Graph;
use super::image::NodeId;

/// What is known about an attribute that is another name of something.
#[derive(Debug)]
pub(super) enum Alias {
    /// Of a package: nearly everything takes it by the short name.
    Plain,
    /// Of a package that much takes by another name.
    Shared,
    /// Not of the package that others take: these take what a set of its own holds (`llvmPackages_7.llvm`), or what
    /// another attribute has; all but what is outside the scope, if there is one.
    Enclosed(Option<Scope>),
    /// Of an interpreter with a package set of its own, which can be told from the rest if there is a scope.
    Interpreter(Option<Scope>),
}

/// The digits of a version without what separates them.
fn digits(text: &str) -> String {
    text.chars().filter(char::is_ascii_digit).collect()
}

/// A name with one kind of dash.
fn normal(text: &str) -> String {
    text.replace(['_', '+', '.'], "-")
}

/// Says what kind of alias an attribute is; `None` when it is the exact name, or the only one.
pub(super) fn of(graph: &Graph, attr: &str, id: NodeId) -> Option<Alias> {
    let node = graph.node(id);
    let last = attr.rsplit('.').next().unwrap_or(attr);
    let others: Vec<&str> = graph
        .roots()
        .filter(|root| root.node == id)
        .filter_map(|root| root.attr)
        .filter(|name| *name != attr)
        .collect();
    let interpreter = SELF_REFERENT.into_iter().find(|interpreter| {
        [last, node.pname()].iter().all(|text| {
            let rest = text.strip_prefix(interpreter);
            rest.is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_digit() || byte == b'_'))
        })
    });
    if let Some(interpreter) = interpreter {
        let version: Vec<&str> = node.version().split('.').take(2).collect();
        let scope = || Scope { interpreter, version: version.join(".") };
        // `python37`, `python311` and `lua5_2` give major and minor version: they are the exact name.
        if version.len() < 2 || digits(last) == version.concat() {
            return (interpreter == ENCLOSED_INTERPRETER).then(|| Alias::Enclosed(Some(scope())));
        }
        return Some(Alias::Interpreter((others.len() <= 1).then(scope)));
    }
    let package = last.trim_end_matches(|byte: char| byte.is_ascii_digit() || byte == '_');
    if ENCLOSED.contains(&package) {
        return Some(Alias::Enclosed(None));
    }
    if SHARED.contains(&package) {
        return Some(Alias::Shared);
    }
    let version = digits(node.version());
    let exactness = |name: &str| -> (usize, bool) {
        let digits = digits(name.strip_prefix(node.pname()).unwrap_or(name));
        let counted = if version.starts_with(&digits) { digits.len() } else { 0 };
        (counted, normal(name) == normal(node.pname()))
    };
    let own = exactness(last);
    // Of names that say as much as this one, any may be the one that is meant; the package's own name is.
    let better = |name: &&str| if own.1 { exactness(name) > own } else { exactness(name) >= own };
    others.iter().any(better).then_some(Alias::Plain)
}

/// Returns what needs one of some derivations directly and is none of them.
pub(super) fn users(graph: &Graph, roots: &[NodeId]) -> Vec<NodeId> {
    let mut users: Vec<NodeId> = roots.iter().flat_map(|root| graph.dependents(*root)).copied().collect();
    users.sort_unstable();
    users.dedup();
    users.retain(|id| !roots.contains(id));
    users
}

/// Of a rebuild set larger than [`FEW`] at most this part is taken out for a name: else it stands and falls with the name.
const SHARE: usize = 10;
/// So many are few enough to be listed one by one as possible.
const FEW: usize = 200;
/// What so few need besides is near the end of its chain.
const NEAR_THE_END: usize = 3;

/// Takes out of `reached` what is there only because it needs a root directly, and is needed by few; returns that. Of a
/// small set it is all but the roots.
pub(super) fn directly_only(
    graph: &Graph,
    roots: &[NodeId],
    nodes: &[NodeId],
    reached: &mut FixedBitSet,
) -> Vec<NodeId> {
    if nodes.len() <= FEW {
        let apart: Vec<NodeId> = nodes.iter().copied().filter(|id| !roots.contains(id)).collect();
        for id in &apart {
            reached.set(*id as usize, false);
        }
        return apart;
    }
    let mut apart: Vec<NodeId> = Vec::new();
    let mut taken_out: Vec<NodeId> = Vec::new();
    for user in users(graph, roots) {
        let only = reached.contains(user as usize)
            && graph.inputs(user).iter().all(|input| roots.contains(input) || !reached.contains(*input as usize));
        if !only {
            continue;
        }
        // What needs it and nothing else of the set: walked only as far as matters.
        let mut alone = vec![user];
        let mut next = 0;
        while let Some(id) = alone.get(next).copied() {
            next += 1;
            let dependents = graph.dependents(id).iter().filter(|id| reached.contains(**id as usize));
            alone.extend(dependents.copied().collect::<Vec<_>>());
            if alone.len() > NEAR_THE_END {
                break;
            }
        }
        let closed = alone.len() <= NEAR_THE_END
            && alone.iter().skip(1).all(|id| {
                let inputs = graph.inputs(*id).iter().filter(|input| reached.contains(**input as usize));
                inputs.copied().all(|input| alone.contains(&input) || roots.contains(&input))
            });
        if closed {
            apart.push(user);
            taken_out.extend(alone);
        }
    }
    taken_out.sort_unstable();
    taken_out.dedup();
    if taken_out.len() * SHARE > nodes.len() {
        return Vec::new();
    }
    for id in taken_out {
        reached.set(id as usize, false);
    }
    apart
}

/// The package set of an interpreter, where that is tied to the interpreter itself and not to the attribute changed.
///
/// `python3` is `python37` by another name. Whoever changes `python3` leaves `python37` and its package set as they are:
/// everything that is made with that set keeps the old interpreter. In the graph both are one derivation, so members of
/// the set are told by their names (`python3.7-six-1.12.0`) and by needing one.
#[derive(Debug)]
pub(super) struct Scope {
    /// `python3.7`, and other first parts of names that members have.
    interpreter: &'static str,
    version: String,
}

/// The interpreters whose package sets refer to the interpreter by itself (`self`), in nixpkgs since 19.03 at least.
const SELF_REFERENT: [&str; 2] = ["python", ENCLOSED_INTERPRETER];
/// Of these the one whose package set does not even see a change of the exact name: in `lua-5/default.nix` the interpreters
/// refer to each other, not to the package set.
const ENCLOSED_INTERPRETER: &str = "lua";
/// Packages whose attributes only show what a set of their own holds, and others take it from there (`llvmPackages_7`).
const ENCLOSED: [&str; 8] = ["llvm", "clang", "clang-unwrapped", "libclang", "lld", "lldb", "libcxx", "libcxxabi"];
/// Packages that some take by their attribute and some from a set of their own (`rustPlatform.rust`) or by another name:
/// `go_1_26`, `isl_0_20`, `linuxPackages.kernel`, `xkeyboard-config`, `mesa_noglu`.
const SHARED: [&str; 9] = ["rustc", "cargo", "clippy", "rustfmt", "go", "isl", "linux", "xkeyboard_config", "mesa"];

impl Scope {
    /// Says whether a derivation that needs the interpreter is made with its package set.
    pub(super) fn holds(&self, graph: &Graph, id: NodeId) -> bool {
        let name = graph.node(id).name();
        self.is_member(name)
            || name == "hook"
            || name.ends_with("-hook")
            || graph.inputs(id).iter().any(|input| self.is_library(graph.node(*input).name()))
    }

    /// Says whether the name starts with `python3.7-`.
    fn is_library(&self, name: &str) -> bool {
        name.strip_prefix(self.interpreter)
            .and_then(|rest| rest.strip_prefix(self.version.as_str()))
            .is_some_and(|rest| rest.starts_with('-'))
    }

    /// Says whether the first part of the name is the interpreter's, with or without digits: libraries, environments.
    fn is_member(&self, name: &str) -> bool {
        let first = name.split('-').next().unwrap_or(name);
        let digits = first.strip_prefix(self.interpreter);
        digits.is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.'))
    }
}
