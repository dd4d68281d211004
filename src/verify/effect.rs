//! What the patches change of a package: its outputs, built without and with them, file by file.
//!
//! A patch of which nothing reaches an output is in nothing that runs, whatever the log says.

use std::collections::{BTreeMap, BTreeSet};

use super::Case;
use super::finding::Answer;
use super::outputs::{self, Difference, Outputs, beyond, hash_part};
use super::traces::unexplained;
use super::variant::{Change, Replacement, Variant, differ_in_patches_only};
use crate::base::store_path;
use crate::graph::NodeId;
use crate::nix::{BuildRequest, BuildSettings, Goal};
use crate::verify::Error;

/// What the patches change.
#[derive(Debug, Clone, Default)]
pub(super) struct Effect {
    pub(super) differences: Vec<Difference>,
    /// The package without its patches: the derivation, and its outputs.
    pub(super) plain: Option<Variant>,
    /// The patches, by name, that change nothing.
    pub(super) without_effect: Vec<String>,
    pub(super) compared: usize,
    /// That the package does not build without its patches, so that there is nothing to compare with.
    pub(super) fails: Option<Answer>,
}

/// Why there is no variant.
enum NotMade {
    Fails(Answer),
    Other(Answer),
}

impl From<NotMade> for Answer {
    fn from(why: NotMade) -> Answer {
        match why {
            NotMade::Fails(answer) | NotMade::Other(answer) => answer,
        }
    }
}

/// Compares a patched derivation with what it is without the patches; an answer where that cannot be done.
pub(super) fn of(case: &mut Case<'_, '_>, id: NodeId) -> Result<Result<Effect, Answer>, Error> {
    let node = case.delta.after().node(id);
    let name = node.name();
    let outputs: Vec<(String, String)> = node.outputs().map(|(n, p)| (n.to_string(), p.to_string())).collect();
    let paths: Vec<&str> = outputs.iter().map(|(_, path)| path.as_str()).collect();
    let valid = case.nix.valid(&paths)?;
    let outputs: Vec<(String, String)> = outputs.into_iter().filter(|(_, path)| valid.contains(path)).collect();
    if outputs.is_empty() {
        return Ok(Err(Answer::unknown(format!("the patched {name} is not in the store any more"))
            .hint("`overlayctl build` with the package itself as target builds it again")));
    }
    let own = case.own_patches(id);
    let plain = match plain(case, id, &own)? {
        Ok(plain) => plain,
        Err(NotMade::Fails(answer)) => return Ok(Ok(Effect { fails: Some(answer), ..Effect::default() })),
        Err(NotMade::Other(answer)) => return Ok(Err(answer)),
    };
    let (mut differences, compared) = outputs::differences(case.nix, &plain.outputs, &outputs, &[]);
    let effect = |differences, without_effect| Effect {
        differences,
        plain: Some(plain.clone()),
        without_effect,
        compared,
        fails: None,
    };
    let names = |paths: &[String]| paths.iter().map(|p| store_path::name(p).to_string()).collect::<Vec<_>>();
    if differences.is_empty() && own.is_empty() {
        let why = format!("which patches of {name} are the workspace's could not be told, and nothing of it differs");
        return Ok(Err(Answer::unknown(why)));
    }
    if differences.is_empty() {
        return Ok(Ok(effect(differences, names(&own))));
    }
    // A patch file that is installed is there because it is named, not because it was applied.
    differences.retain(|d| !own.iter().filter_map(|path| hash_part(path)).any(|hash| d.file.contains(hash)));
    if differences.is_empty() {
        return Ok(Ok(effect(differences, names(&own))));
    }
    let unexplained = unexplained(case.nix, &own, &differences);
    if unexplained.is_empty() {
        return Ok(Ok(effect(differences, Vec::new())));
    }
    // What differs between two builds of the same, and what differs for a patch that says nothing, is no effect of a patch. Not every
    // patchPhase takes such a one.
    let nothing = Change { emptied: own.clone(), ..Change::default() };
    let what = "with patches that change nothing";
    let control = match variant(case, id, case.delta.after().node(id).drv_path(), what, &nothing)? {
        Ok(control) => Ok(control),
        Err(_) => {
            let again = Change { set: [("overlayctlAgain", "1".to_string())].into(), ..Change::default() };
            variant(case, id, &plain.drv_path, "once more without its patches", &again)?
        }
    };
    let noise = match control {
        Ok(control) => outputs::differences(case.nix, &plain.outputs, &control.outputs, &[]).0,
        Err(answer) => return Ok(Err(answer)),
    };
    let noise: BTreeMap<String, Difference> = noise.into_iter().map(|d| (d.file.clone(), d)).collect();
    let mut blurred = None;
    differences.retain(|d| match noise.get(&d.file).map(|noise| beyond(d, noise)) {
        Some(None) => {
            blurred.get_or_insert(d.file.clone());
            false
        }
        Some(Some(more)) => more,
        None => true,
    });
    if let Some(file) = blurred.filter(|_| differences.is_empty()) {
        let why =
            format!("{name} was not compared with itself without its patches: {file} is another one in every build");
        return Ok(Err(Answer::unknown(why).hint("show by --run --expect what the program does")));
    }
    if own.len() == 1 || differences.is_empty() {
        let idle = if differences.is_empty() { names(&own) } else { Vec::new() };
        return Ok(Ok(effect(differences, idle)));
    }
    // Several patches: those of which no trace was found are compared alone, each with all before it.
    let mut without_effect = Vec::new();
    for path in unexplained {
        let at = own.iter().position(|p| *p == path).unwrap_or_default();
        let before = series(case, id, &own, at, &plain, &outputs)?;
        let with = series(case, id, &own, at + 1, &plain, &outputs)?;
        let (before, with) = match (before, with) {
            (Ok(before), Ok(with)) => (before, with),
            (Err(answer), _) | (_, Err(answer)) => return Ok(Err(answer)),
        };
        if outputs::differences(case.nix, &before, &with, &[]).0.iter().all(|d| noise.contains_key(&d.file)) {
            without_effect.push(store_path::name(&path).to_string());
        }
    }
    Ok(Ok(effect(differences, without_effect)))
}

