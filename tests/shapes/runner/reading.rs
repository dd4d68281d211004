//! The commands that read: each has to say what Nix says.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::Value;

use super::Report;
use super::expect::{Expect, Patch};
use super::oracle;
use super::scene::Scene;

/// A patch by attribute and file.
type Named = BTreeSet<(String, String)>;

/// Asks Nix whether the expectation is right, then compares every reading command with it.
pub fn check(scene: &Scene, expect: &Expect, report: &mut Report) {
    against_nix(scene, expect, report);
    list(scene, expect, report);
    offline(scene, expect, report);
    status(scene, expect, report);
    boards(scene, expect, report);
    for ask in &expect.ask {
        reach(scene, expect, ask, report);
        alone(scene, expect, ask, report);
    }
}

fn file_name(path: &str) -> String {
    path.rsplit('/').next().unwrap_or(path).to_owned()
}

/// The sets of every patch are those in which Nix finds it.
fn against_nix(scene: &Scene, expect: &Expect, report: &mut Report) {
    let attrs = expect.patch.iter().filter(|p| !p.broken).map(|p| p.attr().to_owned()).collect();
    let seen = match oracle::seen(scene, expect, &attrs) {
        Ok(seen) => seen,
        Err(error) => return report.fail("nix: does not evaluate", "nix-instantiate", "the sets", error),
    };
    let names = |patch: &Patch| BTreeSet::from([file_name(&patch.path)]);
    for patch in &expect.patch {
        let content = std::fs::read(scene.real(&patch.path)).unwrap_or_default();
        let mut found = BTreeSet::new();
        for (set, of) in &seen {
            if of.get(patch.attr()).and_then(Option::as_ref).is_some_and(|patches| patches.contains(&content)) {
                found.insert(set.clone());
            }
        }
        for (name, nix) in &expect.derivations {
            match oracle::in_closures(scene, expect, std::slice::from_ref(nix), &names(patch)) {
                Ok(in_it) if !in_it.is_empty() => drop(found.insert(name.clone())),
                Ok(_) => {}
                Err(error) => report.fail("nix: does not evaluate", name, "a derivation", error),
            }
        }
        let said: BTreeSet<String> = patch.sets.iter().cloned().collect();
        report.same("nix: another set", &format!("{} {}", patch.attr(), patch.path), &said, &found);
    }
}

fn texts(value: &Value) -> BTreeSet<String> {
    value.as_array().into_iter().flatten().filter_map(|v| v.as_str().map(str::to_owned)).collect()
}

fn each(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// The patches that an answer with `packages` names, with what it says of each.
fn patches<'a>(scene: &Scene, expect: &Expect, answer: &'a Value) -> BTreeMap<(String, String), Vec<&'a Value>> {
    let mut found: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for package in each(&answer["packages"]) {
        for patch in each(&package["patches"]) {
            let attr = first_name(expect, package["attr"].as_str().unwrap_or_default());
            let path = patch["path"].as_str().map(|path| scene.real(path).display().to_string());
            let element = patch["element"].as_str().unwrap_or("?").to_owned();
            found.entry((attr, path.unwrap_or(element))).or_default().push(patch);
        }
    }
    found
}

/// Returns the name of a package that Nix was asked for; another one when the shape takes that as well.
fn first_name(expect: &Expect, attr: &str) -> String {
    expect.patch.iter().find(|p| p.attr.has(attr)).map_or(attr, Patch::attr).to_owned()
}

fn first_names(expect: &Expect, attrs: &Value) -> BTreeSet<String> {
    texts(attrs).iter().map(|attr| first_name(expect, attr)).collect()
}

/// The patches that the shape has, by their real files.
fn wanted(scene: &Scene, expect: &Expect) -> Named {
    expect.patch.iter().map(|p| key(scene, p)).collect()
}

fn key(scene: &Scene, patch: &Patch) -> (String, String) {
    (patch.attr().to_owned(), scene.real(&patch.path).display().to_string())
}

