//! Times the graph room alone: `graph build ROOTS STORE OUT`, `graph open FILE`.
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a tool for measuring")]

use std::path::Path;
use std::time::Instant;

use overlayctl::graph::{Graph, RootList, StoreDir};

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
        ["open", file] => {
            let graph = Graph::open(Path::new(file)).unwrap();
            println!("{} {} {}", graph.len(), graph.edges(), graph.fixed_outputs());
            println!("open {:?}", start.elapsed());
        }
        _ => println!("usage: graph build ROOTS STORE OUT | open FILE"),
    }
}