/// Compares `user`, which is built of what the patched derivation `id` makes, with what it is where that is without its patches.
pub(super) fn of_user(
    case: &mut Case<'_, '_>,
    user: NodeId,
    id: NodeId,
    plain: Variant,
) -> Result<Result<Effect, Answer>, Error> {
    let after = case.delta.after();
    let paths = pairs(&plain, after.node(id).outputs());
    let what = format!("of {} without its patches", after.node(id).name());
    let input = Replacement { drv_path: after.node(id).drv_path().to_string(), by: plain, paths: paths.clone() };
    let change = Change { input: Some(input), ..Change::default() };
    let drv_path = after.node(user).drv_path();
    let variant = match variant(case, user, drv_path, &what, &change)? {
        Ok(variant) => variant,
        Err(answer) => return Ok(Err(answer)),
    };
    let outputs: Vec<(String, String)> =
        after.node(user).outputs().map(|(n, p)| (n.to_string(), p.to_string())).collect();
    let (differences, compared) = outputs::differences(case.nix, &variant.outputs, &outputs, &paths);
    let idle = if differences.is_empty() { case.own_patches(id) } else { Vec::new() };
    let without_effect = idle.iter().map(|path| store_path::name(path).to_string()).collect();
    Ok(Ok(Effect { differences, plain: Some(variant), without_effect, compared, fails: None }))
}

/// Pairs the outputs of a derivation with those of what stands for it.
fn pairs<'n>(plain: &Variant, outputs: impl Iterator<Item = (&'n str, &'n str)>) -> Vec<(String, String)> {
    outputs
        .filter_map(|(name, path)| {
            let (_, other) = plain.outputs.iter().find(|(n, _)| n == name)?;
            Some((path.to_string(), other.clone()))
        })
        .collect()
}

/// Returns the outputs of a package with the first `count` of its patches.
fn series(
    case: &mut Case<'_, '_>,
    id: NodeId,
    own: &[String],
    count: usize,
    plain: &Variant,
    all: &Outputs,
) -> Result<Result<Vec<(String, String)>, Answer>, Error> {
    if count == 0 {
        return Ok(Ok(plain.outputs.clone()));
    }
    if count >= own.len() {
        return Ok(Ok(all.to_vec()));
    }
    let without = own.get(count..).unwrap_or_default().to_vec();
    let what = format!("with the first {count} of its {} patches", own.len());
    let drv_path = case.delta.after().node(id).drv_path();
    let made = variant(case, id, drv_path, &what, &Change { without, ..Change::default() })?;
    Ok(made.map(|variant| variant.outputs))
}