fn list(scene: &Scene, expect: &Expect, report: &mut Report) {
    let Some(answer) = report.json(scene, &["list", "--json"], &[0]) else { return };
    let found = patches(scene, expect, &answer);
    report.same("list: patches", "list", &wanted(scene, expect), &found.keys().cloned().collect());
    let is_may = |set: &String| expect.sets_may.contains(set);
    for patch in &expect.patch {
        let Some(said) = found.get(&(patch.attr().to_owned(), scene.real(&patch.path).display().to_string())) else {
            continue;
        };
        // Bound in several places, it stands there several times; together they have to say the truth.
        let what = format!("list, {} {}", patch.attr(), patch.path);
        let effects: BTreeSet<String> =
            said.iter().map(|p| p["inEffect"].as_str().unwrap_or("nothing").to_owned()).collect();
        let effect = if effects.contains("yes") { "yes" } else { effects.first().map_or("nothing", String::as_str) };
        if !patch.in_effect.has(effect) {
            report.fail("list: inEffect", &what, &patch.in_effect, effect);
        }
        let sets: BTreeSet<String> = said.iter().flat_map(|p| texts(&p["sets"])).filter(|s| !is_may(s)).collect();
        report.same("list: sets", &what, &patch.sets.iter().filter(|s| !is_may(s)).cloned().collect(), &sets);
        if let Some(stages) = &patch.stages {
            let got = said.iter().find_map(|p| p["stages"].as_str()).unwrap_or("nothing");
            if got != stages {
                report.fail("list: stages", &what, stages, got);
            }
        }
        let why: String = said.iter().filter_map(|p| p["why"].as_str()).collect();
        if matches!(effect, "no" | "unknown") && why.is_empty() {
            report.fail("list: why", &what, "a reason", "none");
        }
        if let Some(words) = &patch.why
            && !words.all().iter().any(|word| why.to_lowercase().contains(&word.to_lowercase()))
        {
            report.fail("list: why", &what, words, why);
        }
        if let Some(overlay) = &patch.overlay {
            let of = |p: &&Value| p["overlay"].as_str().map(|o| o.split(':').next().unwrap_or(o).to_owned());
            let files: BTreeSet<String> = said.iter().filter_map(of).collect();
            if !files.iter().any(|file| scene.real(file) == scene.real(overlay)) {
                report.fail("list: overlay", &what, overlay, format!("{files:?}"));
            }
        }
    }
    report.same("list: unused", "list", &expect.unused.iter().cloned().collect(), &texts(&answer["unused"]));
    if answer["asked"] != true {
        report.fail("list: asked", "list", "asked: true", format!("asked: {}", answer["asked"]));
    }
}

/// Without Nix the answer comes from text, and says so.
fn offline(scene: &Scene, _expect: &Expect, report: &mut Report) {
    let Some(answer) = report.json(scene, &["list", "--json", "--offline"], &[0]) else { return };
    if answer["asked"] != false || each(&answer["warnings"]).next().is_none() {
        let got = format!("asked: {}, warnings: {}", answer["asked"], answer["warnings"]);
        report.fail("list: offline", "list --offline", "asked: false and a warning", got);
    }
}

fn status(scene: &Scene, expect: &Expect, report: &mut Report) {
    let Some(answer) = report.json(scene, &["status", "--json", "--offline"], &[0, 1]) else { return };
    // A file that nothing names may be shown too, as what it is.
    let is_unused = |((_, path), said): &(&(String, String), &Vec<&Value>)| {
        expect.unused.iter().any(|unused| scene.real(unused) == Path::new(path))
            && said.iter().all(|p| p["inEffect"] == "no")
    };
    let found = patches(scene, expect, &answer);
    let named = found.iter().filter(|one| !is_unused(one)).map(|(key, _)| key.clone()).collect();
    // What has a place in an overlay, or lies in a queue, is seen without Nix; the rest by asking.
    let is_seen = |p: &&Patch| p.overlay.is_some() || p.path.starts_with(&format!("patches/{}/", p.attr()));
    let seen: Named = expect.patch.iter().filter(is_seen).map(|p| key(scene, p)).collect();
    let named: Named = named;
    let wanted = wanted(scene, expect);
    report.same(
        "status: patches",
        "status --offline",
        &seen,
        &named.iter().filter(|one| seen.contains(one) || !wanted.contains(one)).cloned().collect(),
    );
    let Some(answer) = report.json(scene, &["status", "--json"], &[0, 1]) else { return };
    let found = patches(scene, expect, &answer);
    let named = found.iter().filter(|one| !is_unused(one)).map(|(key, _)| key.clone()).collect();
    report.same("status: patches", "status", &wanted, &named);
    for patch in &expect.patch {
        let key = (patch.attr().to_owned(), scene.real(&patch.path).display().to_string());
        let Some(said) = found.get(&key) else { continue };
        let effect = said.iter().find_map(|p| p["inEffect"].as_str()).unwrap_or("nothing");
        if !patch.in_effect.has(effect) {
            report.fail("status: inEffect", format!("status, {} {}", key.0, patch.path), &patch.in_effect, effect);
        }
    }
}

