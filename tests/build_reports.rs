//! What `build` says: the plan, each failure with its cause, reports as files, events, the limits, a second build that
//! differs.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "a test says what it expects"
)]

mod farm_support;

use std::collections::BTreeSet;
use std::fs;

use farm_support::{BAD_PATCH, CHAIN, Scene, Set};
use serde_json::Value;

fn names(list: &Value) -> Vec<&str> {
    list.as_array().unwrap_or_else(|| panic!("{list}")).iter().map(|v| v["name"].as_str().unwrap()).collect()
}

#[test]
fn the_plan_has_order_path_and_unknown_times_and_learns_them() {
    let Some(scene) = Scene::new(&Set { seconds: "0.1", ..Set::default() }) else { return };
    let (status, plan) = scene.json(&["build", "program", "-n"]);
    assert_eq!((status, &plan["dryRun"]), (0, &Value::Bool(true)));
    let all: Vec<String> = CHAIN.iter().map(|name| format!("{name}-1.0")).collect();
    assert_eq!(names(&plan["plan"]["build"]), all);
    assert_eq!(plan["plan"]["criticalPath"].as_array().unwrap().len(), 8);
    assert_eq!((&plan["plan"]["expectedSeconds"], &plan["plan"]["unknownTimes"]), (&Value::Null, &8.into()));
    let text = String::from_utf8(scene.run(&["build", "program", "-n"]).stdout).unwrap();
    assert!(text.contains("8 builds, 0 to fetch, 0 of the rebuild set there already; expected time: unknown (8 never built here before)"), "{text}");
    // A plan proves nothing: every case of its report is skipped.
    let planned = scene.run(&["build", "program", "-n", "--report", "junit", "plan.xml"]);
    assert!(planned.status.success());
    let xml = fs::read_to_string(scene.root.join("plan.xml")).unwrap();
    let document = roxmltree::Document::parse(&xml).unwrap();
    let cases: Vec<_> = document.descendants().filter(|node| node.has_tag_name("testcase")).collect();
    assert_eq!((cases.len(), document.root_element().attribute("skipped")), (9, Some("9")), "{xml}");
    assert!(cases.iter().all(|case| case.first_element_child().is_some_and(|child| child.has_tag_name("skipped"))));
    assert_eq!(scene.begun(), 0);
    assert!(scene.run(&["build", "program"]).status.success());
    // Other derivations of the same packages: now it is known how long they take.
    fs::write(scene.root.join("fix.patch"), farm_support::PATCH.replace("and a half", "and two halves")).unwrap();
    let (_, plan) = scene.json(&["build", "program", "-n"]);
    let time = plan["plan"]["expectedSeconds"].as_f64().unwrap();
    // How long a build takes is known from when its lines came; on a busy machine they come late, and some together.
    assert!(time > 0.0, "{time}");
    assert_eq!((&plan["plan"]["unknownTimes"], &plan["plan"]["there"]), (&0.into(), &0.into()));
}

#[test]
fn every_failure_is_told_with_chain_phase_log_and_what_it_blocks() {
    let Some(scene) = Scene::new(&Set::default()) else { return };
    let args = [
        "build",
        "firmware",
        "fine",
        "--keep-going",
        "--report",
        "json",
        "out/build.json",
        "--report",
        "junit",
        "build.xml",
    ];
    let output = scene.run(&args);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    for (name, status, words) in [("bad-one", 3, "no rule to make"), ("bad-two", 4, "undefined reference")] {
        assert!(
            text.contains(&format!("failed {name}-1.0 in buildPhase: its builder ended with status {status}")),
            "{text}"
        );
        assert!(text.contains(&format!("chain   {name}-1.0 -> needs-both-1.0 -> firmware-1.0")), "{text}");
        assert!(text.contains(&format!("  | {words}")), "{text}");
    }
    assert!(!text.contains("@nix"), "{text}");
    assert!(text.contains("blocks  needs-both-1.0, firmware-1.0"), "{text}");
    assert!(text.contains("built fine") && text.contains("not built firmware"), "{text}");
    // The command for the whole log works as it is.
    let command = text.lines().find_map(|l| l.trim().strip_prefix("whole log  ")).unwrap();
    let mut words = command.split(' ');
    assert_eq!(words.next(), Some("nix-store"));
    assert!(scene.root.join("result-fine").is_symlink() && !scene.root.join("result-firmware").is_symlink());

    let report: Value = serde_json::from_slice(&fs::read(scene.root.join("out/build.json")).unwrap()).unwrap();
    assert_eq!(report["schema"], "overlayctl.build/1");
    let failed: BTreeSet<&str> = names(&report["failures"]).into_iter().collect();
    assert_eq!(failed, BTreeSet::from(["bad-one-1.0", "bad-two-1.0"]));
    let xml = fs::read_to_string(scene.root.join("build.xml")).unwrap();
    assert!(xml.contains("tests=\"8\" failures=\"2\" errors=\"1\" skipped=\"2\""), "{xml}");
    assert!(xml.contains("<testcase classname=\"derivation\" name=\"needs-both-1.0\" time=\"0.000\"><skipped message=\"something that it needs failed\"/>"), "{xml}");
    assert!(xml.contains("chain: bad-one-1.0 -&gt; needs-both-1.0 -&gt; firmware-1.0"), "{xml}");
    let unknown = scene.run(&["build", "fine", "--report", "html", "x"]);
    assert_eq!(unknown.status.code(), Some(2));
}

