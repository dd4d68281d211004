//! The data set that the graph tests run on, unpacked once for all test programs.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr, reason = "tests fail loudly")]
#![allow(dead_code, reason = "each test program uses its part")]

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use overlayctl::graph::{Graph, RootList, StoreDir};

/// Returns the directory with the compressed data, where it is.
fn shared() -> Option<PathBuf> {
    let shared = std::env::var_os("OVERLAYCTL_SHARED")
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared")), PathBuf::from);
    let dir = shared.join("data/nixpkgs-19.09-aarch64-musl");
    dir.is_dir().then_some(dir)
}

/// The unpacked data set: a chroot store's root, beside it the lists.
pub struct Data {
    pub root: PathBuf,
    compressed: PathBuf,
}

/// Returns the data set; says why and returns `None` when it is absent.
pub fn data() -> Option<&'static Data> {
    static DATA: OnceLock<Option<Data>> = OnceLock::new();
    DATA.get_or_init(|| {
        let Some(compressed) = shared() else {
            eprintln!("skipped: the shared data set is not there (OVERLAYCTL_SHARED)");
            return None;
        };
        let base = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let root = base.join("graph-data");
        // Other test programs may want it at the same time: the first to hold the lock unpacks.
        let lock = File::create(base.join("graph-data.lock")).unwrap();
        rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive).unwrap();
        if !root.is_dir() {
            let staging = base.join("graph-data.new");
            let _ = fs::remove_dir_all(&staging);
            let mut archive = tar::Archive::new(decoder(&compressed.join("drvs.tar.zst")));
            archive.set_preserve_permissions(false);
            archive.set_preserve_mtime(false);
            archive.unpack(&staging).unwrap();
            fs::rename(&staging, &root).unwrap();
        }
        Some(Data { root, compressed })
    })
    .as_ref()
}

fn decoder(path: &Path) -> impl Read + use<> {
    let mut decoder = zstd::Decoder::new(File::open(path).unwrap()).unwrap();
    decoder.window_log_max(27).unwrap();
    decoder
}

impl Data {
    /// Returns a list of the data set, unpacked.
    pub fn text(&self, name: &str) -> String {
        let mut text = String::new();
        decoder(&self.compressed.join(format!("{name}.zst"))).read_to_string(&mut text).unwrap();
        text
    }

    pub fn store(&self) -> StoreDir {
        StoreDir::open(&self.root).unwrap()
    }

    pub fn graph(&self, list: &str) -> Graph {
        let list = RootList::parse(&self.text(list)).unwrap();
        Graph::read(&list.roots, &self.store()).unwrap()
    }

    /// Returns the paths of all `.drv` files, sorted.
    pub fn files(&self) -> Vec<PathBuf> {
        let mut files: Vec<PathBuf> =
            fs::read_dir(self.root.join("nix/store")).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files
    }
}

/// Returns the unpatched graph of the data set, read once per test program.
pub fn before() -> Option<&'static Graph> {
    static GRAPH: OnceLock<Option<Graph>> = OnceLock::new();
    GRAPH.get_or_init(|| Some(data()?.graph("before.tsv"))).as_ref()
}

/// Returns the graph with musl patched, read once per test program.
pub fn after_musl() -> Option<&'static Graph> {
    static GRAPH: OnceLock<Option<Graph>> = OnceLock::new();
    GRAPH.get_or_init(|| Some(data()?.graph("after-musl.tsv"))).as_ref()
}