fn boards(scene: &Scene, expect: &Expect, report: &mut Report) {
    let Some(answer) = report.json(scene, &["boards", "--json"], &[0, 1]) else { return };
    let all = expect.patch.iter().map(|p| p.attr().to_owned()).collect();
    report.same("boards: patched", "boards", &all, &first_names(expect, &answer["patched"]));
    for board in each(&answer["boards"]) {
        let set = format!("boards.{}", board["name"].as_str().unwrap_or_default());
        let on_it = expect.patch.iter().filter(|p| p.sets.contains(&set)).map(|p| p.attr().to_owned()).collect();
        report.same(
            "boards: patched on the board",
            &format!("boards, {set}"),
            &on_it,
            &first_names(expect, &board["patched"]),
        );
    }
}

/// What `impact ATTR` says of each package that the shape patches: all that has one of its patches, and all that needs that.
fn alone(scene: &Scene, expect: &Expect, ask: &super::expect::Ask, report: &mut Report) {
    let attrs: BTreeSet<&str> = expect.patch.iter().filter(|p| !p.broken).map(Patch::attr).collect();
    for attr in attrs {
        let own: BTreeSet<String> =
            expect.patch.iter().filter(|p| p.attr() == attr).map(|p| file_name(&p.path)).collect();
        let others: BTreeSet<String> =
            expect.patch.iter().filter(|p| p.attr() != attr).map(|p| file_name(&p.path)).collect();
        let mut line: Vec<&str> = vec!["impact", attr, "--json"];
        line.extend(ask.args.iter().map(String::as_str));
        line.extend(ask.targets.iter().flat_map(|target| ["--target", target]));
        let Some(answer) = report.json(scene, &line, &[0]) else { continue };
        // A file that another package has too is told by the package, unless it is said that all is counted.
        let says_all =
            each(&answer["warnings"]).any(|warning| warning["code"] == "OV1170" || warning["code"] == "OV1173");
        let package = format!("-{}-", attr.rsplit('.').next().unwrap_or(attr));
        let is_its = |name: &str, drv: &str| says_all || !others.contains(name) || drv.contains(&package);
        let any = |_: &str, _: &str| true;
        let mut wanted = oracle::rebuilt_by(scene, expect, &ask.nix, &own, &is_its);
        // Another name of a package, which the derivation does not have.
        if wanted.as_ref().is_ok_and(BTreeSet::is_empty) {
            wanted = oracle::rebuilt_by(scene, expect, &ask.nix, &own, &any);
        }
        let found = each(&answer["rebuild"]).filter_map(|one| one["drvPath"].as_str().map(str::to_owned)).collect();
        match wanted {
            Ok(wanted) => report.same("impact ATTR: rebuilt", &line.join(" "), &wanted, &found),
            Err(error) => report.fail("nix: does not evaluate", "nix-store", "the closures", error),
        }
    }
}

