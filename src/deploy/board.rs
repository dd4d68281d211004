//! What a board says of itself, and whether a target fits on it.

use std::collections::BTreeSet;

use super::error::Error;
use super::gate::Closure;
use super::record::Record;
use crate::base::store_path::{STORE_DIR, split};
use crate::cross::{Elf, Platform};

/// What was found on a board.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// What `uname -m` says.
    pub machine: String,
    /// The first bytes of its shell: the processor and ABI of its own programs.
    shell: Vec<u8>,
    /// Programs that are needed and not there.
    missing: Vec<String>,
    /// What it can unpack.
    pub(super) unpack: BTreeSet<String>,
    pub has_nix: bool,
    /// Those of the interpreters asked about that are there.
    interpreters: BTreeSet<String>,
    /// Free KiB where things go.
    free: Option<u64>,
    /// The device that holds the store's place, as df names it.
    store_on: String,
    /// Who holds the lock.
    lock: Option<String>,
    /// The generation that waits to be confirmed.
    pub pending: Option<u32>,
    /// The store paths that are there, by name.
    pub paths: BTreeSet<String>,
    /// The generations that were confirmed.
    pub generations: BTreeSet<u32>,
    /// All numbers that are taken.
    taken: BTreeSet<u32>,
    pub current: Option<u32>,
    pub record: Option<Record>,
}

impl Found {
    /// Reads what the script `probe` prints. Lines that it does not know are passed over.
    pub(super) fn read(address: &str, text: &str) -> Result<Found, Error> {
        let mut found = Found::default();
        let garbage = |what: &str| Error::Garbage { address: address.to_string(), what: what.to_string() };
        for line in text.lines() {
            let (key, value) = line.split_once(' ').unwrap_or((line, ""));
            let number = || value.parse::<u32>().ok();
            match key {
                "machine" => found.machine = value.to_string(),
                "shell" => {
                    let head = data_encoding::HEXLOWER.decode(value.as_bytes());
                    found.shell = head.map_err(|_| garbage("the beginning of a shell"))?;
                }
                "missing" => found.missing.push(value.to_string()),
                "unpack" => drop(found.unpack.insert(value.to_string())),
                "nix" => found.has_nix = true,
                "interpreter" => drop(found.interpreters.insert(value.to_string())),
                // Filesystem, blocks, used, available.
                "space" => found.free = value.split_whitespace().nth(3).and_then(|field| field.parse().ok()),
                "store" => found.store_on = value.split_whitespace().next().unwrap_or_default().to_string(),
                "lock" => found.lock = Some(value.to_string()),
                "pending" => found.pending = Some(number().ok_or_else(|| garbage("a pending generation"))?),
                "path" if split(&format!("{STORE_DIR}/{value}")).is_some() => {
                    found.paths.insert(value.to_string());
                }
                "generation" => found.generations.extend(number()),
                "taken" => found.taken.extend(number()),
                "current" => found.current = Some(number().ok_or_else(|| garbage("a link to no generation"))?),
                "record" => {
                    found.record = Some(Record::read(value).ok_or_else(|| garbage("a record that cannot be read"))?);
                }
                _ => {}
            }
        }
        if found.machine.is_empty() {
            return Err(garbage("it does not say what machine it is"));
        }
        Ok(found)
    }

    /// Returns the number of the next generation.
    pub(super) fn next(&self) -> u32 {
        self.taken.last().copied().unwrap_or(0).max(self.current.unwrap_or(0)).saturating_add(1)
    }

    /// Returns the store paths of a generation that it does not have.
    pub fn lacks(&self, record: &Record) -> Vec<String> {
        let all: BTreeSet<&String> = record.placed.iter().flat_map(|placed| &placed.paths).collect();
        all.into_iter().filter(|path| !self.paths.contains(*path)).cloned().collect()
    }

    /// Says whether nobody else is at work on it.
    ///
    /// # Errors
    /// [`Error::Busy`].
    pub fn free(&self, address: &str) -> Result<(), Error> {
        match &self.lock {
            Some(who) => Err(Error::Busy { address: address.to_string(), who: format!("process {who}") }),
            None => Ok(()),
        }
    }

    /// The gate on the board's side: says whether targets of a platform can run on it.
    ///
    /// # Errors
    /// [`Error::Unfit`], [`Error::Gate`] for an interpreter that it does not have.
    pub fn check(&self, address: &str, platform: &Platform, closures: &[Closure]) -> Result<(), Error> {
        let unfit = |why: String, hint: Option<&str>| {
            Err(Error::Unfit { address: address.to_string(), why, hint: hint.map(str::to_string) })
        };
        if !self.missing.is_empty() {
            return unfit(format!("it has no {}", self.missing.join(", ")), Some("busybox has them all"));
        }
        if !fits(platform, &self.machine, &self.shell) {
            return unfit(
                format!("it is `{}` (uname -m), and the board of the workspace is {}", self.machine, platform.cpu.name),
                Some("is it the device that you mean?"),
            );
        }
        let linked = closures.iter().find(|closure| closure.needs_store());
        if let Some(closure) = linked.filter(|_| self.has_nix) {
            return unfit(
                format!("{} names paths of /nix/store, and that is Nix' own on it", closure.target),
                Some(
                    "devices with Nix are not supported yet; a static target that names no store path can be deployed",
                ),
            );
        }
        let in_memory = ["rootfs", "tmpfs", "ramfs", "none", "overlay"].contains(&self.store_on.as_str());
        if let Some(closure) = linked.filter(|_| in_memory) {
            return unfit(
                format!(
                    "{} names paths of /nix/store, and what is put there ({}) is lost at the next boot",
                    closure.target, self.store_on
                ),
                Some("let /nix be a mount of, or a link to, a disk at boot; or deploy a static target"),
            );
        }
        for closure in closures {
            for (interpreter, path) in &closure.outside {
                if !self.interpreters.contains(interpreter) {
                    return Err(closure.refuse(
                        path,
                        format!("its interpreter {interpreter} is neither in the closure nor on the board"),
                    ));
                }
            }
        }
        let needed = self.needed(closures);
        match self.free {
            Some(free) if free < needed => unfit(
                format!("{needed} KiB are needed, and {free} KiB are free"),
                Some("a smaller `keep` leaves fewer old generations"),
            ),
            Some(_) => Ok(()),
            None => unfit("it does not say how much space it has (df -kP)".into(), None),
        }
    }

