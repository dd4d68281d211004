//! Progress on standard error: drawn in place on a terminal, plain lines with a heartbeat elsewhere.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use serde::Serialize;

use crate::base::progress::{Picture, Progress, Running, Step, machine};
use crate::base::text::{duration, shorten};
use crate::base::visible;

/// How often something is said on no terminal while nothing happens.
const HEARTBEAT: Duration = Duration::from_secs(30);
/// A stage shorter than this is not shown at all on a terminal.
const PATIENCE: Duration = Duration::from_millis(250);
/// How many running builds are drawn.
const MOST_ROWS: usize = 8;

/// Draws in place.
pub(super) struct Live {
    all: MultiProgress,
    stage: ProgressBar,
    chain: ProgressBar,
    rows: Vec<ProgressBar>,
}

impl Live {
    pub(super) fn new() -> Live {
        let all = MultiProgress::new();
        let stage = all.add(ProgressBar::new_spinner());
        stage.set_style(style("{spinner} {wide_msg}"));
        let chain = all.add(ProgressBar::new_spinner());
        chain.set_style(style("  {wide_msg}"));
        Live { all, stage, chain, rows: Vec::new() }
    }

    fn draw(&mut self, now: &Picture) {
        let width = width();
        self.stage.set_message(head(now));
        self.stage.tick();
        self.chain.set_message(fit_chain(&now.chain, width.saturating_sub(2)));
        self.chain.tick();
        let shown = now.running.len().min(MOST_ROWS);
        while self.rows.len() > shown {
            if let Some(row) = self.rows.pop() {
                row.finish_and_clear();
                self.all.remove(&row);
            }
        }
        while self.rows.len() < shown {
            let row = self.all.add(ProgressBar::new_spinner());
            row.set_style(style("  {wide_msg}"));
            self.rows.push(row);
        }
        for (row, running) in self.rows.iter().zip(&now.running) {
            row.set_message(visible::line(&describe(running, width / 2)).into_owned());
            row.tick();
        }
    }

    fn say(&self, line: &str) {
        let _ = self.all.println(visible::line(line));
    }
}

impl Progress for Live {
    fn stage(&mut self, what: &str) {
        self.stage.set_message(visible::line(what).into_owned());
        self.stage.enable_steady_tick(PATIENCE);
    }

    fn step(&mut self, step: &Step, now: &Picture) {
        self.stage.disable_steady_tick();
        // On a terminal the rows show what begins; what ended stays above them.
        if !matches!(step, Step::Began { .. }) {
            self.say(&line(step));
        }
        self.draw(now);
    }

    fn tick(&mut self, now: &Picture) {
        self.draw(now);
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        for row in &self.rows {
            row.finish_and_clear();
        }
        self.chain.finish_and_clear();
        self.stage.finish_and_clear();
        let _ = self.all.clear();
    }
}

/// Prints lines.
pub(super) struct Plain {
    last: Instant,
}

impl Plain {
    pub(super) fn new() -> Plain {
        Plain { last: Instant::now() }
    }

    fn say(&mut self, line: &str) {
        self.last = Instant::now();
        let mut err = anstream::stderr().lock();
        let _ = writeln!(err, "{}", visible::line(line));
    }
}

impl Progress for Plain {
    fn stage(&mut self, what: &str) {
        self.say(what);
    }

    fn step(&mut self, step: &Step, now: &Picture) {
        match now.total.max(now.built) {
            0 => self.say(&line(step)),
            total => self.say(&format!("[{}/{total}] {}", now.built, line(step))),
        }
    }

    fn tick(&mut self, now: &Picture) {
        if self.last.elapsed() >= HEARTBEAT {
            let running: Vec<String> = now.running.iter().map(|r| describe(r, usize::MAX)).collect();
            self.say(&format!(
                "[{}/{}] {} so far: {}",
                now.built,
                now.total,
                duration(now.elapsed),
                running.join("; ")
            ));
        }
    }
}

/// Prints each step as a line of JSON on standard output.
pub(super) struct Events;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct EventLine<'a> {
    schema: &'static str,
    #[serde(flatten)]
    step: &'a Step,
    built: usize,
    total: usize,
    failed: usize,
    elapsed_seconds: f64,
}

impl Progress for Events {
    fn stage(&mut self, _what: &str) {}

    fn step(&mut self, step: &Step, now: &Picture) {
        let line = EventLine {
            schema: "overlayctl.build-event/1",
            step,
            built: now.built,
            total: now.total,
            failed: now.failed,
            elapsed_seconds: now.elapsed.as_secs_f64(),
        };
        if let Ok(text) = serde_json::to_string(&line) {
            // Whoever reads may have enough; the outcome is still to be reached.
            let _ = std::io::stdout().lock().write_all(format!("{}\n", visible::json(&text)).as_bytes());
        }
    }

    fn tick(&mut self, _now: &Picture) {}
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner())
}