#[test]
fn a_patch_that_does_not_apply_is_named_with_file_and_hunk() {
    let Some(scene) = Scene::new(&Set { patch: BAD_PATCH, ..Set::default() }) else { return };
    let (status, outcome) = scene.json(&["build", "program"]);
    assert_eq!(status, 1, "{outcome}");
    let failure = &outcome["failures"][0];
    assert_eq!((&failure["name"], &failure["phase"]), (&"libc-1.0".into(), &"patchPhase".into()), "{outcome}");
    assert_eq!(failure["patch"]["patch"], "fix.patch");
    assert_eq!((&failure["patch"]["file"], &failure["patch"]["hunk"]), (&"text".into(), &2.into()));
    assert_eq!(failure["chain"].as_array().unwrap().len(), 8);
    let blocked: Vec<&str> = failure["blocked"].as_array().unwrap().iter().map(|b| b.as_str().unwrap()).collect();
    assert_eq!(
        blocked,
        ["binutils-1.0", "gcc-1.0", "gcc-wrapper-1.0", "stdenv-1.0", "rustc-1.0", "vendor-1.0", "program-1.0"]
    );
    let text = String::from_utf8(scene.run(&["build", "program"]).stdout).unwrap();
    assert!(text.contains("the patch fix.patch, file text, hunk 2: Hunk #2 FAILED at 5"), "{text}");
}

#[test]
fn under_json_each_step_is_a_line_and_the_last_line_the_outcome() {
    let Some(scene) = Scene::new(&Set::default()) else { return };
    let output = scene.run(&["build", "program", "--json"]);
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<Value> = text.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    let (last, events) = lines.split_last().unwrap();
    assert_eq!(last["schema"], "overlayctl.build/1");
    assert!(events.iter().all(|e| e["schema"] == "overlayctl.build-event/1"), "{text}");
    let of = |kind: &str| {
        events.iter().filter(|e| e["event"] == kind).map(|e| e["name"].as_str().unwrap()).collect::<Vec<_>>()
    };
    let all: Vec<String> = CHAIN.iter().map(|name| format!("{name}-1.0")).collect();
    assert_eq!(
        (of("began"), of("built")),
        (all.iter().map(String::as_str).collect(), all.iter().map(String::as_str).collect())
    );
    assert!(events.iter().all(|e| e["drvPath"].as_str().is_none_or(|d| d.starts_with("/nix/store/"))));
}

#[test]
fn a_build_that_takes_too_long_or_is_silent_too_long_is_ended_and_says_which() {
    let Some(scene) = Scene::new(&Set::default()) else { return };
    for (target, option) in [("chatty", "--timeout"), ("hangs", "--max-silent-time")] {
        let (status, outcome) = scene.json(&["build", target, option, "2"]);
        assert_eq!(status, 1, "{outcome}");
        let failure = &outcome["failures"][0];
        assert_eq!(failure["name"], format!("{target}-1.0"), "{outcome}");
        let reason = failure["reason"].as_str().unwrap();
        assert!(reason.contains("timed out after 2 seconds"), "{reason}");
        // Nix 2.34 does not say which of the two it was.
        assert!(target == "hangs" || !reason.contains("silence"), "{reason}");
    }
}

#[test]
fn a_second_build_that_differs_is_named() {
    let Some(scene) = Scene::new(&Set::default()) else { return };
    assert!(scene.run(&["build", "random", "fine"]).status.success());
    let (status, same) = scene.json(&["build", "fine", "--rebuild"]);
    assert_eq!(status, 0, "{same}");
    let (status, outcome) = scene.json(&["build", "random", "--check"]);
    assert_eq!(status, 1, "{outcome}");
    assert_eq!(outcome["failures"][0]["name"], "random-1.0", "{outcome}");
    assert_eq!(outcome["failures"][0]["reason"], "a second build gave another result");
}

#[test]
fn results_are_copied_to_another_store() {
    let Some(scene) = Scene::new(&Set::default()) else { return };
    let store = scene.dir.path().join("cache");
    let output = scene.run(&["build", "fine", "--copy-to", &format!("file://{}", store.display())]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let infos =
        fs::read_dir(&store).unwrap().flatten().filter(|e| e.path().extension().is_some_and(|e| e == "narinfo"));
    assert_eq!(infos.count(), 1);
    let nowhere = scene.run(&["build", "fine", "--copy-to", "file:///proc/none"]);
    assert_eq!(nowhere.status.code(), Some(2));
    assert!(
        String::from_utf8_lossy(&nowhere.stderr).contains("/proc/none"),
        "{}",
        String::from_utf8_lossy(&nowhere.stderr)
    );
}
