# gcc: Debian's compiler for `platform`, made to use the C library of the store instead of Debian's.
#
# For musl it is told so with a specs file, after musl's own musl-gcc. For glibc only the loader and the library path are
# ours: headers and start files are Debian's, of the same version. `libc = null` is the compiler that builds the libc.
{ lib, buildPlatform, toolchain, platform, libc, runsOn }:

# Whether it can run is a property of the compiler, not of Nix: Debian's run on the build platform only.
if runsOn.config != buildPlatform.config then
  throw "gcc: the demo has no compiler that runs on ${runsOn.config}; buildPackages.gcc compiles for it"
else
let
  prefix = "${platform.config}-";
  pname = prefix + lib.optionalString (libc == null) "nolibc-" + "gcc-wrapper";
  version = toolchain.gccVersion platform;
  kind = if libc == null then "no-libc" else platform.libc;
  drv = derivation {
    name = "${pname}-${version}";
    inherit pname version;
    system = buildPlatform.system;
    builder = "/bin/bash";
    args = [ "-e" ./cc-wrapper.sh ];
    PATH = "/usr/bin:/bin";
    inherit libc prefix kind;
    debianPrefix = toolchain.prefix platform;
    toolchainId = toolchain.gccId platform;
    loader = platform.parsed.cpu.loader;
    specs = lib.optionalString (kind == "musl") ./musl.specs;
  };
in
drv // {
  inherit libc;
  targetPrefix = prefix;
  isGNU = true;
  isClang = false;
  # One derivation holds compiler and binutils, which nixpkgs keeps apart.
  bintools = drv;
  cc = drv;
}