fn line(step: &Step) -> String {
    match step {
        Step::Began { name, host: None, .. } => format!("building {name}"),
        Step::Began { name, host: Some(host), .. } => format!("building {name} on {}", machine(host)),
        Step::Built { name, took, .. } => format!("built {name} in {}", duration(*took)),
        Step::Failed { name, reason, .. } => format!("failed {name}: {reason}"),
        Step::Blocked { name, .. } => format!("blocked {name}"),
        Step::Fetched { name, from } => format!("fetched {name} from {from}"),
        Step::Said { text } => text.clone(),
    }
}

/// Returns how wide the terminal is, in columns.
fn width() -> usize {
    let size = rustix::termios::tcgetwinsize(std::io::stderr()).map_or(0, |size| usize::from(size.ws_col));
    if size == 0 { 80 } else { size }
}

/// Returns the line above all: how far it is, and how long.
fn head(now: &Picture) -> String {
    let mut head = format!("{} of {} built", now.built, now.total);
    for (count, words) in [(now.failed, "failed"), (now.waiting, "to come")] {
        if count > 0 {
            head.push_str(&format!(", {count} {words}"));
        }
    }
    head.push_str(&format!("   {}", duration(now.elapsed)));
    match now.expected {
        Some(expected) if now.elapsed <= expected => head.push_str(&format!(" of about {}", duration(expected))),
        Some(expected) => head.push_str(&format!(", earlier builds took {}", duration(expected))),
        None => {}
    }
    head
}

/// Returns the chain in one line of at most `width` columns: where it stands and the target always, of the rest what fits.
fn fit_chain(chain: &[(String, bool)], width: usize) -> String {
    // Made visible first: the width is that of what is shown.
    let chain: Vec<_> = chain.iter().map(|(name, done)| (visible::line(name), *done)).collect();
    let Some(last) = chain.len().checked_sub(1) else { return String::new() };
    let at = chain.iter().position(|(_, done)| !done).unwrap_or(last);
    let render = |shown: &BTreeSet<usize>, longest: usize| {
        let mut parts = Vec::new();
        let mut next = 0;
        for index in shown {
            if *index > next {
                parts.push("…".to_string());
            }
            next = index + 1;
            if let Some((name, done)) = chain.get(*index) {
                parts.push(format!("{}{}", if *done { "✓" } else { "" }, shorten(name, longest)));
            }
        }
        parts.join(" → ")
    };
    let mut shown = BTreeSet::from([at, last]);
    let longest = (width / 3).max(8);
    // What comes next tells more than what was.
    let nearest = (1..=chain.len()).flat_map(|far| [Some(at + far), at.checked_sub(far)]).flatten();
    for index in nearest.filter(|index| *index < last) {
        let mut more = shown.clone();
        more.insert(index);
        if render(&more, longest).chars().count() > width {
            break;
        }
        shown = more;
    }
    render(&shown, longest)
}

fn describe(running: &Running, longest: usize) -> String {
    let mut text = shorten(&running.name, longest);
    if let Some(host) = &running.host {
        text.push_str(&format!(" on {}", machine(host)));
    }
    text.push_str(&format!("  {}", duration(running.elapsed)));
    if let Some(phase) = &running.phase {
        text.push_str(&format!("  {phase}"));
    }
    if let Some(last) = &running.last_line {
        text.push_str(&format!("  {last}"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_is_cut_to_the_width_around_where_it_stands() {
        let names = ["libc", "binutils", "gcc", "gcc-wrapper", "stdenv", "rustc", "vendor", "program"];
        let chain = |done: usize| -> Vec<(String, bool)> {
            names.iter().enumerate().map(|(i, name)| (name.to_string(), i < done)).collect()
        };
        assert_eq!(fit_chain(&chain(2), 200).matches('→').count(), 7);
        assert_eq!(fit_chain(&chain(3), 60), "… → ✓gcc → gcc-wrapper → stdenv → rustc → … → program");
        assert_eq!(fit_chain(&chain(8), 31), "… → ✓rustc → ✓vendor → ✓program");
        assert_eq!(fit_chain(&[], 30), "");
        let long: Vec<(String, bool)> = (0..5).map(|i| ("x".repeat(90) + &i.to_string(), i < 2)).collect();
        for width in 50..200 {
            assert!(fit_chain(&long, width).chars().count() <= width, "{width}: {}", fit_chain(&long, width));
        }
    }

    #[test]
    fn long_names_lose_their_middle() {
        assert_eq!(shorten("musl-1.2.3", 20), "musl-1.2.3");
        assert_eq!(shorten("gcc-unwrapped-aarch64-unknown-linux-musl-13.2", 20), "gcc-unwrapped…l-13.2");
    }

    #[test]
    fn steps_are_one_line() {
        let step = Step::Built {
            drv_path: "/nix/store/x.drv".into(),
            name: "musl-1.2.3".into(),
            took: Duration::from_millis(17_500),
        };
        assert_eq!(line(&step), "built musl-1.2.3 in 17.5 s");
    }
}
