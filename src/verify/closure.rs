//! The fourth level: nothing that the target needs, to run or to be built, is the unpatched package.

use std::collections::{BTreeSet, HashMap, VecDeque};

use crate::base::text::plural;
use crate::nix::Nix;
use crate::verify::Case;
use crate::verify::Error;
use crate::verify::derivation::Members;
use crate::verify::family::Family;
use crate::verify::finding::{Answer, Cause};

pub(super) fn judge(case: &Case<'_, '_>, members: &Members, family: &Family) -> Result<Answer, Error> {
    if members.is_empty() {
        return Ok(Answer::not_applicable("the target does not need the package"));
    }
    let attr = &case.package.attr;
    let after = case.delta.after();
    if let Some(id) = members.unpatched.first() {
        let chain = case.needs.chain(*id).join(" -> ");
        let drv_path = after.node(*id).drv_path();
        return Ok(Answer::failed(
            Cause::UnpatchedInClosure,
            format!("the build still uses an unpatched {attr}: {chain}"),
        )
        .evidence(members.unpatched.iter().map(|id| case.needs.chain(*id).join(" -> ")))
        .command(format!("nix why-depends --derivation {} {drv_path}", case.compared.after)));
    }
    let outputs = case.built_outputs();
    if outputs.is_empty() {
        return Ok(Answer::not_built("the target"));
    }
    let unpatched = unpatched_outputs(case, members, family);
    let runtime = case.nix.requisites(&outputs)?;
    let command = format!("nix-store --query --requisites {}", outputs.join(" "));
    let leaks: Vec<&String> = runtime.iter().filter(|path| unpatched.contains(path.as_str())).collect();
    if let Some(leak) = leaks.first() {
        let chain = reference_chain(case.nix, &runtime, &outputs, leak)?;
        return Ok(Answer::failed(
            Cause::UnpatchedInClosure,
            format!("the target still refers to an unpatched {attr}: {}", chain.join(" -> ")),
        )
        .evidence(leaks.iter().map(|path| format!("unpatched: {path}")))
        .command(format!("nix why-depends {} {leak}", outputs[0])));
    }
    let none = if unpatched.is_empty() { "no unpatched one is known" } else { "none is an unpatched one" };
    Ok(Answer::ok(format!("{} to run, {none}", plural(runtime.len(), "store path")))
        .evidence(unpatched.iter().map(|path| format!("not in it: {path}")))
        .command(command))
}

/// Returns the outputs of the package as it is without the patch.
fn unpatched_outputs(case: &Case<'_, '_>, members: &Members, family: &Family) -> BTreeSet<String> {
    let (before, after) = (case.delta.before(), case.delta.after());
    let patched: BTreeSet<&str> = members
        .patched
        .iter()
        .chain(&members.exempt)
        .flat_map(|id| after.node(*id).outputs().map(|(_, p)| p))
        .collect();
    let scoped = case.package.scoped();
    before
        .ids()
        .filter(|id| !before.node(*id).fixed_output() && family.has(before, *id))
        .filter(|id| !scoped || case.names_board(before.node(*id).name()))
        .flat_map(|id| before.node(id).outputs().map(|(_, path)| path))
        .filter(|path| !path.is_empty() && !patched.contains(path))
        .map(str::to_string)
        .collect()
}

/// Returns a shortest chain of references from `leak` to one of `outputs`: names, the leak first.
pub(crate) fn reference_chain(
    nix: &Nix,
    closure: &BTreeSet<String>,
    outputs: &[String],
    leak: &str,
) -> Result<Vec<String>, Error> {
    let paths: Vec<&String> = closure.iter().collect();
    let references = nix.references(&paths)?;
    let mut towards: HashMap<&str, &str> = HashMap::new();
    let mut queue: VecDeque<&str> = outputs.iter().map(String::as_str).collect();
    let mut seen: BTreeSet<&str> = queue.iter().copied().collect();
    while let Some(path) = queue.pop_front() {
        for reference in references.get(path).into_iter().flatten() {
            if seen.insert(reference) {
                towards.insert(reference, path);
                queue.push_back(reference);
            }
        }
    }
    let name = |path: &str| crate::base::store_path::name(path).to_string();
    let mut chain = vec![name(leak)];
    let mut at = leak;
    while let Some(next) = towards.get(at) {
        chain.push(name(next));
        at = next;
    }
    Ok(chain)
}
