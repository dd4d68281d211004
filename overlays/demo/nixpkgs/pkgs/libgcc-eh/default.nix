# The unwinder, for languages with panics or exceptions on musl: Debian's libgcc_eh.a, which was built for glibc and asks
# for one function that musl does not have. Under both names by which Rust's std asks for it.
{ stdenv, toolchain }:

stdenv.mkDerivation {
  pname = "libgcc-eh";
  version = toolchain.gccVersion stdenv.hostPlatform;
  src = ./src;
  buildPhase = ''
    $CC -O2 -fPIC -c find-object.c
    cp "$($CC -print-file-name=libgcc_eh.a)" libunwind.a
    chmod u+w libunwind.a
    $AR rD libunwind.a find-object.o
  '';
  # Debian's libgcc_s.so.1 needs glibc. Dynamic programs get the same unwinder linked in.
  installPhase = ''
    mkdir -p $out/lib
    cp libunwind.a $out/lib/
    echo 'INPUT(-lunwind -lgcc)' >$out/lib/libgcc_s.so
  '';
  dontStrip = true;
}
