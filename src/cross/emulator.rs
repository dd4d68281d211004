//! What runs the programs of a platform on this machine: the kernel itself, qemu's user mode, wine, wasmtime.
//!
//! Names and argument vectors only, and the reading of the kernel's binfmt_misc registrations from text that is
//! handed in (`/proc/sys/fs/binfmt_misc/NAME`, see the kernel's admin-guide/binfmt-misc). Must not start anything.

use std::path::Path;

use serde::Serialize;

use super::platform::Platform;

/// How the programs of a platform run on a machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase", tag = "how")]
pub enum Emulator {
    Native,
    /// Through qemu's user mode.
    Qemu {
        /// The name of the program, `qemu-aarch64`; with `-static` appended it is Debian's static variant.
        program: String,
    },
    /// Through another program.
    Other {
        /// The name of the program: `wine64`, `wine`, `wasmtime`, `node`, `mmix`.
        program: &'static str,
        /// What stands between it and the program to run.
        args: &'static [&'static str],
    },
    None {
        why: String,
    },
}

/// What decides how the programs of a platform run on a machine that does not run them as they are.
#[derive(Debug, Clone, Copy)]
pub struct Foreign<'a> {
    pub cpu: &'a str,
    pub family: &'a str,
    pub bits: u16,
    pub kernel: &'a str,
    pub android: bool,
    /// The part of qemu's names for it.
    pub qemu: Option<&'a str>,
}

/// Returns how programs for `platform` run on a machine that is `here`.
pub fn emulator(platform: &Platform, here: &Platform) -> Emulator {
    if here.can_execute(platform) {
        return Emulator::Native;
    }
    let foreign = Foreign {
        cpu: platform.cpu.name,
        family: platform.cpu.family,
        bits: platform.cpu.bits,
        kernel: &platform.kernel,
        android: platform.abi.starts_with("android"),
        qemu: platform.qemu_arch(),
    };
    foreign.on(&here.kernel)
}

impl Foreign<'_> {
    /// Returns what runs the programs on a machine with the kernel `here`.
    ///
    /// The rules are those of nixpkgs' `emulator`: wine for Windows, qemu for Linux on Linux, wasmtime for WASI, mmix.
    pub fn on(self, here: &str) -> Emulator {
        match self.kernel {
            "windows" if self.family == "x86" && self.bits == 64 => Emulator::Other { program: "wine64", args: &[] },
            "windows" if self.family == "x86" => Emulator::Other { program: "wine", args: &[] },
            "wasi" => Emulator::Other { program: "wasmtime", args: &["run"] },
            "ghcjs" => Emulator::Other { program: "node", args: &[] },
            "mmixware" => Emulator::Other { program: "mmix", args: &[] },
            "linux" if self.android => Emulator::None {
                why: "Android programs need an Android system around them; qemu's user mode gives none".to_string(),
            },
            "linux" if here == "linux" => match self.qemu {
                Some(arch) => Emulator::Qemu { program: format!("qemu-{arch}") },
                None => Emulator::None { why: format!("qemu has no user mode for {}", self.cpu) },
            },
            "linux" => Emulator::None { why: format!("qemu's user mode runs Linux programs on Linux, not on {here}") },
            "none" | "uefi" => Emulator::None {
                why: "there is no operating system below these programs: flash them, or run qemu-system or a simulator"
                    .to_string(),
            },
            kernel => Emulator::None { why: format!("nothing runs {kernel} programs on {here}") },
        }
    }
}

impl Emulator {
    /// Returns the names under which the program may be installed, best first; none where none is needed.
    ///
    /// Debian's `qemu-user-static` calls them `-static`.
    pub fn programs(&self) -> Vec<String> {
        match self {
            Emulator::Qemu { program } => vec![program.clone(), format!("{program}-static")],
            Emulator::Other { program, .. } => vec![(*program).to_string()],
            Emulator::Native | Emulator::None { .. } => Vec::new(),
        }
    }

    /// Returns the argument vector that runs `program` with `args`; `None` where nothing does.
    ///
    /// `found` is the emulator as installed (a path, or a name of [`Emulator::programs`]). `sysroot`, for qemu only,
    /// is where a dynamic program's interpreter and libraries are when they are not at the paths that the program
    /// names: below `/store-root` when the interpreter `/nix/store/...` is at `/store-root/nix/store/...`.
    pub fn argv(&self, found: &str, sysroot: Option<&Path>, program: &str, args: &[String]) -> Option<Vec<String>> {
        let mut argv = Vec::new();
        match self {
            Emulator::None { .. } => return None,
            Emulator::Native => {}
            Emulator::Qemu { .. } => {
                argv.push(found.to_string());
                if let Some(sysroot) = sysroot {
                    argv.extend(["-L".to_string(), sysroot.display().to_string()]);
                }
            }
            Emulator::Other { args, .. } => {
                argv.push(found.to_string());
                argv.extend(args.iter().map(|a| (*a).to_string()));
            }
        }
        argv.push(program.to_string());
        argv.extend_from_slice(args);
        Some(argv)
    }
}

/// A registration of the kernel's binfmt_misc: what starts programs of a foreign format.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Registration {
    pub enabled: bool,
    /// The interpreter, qemu for the formats that matter here.
    pub interpreter: String,
    /// The flags, out of `POCF`. `F`: the interpreter was opened at registration, so it works in a chroot, a
    /// container and Nix' build sandbox too.
    pub flags: String,
    /// Where the magic stands.
    pub offset: usize,
}

