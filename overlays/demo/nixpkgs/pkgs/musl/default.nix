# The C library, from source. Its build is the same in static and dynamic package sets (stdenvNoLibc says why).
{ lib, stdenvNoLibc, sources, pname ? "musl" }:

stdenvNoLibc.mkDerivation {
  inherit pname;
  version = "1.2.3";
  src = sources.musl;

  configureFlags = [
    "--target=${stdenvNoLibc.hostPlatform.config}"
    "--enable-static"
    "--enable-shared"
    "--disable-wrapper" # the wrapper is stdenv/cc-wrapper.nix
  ];
  # The dynamic loader goes into the store as well: programs name it by its full path, so they run from anywhere.
  # musl makes that name a link to libc.so by its full path, which is what we want.
  preConfigure = ''
    configureFlags+=" --syslibdir=$out/lib CROSS_COMPILE=$targetPrefix"
  '';

  meta = {
    description = "A small, standards-conforming C library";
    homepage = "https://musl.libc.org/";
    license = lib.licenses.mit;
  };
}
