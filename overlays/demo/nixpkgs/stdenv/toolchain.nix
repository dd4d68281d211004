# The one impure part: Debian's compilers, used from /usr.
#
# Nix does not see them, so without help a new gcc would keep every store path and the results of two compilers would
# pass for one. `id` is that help: it goes into each derivation that runs a compiler. dpkg keeps, per package, a list of
# the checksums of all its files; the hash of that list names the very binaries, is quick to take, and changes when
# Debian updates the package. Evaluation never needs a compiler: one that is not installed says so in its id, and
# the build then fails with a sentence (cc-wrapper.nix).
{ lib, config }:
let
  # Flakes evaluate purely: nothing outside may be read, and currentSystem is not there.
  canLook = builtins ? currentSystem;
  dpkgInfo = "/var/lib/dpkg/info";
  entries = dir: if canLook && builtins.pathExists dir then builtins.attrNames (builtins.readDir dir) else [ ];

  identify = package:
    let
      file = "${dpkgInfo}/${package}.md5sums";
      known = canLook && builtins.pathExists file;
    in
    "${package}=${if known then builtins.substring 0 12 (builtins.hashFile "sha256" file) else "unknown"}";

  dashed = builtins.replaceStrings [ "_" ] [ "-" ];

  debianArch = cpu: { x86_64 = "amd64"; aarch64 = "arm64"; armv7l = "armhf"; }.${cpu} or cpu;

  gccPackages = platform: native:
    let
      triple = platform.parsed.cpu.debian;
      suffix = lib.optionalString (!native) "-${dashed triple}";
      # "12" of gcc-12; the unversioned command is a link to the newest one installed.
      versions = entries (if native then "/usr/lib/gcc/${triple}" else "/usr/lib/gcc-cross/${triple}");
      version = lib.last versions;
    in
    if versions == [ ] then [ ]
    else [ "gcc-${version}${suffix}" "cpp-${version}${suffix}" "binutils-${dashed triple}" ];
in
{
  # Prefix of the commands. Debian installs the native compiler under its full name, too.
  prefix = platform: "${platform.parsed.cpu.debian}-";

  # Pinned by `config.toolchainId`, for results that have to be the same on several machines (tests).
  cc = buildPlatform: platform: config.toolchainId or (
    let packages = gccPackages platform (platform.parsed.cpu.name == buildPlatform.parsed.cpu.name);
    in if packages == [ ] then "no compiler for ${platform.parsed.cpu.debian}" else toString (map identify packages));

  # Debian's glibc for a platform: in the package set it is copied, not built.
  libc = buildPlatform: platform: config.toolchainId or (
    let cpu = platform.parsed.cpu.name; in
    identify (
      if cpu == buildPlatform.parsed.cpu.name then "libc6:${debianArch cpu}" else "libc6-${debianArch cpu}-cross"));

  # The version is in the name of the directory with the source of std.
  rustVersion =
    let found = lib.filter (lib.hasPrefix "rustc-") (entries "/usr/src");
    in if found == [ ] then "unknown" else lib.removePrefix "rustc-" (lib.last found);

  rust = config.toolchainId or (
    let installed = lib.filter (p: canLook && builtins.pathExists "${dpkgInfo}/${p}.md5sums")
      [ "rustc-web" "rust-web-src" "cargo-web" "rustc" "rust-src" "cargo" ];
    in if installed == [ ] then "no rustc" else toString (map identify installed));
}