    /// Returns how many KiB the paths take that are not on it, with what file systems need beside and 1 MiB to spare.
    fn needed(&self, closures: &[Closure]) -> u64 {
        let mut seen = BTreeSet::new();
        let missing = closures.iter().flat_map(|closure| &closure.sizes);
        let missing = missing.filter(|(path, _)| !self.paths.contains(*path) && seen.insert((*path).clone()));
        missing.map(|(_, size)| size / 1024).sum::<u64>() + 1024
    }
}

/// Says whether a machine runs programs of a platform: by the name that its kernel gives it, or because its own programs are of that
/// kind (a 64-bit kernel with a 32-bit system).
fn fits(platform: &Platform, machine: &str, shell: &[u8]) -> bool {
    let cpu = platform.cpu;
    let own = Elf::read(&[shell, &[0; 64]].concat()).ok().flatten();
    let order = own.as_ref().is_none_or(|own| platform.endianness().is_none_or(|order| own.endianness == order));
    let of_kind = match crate::cross::expected(platform) {
        crate::cross::Expected::Elf(wanted) => own.as_ref().is_some_and(|own| {
            wanted.class == own.class
                && wanted.endianness == own.endianness
                && wanted.machines.contains(&own.machine.number)
        }),
        crate::cross::Expected::Format(_) => false,
    };
    // `armv7l`, `armv6l`, `armv5tel`: a newer one runs what was compiled for an older one.
    let arm = machine.strip_prefix("armv").and_then(|rest| rest.get(..1)?.parse::<u8>().ok());
    let by_name = match (cpu.family, cpu.bits) {
        ("arm", 64) => matches!(machine, "aarch64" | "aarch64_be" | "arm64"),
        ("arm", 32) => arm.is_some_and(|version| cpu.arm_version.is_none_or(|needed| version >= needed)),
        ("x86", 64) => machine == "x86_64",
        ("x86", _) => matches!(machine, "i386" | "i486" | "i586" | "i686" | "x86_64"),
        ("mips", 32) => matches!(machine, "mips" | "mips64"),
        ("mips", _) => machine == "mips64",
        ("power", 32) => machine == "ppc",
        ("power", _) => matches!(machine, "ppc64" | "ppc64le"),
        _ => machine == cpu.name,
    };
    order && (by_name || of_kind && arm.is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(class: u8, machine: u8) -> Vec<u8> {
        let mut head = vec![0x7f, b'E', b'L', b'F', class, 1, 1];
        head.extend([0; 9]);
        head.extend([2, 0, machine, 0]);
        head
    }

    #[test]
    fn a_machine_fits_or_not() {
        let platform = |text: &str| Platform::parse(text).unwrap();
        let arm64 = platform("aarch64-unknown-linux-musl");
        assert!(fits(&arm64, "aarch64", &[]) && fits(&arm64, "aarch64", &shell(2, 0xb7)));
        assert!(!fits(&arm64, "armv7l", &shell(1, 40)) && !fits(&arm64, "x86_64", &shell(2, 62)));
        let arm32 = platform("armv7l-unknown-linux-musleabihf");
        assert!(fits(&arm32, "armv7l", &[]) && fits(&arm32, "armv8l", &[]));
        assert!(!fits(&arm32, "armv6l", &shell(1, 40)), "an older core");
        assert!(fits(&arm32, "aarch64", &shell(1, 40)), "a 32-bit system on a 64-bit kernel");
        assert!(!fits(&arm32, "aarch64", &shell(2, 0xb7)));
        assert!(!fits(&platform("riscv64-unknown-linux-musl"), "riscv32", &[]));
    }

    #[test]
    fn what_a_board_says_is_read_and_nothing_else() {
        let path = "7rjj2rlqr3p3bn0z6k0bkhwb41bdrkgl-hello-1.0";
        let text = format!(
            "motd\nmachine aarch64\nspace /dev/vda 100 50 50 50% /\npath {path}\npath ../../etc\ngeneration 3\ntaken 4\ncurrent 3\n"
        );
        let found = Found::read("pi", &text).unwrap();
        assert_eq!((found.paths.len(), found.current, found.next(), found.free), (1, Some(3), 5, Some(50)));
        assert!(matches!(Found::read("pi", "hello\n"), Err(Error::Garbage { .. })));
        assert!(matches!(Found::read("pi", "machine x\nrecord {}\n"), Err(Error::Garbage { .. })));
        assert!(matches!(Found::read("pi", "machine x\ncurrent ../x\n"), Err(Error::Garbage { .. })));
    }
}