/// What `impact` and `verify` say of targets.
fn reach(scene: &Scene, expect: &Expect, ask: &super::expect::Ask, report: &mut Report) {
    let names: BTreeSet<String> = expect.patch.iter().map(|p| file_name(&p.path)).collect();
    let in_them = match oracle::in_closures(scene, expect, &ask.nix, &names) {
        Ok(found) => found,
        Err(error) => return report.fail("nix: does not evaluate", "nix-instantiate", "the targets", error),
    };
    let reached: BTreeSet<String> = in_them.iter().map(|(name, _)| name.clone()).collect();
    let said = ask.reached.iter().map(|path| file_name(path)).collect();
    report.same("nix: another reach", &ask.nix.join(" "), &said, &reached);
    let unreached: Named = expect
        .patch
        .iter()
        .filter(|p| !reached.contains(&file_name(&p.path)))
        .map(|p| (p.attr().to_owned(), file_name(&p.path)))
        .collect();
    let unreached_of = |answer: &Value| -> Named {
        let of = |one: &Value| {
            let patch = one["patch"].as_str().unwrap_or_default();
            (first_name(expect, one["attr"].as_str().unwrap_or_default()), file_name(patch))
        };
        // A file that nothing names may be told too, as what it is.
        let is_unused = |(_, name): &(String, String)| expect.unused.iter().any(|unused| file_name(unused) == *name);
        each(&answer["unreached"]).map(of).filter(|one| !is_unused(one)).collect()
    };

    let mut line: Vec<&str> = vec!["impact", "--json"];
    line.extend(ask.args.iter().map(String::as_str));
    line.extend(ask.targets.iter().flat_map(|target| ["--target", target]));
    if let Some(answer) = report.json(scene, &line, &[0]) {
        let what = line.join(" ");
        report.same("impact: unreached", &what, &unreached, &unreached_of(&answer));
        for one in each(&answer["unreached"]).filter(|one| one["reason"].as_str().is_none_or(str::is_empty)) {
            report.fail("impact: reason", &what, "a reason", one);
        }
        // Where a patch is in a derivation, that is a cause; and no other derivation has one.
        let causes = each(&answer["rebuild"]).filter_map(|one| one["drvPath"].as_str());
        let found: BTreeSet<(String, String)> = causes
            .flat_map(|drv| oracle::named(Path::new(drv), &names).into_iter().map(|name| (name, drv.to_owned())))
            .collect();
        report.same("impact: causes", &what, &in_them, &found);
    }

    let mut line: Vec<&str> = vec!["verify", "--json", "--no-build"];
    line.extend(ask.args.iter().map(String::as_str));
    line.extend(ask.targets.iter().map(String::as_str));
    if let Some(answer) = report.json(scene, &line, &[0, 1]) {
        let what = line.join(" ");
        report.same("verify: unreached", &what, &unreached, &unreached_of(&answer));
        let mut found = BTreeSet::new();
        for package in each(&answer["packages"]) {
            found.extend(each(&package["patches"]).filter_map(|p| p["name"].as_str().map(file_name)));
        }
        if !found.is_superset(&reached) || !found.is_subset(&names) {
            report.fail("verify: packages", &what, format!("{reached:?} and more of {names:?}"), format!("{found:?}"));
        }
        let failed = |f: &&Value| f["level"] == "derivation" && f["verdict"] == "failed";
        for patch in expect.patch.iter().filter(|p| p.link && reached.contains(&file_name(&p.path))) {
            if !each(&answer["findings"])
                .any(|f| failed(&f) && patch.attr.has(f["package"].as_str().unwrap_or_default()))
            {
                report.fail("verify: link", &what, "failed: the store has a link that leads nowhere", patch.attr());
            }
        }
        // A patch that is in the targets is not said to be missing. That another file of the queue is named by nothing is no such word.
        let is_unused = |f: &&Value| {
            let why = f["why"].as_str().unwrap_or_default();
            expect.unused.iter().any(|unused| why.starts_with(&format!("{} is in the queue", file_name(unused))))
        };
        for finding in each(&answer["findings"]).filter(failed).filter(|f| !is_unused(f)) {
            let package = finding["package"].as_str().unwrap_or_default();
            let all_reach = |p: &&Patch| reached.contains(&file_name(&p.path)) && !p.link;
            if expect.patch.iter().filter(|p| p.attr.has(package)).all(|p| all_reach(&p)) {
                report.fail("verify: derivation", &what, "ok", format!("{package}: {}", finding["why"]));
            }
        }
    }
}
