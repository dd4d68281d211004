//! Times the graph room alone: `build ROOTS STORE OUT`, `generate COUNT OUT`, `open FILE`,
//! `predict FILE ATTR`, `diff BEFORE AFTER`; `register FILE` prints what
//! `nix-store --register-validity` wants, so that stock Nix can be timed on the same store.
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a tool for measuring")]

#[path = "../benches/generated/mod.rs"]
mod generated;

use std::io::Write as _;
use std::path::Path;
use std::time::Instant;

use overlayctl::graph::{Delta, Graph, RootList, StoreDir};

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let start = Instant::now();
    match args[..] {
        ["build", roots, store, out] => {
            let list = RootList::parse(&std::fs::read_to_string(roots).unwrap()).unwrap();
            let parsed = start.elapsed();
            let store = StoreDir::open(Path::new(store)).unwrap();
            let graph = Graph::read(&list.roots, &store).unwrap();
            let read = start.elapsed();
            graph.write(Path::new(out), "").unwrap();
            println!("{} {} {}", graph.len(), graph.edges(), graph.fixed_outputs());
            println!("roots {parsed:?}, read {read:?}, written {:?}", start.elapsed());
        }
        ["diff", before, after] => {
            let before = Graph::open(Path::new(before)).unwrap();
            let after = Graph::open(Path::new(after)).unwrap();
            let opened = start.elapsed();
            let delta = Delta::between(&before, &after);
            println!("{:?} opened {opened:?}, compared {:?}", delta.counts(), start.elapsed());
            let causes: Vec<_> = delta.rebuilt().iter().filter(|id| delta.is_root_cause(**id)).collect();
            println!("{} root causes", causes.len());
            for id in causes.into_iter().take(20) {
                println!("  {} {:?}", after.node(*id).name(), delta.counterpart(*id).map(|id| before.node(id).name()));
            }
            println!("{} attributes", delta.attributes().len());
            println!(
                "{} fixed only, {} fetched, {} replaced",
                delta.fixed_output_only().len(),
                delta.fetched().len(),
                delta.replaced().len()
            );
            let chain = delta.longest_chain().unwrap();
            println!("{}", chain.iter().map(|id| after.node(*id).name()).collect::<Vec<_>>().join(" -> "));
            let target = after.attribute("ripgrep").unwrap();
            for chain in [delta.critical_chain(target).unwrap(), delta.shortest_chain(target).unwrap()] {
                println!("{}", chain.iter().map(|id| after.node(*id).name()).collect::<Vec<_>>().join(" -> "));
            }
            println!("{} chains", delta.count_chains(target));
            let cover = after.cover(delta.rebuilt());
            println!("cover {} uncovered {}", cover.attributes.len(), cover.uncovered.len());
            println!("{:?}", start.elapsed());
        }
        ["register", file] => {
            let graph = Graph::open(Path::new(file)).unwrap();
            let mut out = std::io::BufWriter::new(std::io::stdout().lock());
            for id in graph.ids() {
                let inputs = graph.inputs(id);
                writeln!(out, "{}\n\n{}", graph.node(id).drv_path(), inputs.len()).unwrap();
                for input in inputs {
                    writeln!(out, "{}", graph.node(*input).drv_path()).unwrap();
                }
            }
        }
        ["predict", file, attr] => {
            let graph = Graph::open_unproved(Path::new(file)).unwrap();
            let opened = start.elapsed();
            let prediction = graph.predict(attr).unwrap();
            let taken = start.elapsed();
            println!(
                "{attr}: {} roots, {} rebuild, {} possible, {} unlisted, opened {opened:?}, {taken:?}",
                prediction.roots.len(),
                prediction.rebuild.len(),
                prediction.possible.len(),
                prediction.unlisted
            );
            graph.prove().unwrap();
            println!("proved {:?}", start.elapsed());
            if let Ok(dir) = std::env::var("OUT") {
                let list = |ids: &mut dyn Iterator<Item = u32>| -> String {
                    ids.map(|id| format!("{}\n", graph.node(id).drv_path())).collect()
                };
                std::fs::write(format!("{dir}/{attr}.rebuild"), list(&mut prediction.rebuild.iter().copied())).unwrap();
                std::fs::write(format!("{dir}/{attr}.possible"), list(&mut prediction.possible.iter().map(|p| p.node)))
                    .unwrap();
            }
        }
        ["replaced", before, after] => {
            let before = Graph::open(Path::new(before)).unwrap();
            let after = Graph::open(Path::new(after)).unwrap();
            for id in Delta::between(&before, &after).replaced() {
                println!("{}", before.node(*id).drv_path());
            }
        }
        ["generate", count, out] => {
            let (graph, attr) = generated::generated(count.parse().unwrap());
            println!("generated {:?}", start.elapsed());
            graph.write(Path::new(out), "").unwrap();
            println!("{} {} {attr}, written {:?}", graph.len(), graph.edges(), start.elapsed());
        }
        ["open", file] => {
            let graph = Graph::open(Path::new(file)).unwrap();
            println!("{} {} {}", graph.len(), graph.edges(), graph.fixed_outputs());
            println!("open {:?}", start.elapsed());
        }
        _ => println!("usage: graph build ROOTS STORE OUT | open FILE"),
    }
}
