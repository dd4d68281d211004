# Debian's glibc for this platform: the shared objects that programs need to run, copied so that they can be named by
# store path. It has no source here, hence nothing to patch; patch musl.
{ stdenvNoLibc, toolchain }:
let
  inherit (stdenvNoLibc) buildPlatform hostPlatform;
  triple = hostPlatform.parsed.cpu.debian;
in
stdenvNoLibc.mkDerivation {
  pname = "glibc";
  version = "0-debian"; # whichever Debian has; toolchainId names it
  libraries =
    if hostPlatform.parsed.cpu.name == buildPlatform.parsed.cpu.name then "/lib/${triple}" else "/usr/${triple}/lib";
  loader = hostPlatform.parsed.cpu.loader;
  toolchainId = toolchain.glibcId hostPlatform;
  dontStrip = true;
  buildPhase = ":";
  installPhase = ''
    mkdir -p $out/lib
    for name in $loader libc.so.6 libm.so.6 libdl.so.2 libpthread.so.0 librt.so.1 libutil.so.1 libresolv.so.2 libgcc_s.so.1; do
      cp -L $libraries/$name $out/lib/
    done
  '';
}
