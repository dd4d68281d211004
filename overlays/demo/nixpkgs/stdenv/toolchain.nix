# The one impure part: Debian's compilers, used from /usr.
#
# Nix does not see them, so without help a new gcc would keep every store path and the results of two compilers would
# pass for one. An id is that help: it goes into each derivation that runs a compiler. dpkg keeps, per package, a list of
# the checksums of all its files; the hash of that list names the very binaries, is quick to take, and changes when
# Debian updates the package.
#
# Evaluation never needs a compiler: one that is not installed says so in its id, and the build then fails with a
# sentence (cc-wrapper.sh). Make, sed and the like come from /usr, too, and are in no id: they leave nothing of their own
# in what is built.
{ lib, config, buildPlatform }:
let
  # Flakes evaluate purely: nothing outside may be read, and currentSystem is not there.
  canLook = builtins ? currentSystem;
  dpkgInfo = "/var/lib/dpkg/info";
  entries = dir: if canLook && builtins.pathExists dir then builtins.attrNames (builtins.readDir dir) else [ ];
  isInstalled = package: canLook && builtins.pathExists "${dpkgInfo}/${package}.md5sums";
  identify = package:
    let sum = if isInstalled package then builtins.hashFile "sha256" "${dpkgInfo}/${package}.md5sums" else "unknown";
    in "${package}=${builtins.substring 0 12 sum}";

  # `config.toolchainId` pins it, for results that have to be the same on several machines (tests).
  idOf = packages: config.toolchainId or (if packages == [ ] then "not installed" else toString (map identify packages));

  isNative = platform: platform.parsed.cpu.name == buildPlatform.parsed.cpu.name;
  tripleOf = platform: builtins.replaceStrings [ "_" ] [ "-" ] platform.parsed.cpu.debian;
  archOf = platform:
    let cpu = platform.parsed.cpu.name; in { x86_64 = "amd64"; aarch64 = "arm64"; armv7l = "armhf"; }.${cpu} or cpu;

  # Debian has native packages as "libc6-dev:amd64", those for cross compilers as "libc6-dev-arm64-cross".
  library = platform: name:
    if isNative platform then "${name}:${archOf platform}" else "${name}-${archOf platform}-cross";

  # "12" of gcc-12. With several, the unversioned command is taken to be the newest.
  gccVersions = platform:
    let dir = if isNative platform then "/usr/lib/gcc" else "/usr/lib/gcc-cross";
    in builtins.sort lib.versionOlder (entries "${dir}/${platform.parsed.cpu.debian}");

  # "1.96.0", from the directory with the source of std.
  rustVersions = map (lib.removePrefix "rustc-") (lib.filter (lib.hasPrefix "rustc-") (entries "/usr/src"));
  lastOr = default: xs: if xs == [ ] then default else lib.last xs;
in
rec {
  # Prefix of the commands. Debian installs the native compiler under its full name, too.
  prefix = platform: "${platform.parsed.cpu.debian}-";

  gccVersion = platform: lastOr "0-missing" (gccVersions platform);
  # The driver, the compiler proper, assembler and linker, and the libgcc that is linked into every program.
  gccId = platform:
    let
      version = gccVersion platform;
      suffix = lib.optionalString (!isNative platform) "-${tripleOf platform}";
    in
    idOf (lib.optionals (gccVersions platform != [ ]) [
      "gcc-${version}${suffix}"
      "cpp-${version}${suffix}"
      "binutils-${tripleOf platform}"
      (library platform "libgcc-${version}-dev")
    ]);

  # Debian's glibc for a platform: in the package set it is copied, not built.
  glibcId = platform: idOf (map (library platform) [ "libc6" "libc6-dev" "libgcc-s1" ]);

  # LLVM is in it only as far as Debian builds rustc anew for another one: it is a library with a package of its own.
  rustVersion = lastOr "0-missing" rustVersions;
  rustId =
    let series = lib.concatStringsSep "." (lib.lists.take 2 (lib.splitString "." rustVersion));
    in idOf (lib.filter isInstalled (lib.concatMap (web: [
      "rustc${web}" "cargo${web}" "rust${web}-src" "libstd-rust${web}-${series}:${archOf buildPlatform}"
    ]) [ "-web" "" ]));
}
