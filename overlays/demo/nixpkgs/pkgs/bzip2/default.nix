{ lib, stdenv, sources }:

stdenv.mkDerivation {
  pname = "bzip2";
  version = "1.0.8";
  src = sources.bzip2;

  # bzip2 comes with two Makefiles and no configure. The programs are linked with the static library in either case; the
  # shared one is for others.
  buildPhase = ''
    make -j$NIX_BUILD_CORES CC=$CC AR=$AR RANLIB=$RANLIB CFLAGS="-O2 -fPIC -D_FILE_OFFSET_BITS=64" libbz2.a bzip2
  '' + lib.optionalString (!stdenv.hostPlatform.isStatic) ''
    $CC -shared -Wl,-soname,libbz2.so.1 -o libbz2.so.1 -Wl,--whole-archive libbz2.a -Wl,--no-whole-archive
  '';
  installPhase = ''
    mkdir -p $out/bin $out/lib $out/include
    cp bzip2 $out/bin/
    ln -s bzip2 $out/bin/bunzip2
    ln -s bzip2 $out/bin/bzcat
    cp bzlib.h $out/include/
  '' + (if stdenv.hostPlatform.isStatic then ''
    cp libbz2.a $out/lib/
  '' else ''
    cp libbz2.so.1 $out/lib/
    ln -s libbz2.so.1 $out/lib/libbz2.so
  '');

  meta = {
    description = "A compressor";
    homepage = "https://sourceware.org/bzip2/";
    license = lib.licenses.bzip2;
    mainProgram = "bzip2";
  };
}
