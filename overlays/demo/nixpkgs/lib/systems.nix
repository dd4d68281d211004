# Platforms: what `crossSystem` may say, and what is known about the result.
{ lib }:
let
  # What differs between the processors of the demo. `debian` is the triple of Debian's compilers and C libraries.
  cpus = {
    x86_64 = { bits = 64; family = "x86"; debian = "x86_64-linux-gnu"; loader = "ld-linux-x86-64.so.2"; };
    aarch64 = { bits = 64; family = "arm"; debian = "aarch64-linux-gnu"; loader = "ld-linux-aarch64.so.1"; };
    armv7l = { bits = 32; family = "arm"; debian = "arm-linux-gnueabihf"; loader = "ld-linux-armhf.so.3"; };
    riscv64 = { bits = 64; family = "riscv"; debian = "riscv64-linux-gnu"; loader = "ld-linux-riscv64-lp64d.so.1"; };
  };

  parse = config:
    let
      field = builtins.elemAt (lib.splitString "-" config);
      cpu = field 0;
    in
    {
      cpu = { name = cpu; } // cpus.${cpu} or (throw
        "the demo has no platform '${config}': its processors are ${toString (builtins.attrNames cpus)}");
      vendor.name = field 1;
      kernel.name = field 2;
      abi.name = field 3;
    };
in
rec {
  # "aarch64-linux", { system = ...; } or { config = ...; }, with further fields, to a platform.
  elaborate = spec:
    let
      args = if builtins.isString spec then { system = spec; } else spec;
      config = args.config or (configOf args.system);
      parsed = parse config;
      cpu = parsed.cpu.name;
      abi = parsed.abi.name;
      self = {
        inherit config parsed;
        system = "${cpu}-${parsed.kernel.name}";
        isLinux = parsed.kernel.name == "linux";
        isMusl = lib.hasPrefix "musl" abi;
        isGnu = lib.hasPrefix "gnu" abi;
        isStatic = false;
        isx86_64 = cpu == "x86_64";
        isAarch64 = cpu == "aarch64";
        isAarch32 = cpu == "armv7l";
        isRiscV = cpu == "riscv64";
        isRiscV64 = self.isRiscV;
        is32bit = parsed.cpu.bits == 32;
        is64bit = parsed.cpu.bits == 64;
        isLittleEndian = true;
        isBigEndian = false;
        libc = if self.isMusl then "musl" else "glibc";
        qemuArch = { armv7l = "arm"; }.${cpu} or cpu;
        emulator = _: "qemu-${self.qemuArch}";
        canExecute = other: self.parsed.cpu.name == other.parsed.cpu.name;
        rust.rustcTarget = "${{ armv7l = "armv7"; riscv64 = "riscv64gc"; }.${cpu} or cpu}-unknown-linux-${abi}";
        extensions = { sharedLibrary = ".so"; staticLibrary = ".a"; executable = ""; };
      } // args;
    in
    self;

  configOf = system: {
    x86_64-linux = examples.gnu64;
    aarch64-linux = examples.aarch64-multiplatform;
    armv7l-linux = examples.armv7l-hf-multiplatform;
    riscv64-linux = examples.riscv64;
  }.${system}.config or (throw "the demo has no platform for system '${system}'");

  # The same processor with musl, for pkgsMusl and pkgsStatic.
  muslOf = platform: builtins.replaceStrings [ "-linux-gnu" ] [ "-linux-musl" ] platform.config;

  # The names below pkgsCross. As in nixpkgs, but for the last: nixpkgs has musl on armv7 as
  # pkgsCross.armv7l-hf-multiplatform.pkgsMusl and .pkgsStatic only (both work here as well).
  examples = {
    gnu64.config = "x86_64-unknown-linux-gnu";
    musl64.config = "x86_64-unknown-linux-musl";
    aarch64-multiplatform.config = "aarch64-unknown-linux-gnu";
    aarch64-multiplatform-musl.config = "aarch64-unknown-linux-musl";
    riscv64.config = "riscv64-unknown-linux-gnu";
    riscv64-musl.config = "riscv64-unknown-linux-musl";
    armv7l-hf-multiplatform.config = "armv7l-unknown-linux-gnueabihf";
    armv7l-hf-multiplatform-musl.config = "armv7l-unknown-linux-musleabihf";
  };
}