/// Returns the package without its patches: as it is without the overlays where nothing else differs, else a variant of it.
fn plain(case: &mut Case<'_, '_>, id: NodeId, own: &[String]) -> Result<Result<Variant, NotMade>, Error> {
    let (before, after) = (case.delta.before(), case.delta.after());
    if let Some(old) = case.delta.counterpart(id) {
        let made = |graph: &crate::graph::Graph, id: NodeId| -> BTreeSet<String> {
            let inputs = graph.inputs(id).iter();
            inputs.flat_map(|i| graph.node(*i).outputs().map(|(_, p)| p.to_string()).collect::<Vec<_>>()).collect()
        };
        // Its patches may be derivations of their own: fetched ones.
        let new: BTreeSet<String> = made(after, id).into_iter().filter(|path| !own.contains(path)).collect();
        let drv_path = before.node(old).drv_path();
        if made(before, old) == new && differ_in_patches_only(case.nix, drv_path, after.node(id).drv_path(), own) {
            let node = before.node(old);
            let outputs: Vec<(String, String)> = node.outputs().map(|(n, p)| (n.to_string(), p.to_string())).collect();
            let variant = Variant { drv_path: node.drv_path().to_string(), outputs };
            return built(case, id, variant, "without its patches");
        }
    }
    let without = Change { without: own.to_vec(), ..Change::default() };
    match case.maker.make(case.nix, after.node(id).drv_path(), &without)? {
        Ok(variant) => built(case, id, variant, "without its patches"),
        Err(answer) => Ok(Err(NotMade::Other(answer))),
    }
}

/// Makes a variant of the derivation at `drv_path`, which `id` or its unpatched self is, and builds it, it alone.
pub(super) fn variant(
    case: &mut Case<'_, '_>,
    id: NodeId,
    drv_path: &str,
    what: &str,
    change: &Change,
) -> Result<Result<Variant, Answer>, Error> {
    match case.maker.make(case.nix, drv_path, change)? {
        Ok(variant) => Ok(built(case, id, variant, what)?.map_err(Answer::from)),
        Err(answer) => Ok(Err(answer)),
    }
}

/// Builds a derivation when it is not there, and nothing else; said first, and not past the limit.
fn built(case: &mut Case<'_, '_>, id: NodeId, variant: Variant, what: &str) -> Result<Result<Variant, NotMade>, Error> {
    let paths: Vec<&str> = variant.outputs.iter().map(|(_, path)| path.as_str()).collect();
    if case.nix.valid(&paths)?.len() == paths.len() {
        return Ok(Ok(variant));
    }
    let node = case.delta.after().node(id);
    let name = node.name();
    let by_hand = format!("nix-store --realise {}", variant.drv_path);
    let not_compared = |why: String| Answer::unknown(format!("{name} was not compared with {name} {what}: {why}"));
    let other = |answer: Answer| Ok(Err(NotMade::Other(answer)));
    if !case.may_build {
        let answer = not_compared("it is not in the store".into());
        return other(answer.hint("leave --no-build out, and it is built for that").command(by_hand));
    }
    let goal = Goal { drv_path: variant.drv_path.clone(), outputs: Vec::new(), link: None };
    let limit = case.compare_limit;
    let settings = BuildSettings { timeout: Some(limit.as_secs().max(1)), ..BuildSettings::default() };
    let request = BuildRequest { goals: vec![goal], settings };
    let plan = case.nix.plan_build(&request)?;
    if let Some(first) = plan.will_build.iter().find(|drv| **drv != variant.drv_path) {
        let why = format!("{} is not in the store and would be built for it first", store_path::name(first));
        return other(not_compared(why).hint("build that, and verify again").command(by_hand));
    }
    let expected = (case.expected)(node.pname(), name, node.system());
    let human = crate::base::text::duration;
    let longer = format!("raise --compare-limit (it is {})", human(limit));
    if let Some(expected) = expected.filter(|expected| *expected > limit) {
        let why = format!("building that takes about {}", human(expected));
        return other(not_compared(why).hint(longer).command(by_hand));
    }
    if !plan.will_build.is_empty() {
        let time =
            expected.map_or("no earlier build says how long that takes".into(), |e| format!("about {}", human(e)));
        case.progress.stage(&format!("building {name} {what}, to compare with: {time}"));
    }
    let report = case.nix.build(&request, &mut |_, _| {})?;
    match report.check() {
        Ok(()) => Ok(Ok(variant)),
        Err(error @ crate::nix::Error::Interrupted) => Err(error.into()),
        Err(_) if report.elapsed >= limit => {
            other(not_compared(format!("its build was stopped after {}", human(limit))).hint(longer).command(by_hand))
        }
        Err(error) => Ok(Err(NotMade::Fails(not_compared(format!("that does not build: {error}")).command(by_hand)))),
    }
}