impl Registration {
    /// Parses the text of `/proc/sys/fs/binfmt_misc/NAME`; `None` when it is not one that goes by a magic.
    pub fn parse(text: &str) -> Option<Registration> {
        let mut lines = text.lines();
        let mut found = Registration { enabled: lines.next()?.trim() == "enabled", ..Registration::default() };
        let mut has_magic = false;
        for line in lines {
            let (key, value) = line.split_once(' ').unwrap_or((line, ""));
            match key {
                "interpreter" => found.interpreter = value.trim().to_string(),
                "flags:" => found.flags = value.trim().to_string(),
                "offset" => found.offset = value.trim().parse().ok()?,
                "magic" => has_magic = true,
                _ => {}
            }
        }
        (!found.interpreter.is_empty() && has_magic).then_some(found)
    }

    /// Says whether it is in force inside Nix' build sandbox too, where the interpreter's path does not exist.
    pub fn works_in_sandbox(&self) -> bool {
        self.enabled && self.flags.contains('F')
    }
}

/// Returns the names of a registration for programs of a system as NixOS and Debian call it: `aarch64-linux`, `qemu-aarch64`.
pub fn registration_names(system: &str, qemu: Option<&str>) -> Vec<String> {
    std::iter::once(system.to_string()).chain(qemu.map(|arch| format!("qemu-{arch}"))).collect()
}

/// Returns the line of a NixOS configuration that registers qemu for these systems; `None` for an empty list.
///
/// NixOS then also lets Nix build for them (`extra-platforms`) in its sandbox.
pub fn nixos_snippet(systems: &[String]) -> Option<String> {
    if systems.is_empty() {
        return None;
    }
    let list: Vec<String> = systems.iter().map(|s| format!("\"{s}\"")).collect();
    Some(format!("boot.binfmt.emulatedSystems = [ {} ];", list.join(" ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn on_x86(text: &str) -> Emulator {
        emulator(&Platform::parse(text).unwrap(), &Platform::parse("x86_64-linux").unwrap())
    }

    #[test]
    fn qemu_is_called_by_its_own_names() {
        for (text, program) in [
            ("aarch64-unknown-linux-musl", "qemu-aarch64"),
            ("armv6l-unknown-linux-gnueabihf", "qemu-arm"),
            ("riscv64-linux", "qemu-riscv64"),
            ("powerpc64le-linux", "qemu-ppc64le"),
            ("powerpc64-linux", "qemu-ppc64"),
            ("mips64el-unknown-linux-gnuabin32", "qemu-mipsn32el"),
            ("mips64-unknown-linux-gnuabi64", "qemu-mips64"),
            ("mipsel-linux", "qemu-mipsel"),
            ("loongarch64-linux", "qemu-loongarch64"),
            ("s390x-linux", "qemu-s390x"),
            ("m68k-linux", "qemu-m68k"),
        ] {
            let found = on_x86(text);
            assert_eq!(found.programs().first().map(String::as_str), Some(program), "{text}");
        }
        assert_eq!(on_x86("i686-linux"), Emulator::Native);
        assert_eq!(on_x86("x86_64-unknown-linux-musl"), Emulator::Native);
        assert_eq!(on_x86("x86_64-w64-mingw32").programs(), ["wine64"]);
        assert_eq!(on_x86("wasm32-unknown-wasi").programs(), ["wasmtime"]);
        for none in ["arm-none-eabi", "avr", "s390-linux", "aarch64-apple-darwin", "x86_64-unknown-freebsd13"] {
            assert!(matches!(on_x86(none), Emulator::None { .. }), "{none}");
        }
    }

    #[test]
    fn argument_vectors_carry_the_sysroot() {
        let args = ["--version".to_string()];
        let qemu = on_x86("aarch64-linux");
        assert_eq!(qemu.argv("qemu-aarch64", None, "./a", &args).unwrap(), ["qemu-aarch64", "./a", "--version"]);
        assert_eq!(
            qemu.argv("/x/qemu-aarch64-static", Some(Path::new("/root")), "./a", &args).unwrap(),
            ["/x/qemu-aarch64-static", "-L", "/root", "./a", "--version"]
        );
        assert_eq!(on_x86("x86_64-linux").argv("", None, "./a", &args).unwrap(), ["./a", "--version"]);
        assert_eq!(on_x86("avr").argv("", None, "./a", &args), None);
    }

    const DEBIAN: &str = "enabled\ninterpreter /usr/bin/qemu-aarch64-static\nflags: OCF\noffset 0\n\
        magic 7f454c460201010000000000000000000200b700\nmask ffffffffffffff00fffffffffffffffffeffffff\n";

    #[test]
    fn registrations_are_read() {
        assert!(Registration::parse(DEBIAN).unwrap().works_in_sandbox());
        assert!(!Registration::parse(&DEBIAN.replace("enabled", "disabled")).unwrap().works_in_sandbox());
        for bad in ["", "enabled", "enabled\ninterpreter /bin/x\nextension .exe", "enabled\nmagic 7f45"] {
            assert_eq!(Registration::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_snippet_is_what_nixos_takes() {
        assert_eq!(
            nixos_snippet(&["aarch64-linux".to_string(), "riscv64-linux".to_string()]).unwrap(),
            r#"boot.binfmt.emulatedSystems = [ "aarch64-linux" "riscv64-linux" ];"#
        );
        assert_eq!(nixos_snippet(&[]), None);
    }

    proptest! {
        #[test]
        fn any_registration_is_read_or_refused(
            lines in prop::collection::vec("(enabled|disabled|interpreter|flags:|offset|magic|mask|extension)( [0-9a-fä/]{0,12})?", 0..9),
        ) {
            let _ = Registration::parse(&lines.join("\n"));
        }
    }
}
