final: prev:
let
  inherit (final) mkDerivation;
in
{
  # The loader and C library of this machine, as a package: what a dynamic program of a store has in its closure.
  libc = mkDerivation {
    pname = "libc";
    version = "1";
    libc = false;
    installPhase = ''
      mkdir -p $out/lib
      loader=$(readelf -l /bin/sh | sed -n 's/.*interpreter: \(.*\)].*/\1/p')
      cp -L $loader $(gcc -print-file-name=libc.so.6) $out/lib
    '';
  };

  libfoo = mkDerivation {
    pname = "libfoo";
    version = "1.0";
    src = ./src;
    buildPhase = ''
      $CC $FLAGS -O2 -fPIC $(cat flags) -c foo.c -o foo.o; $CC -O2 -fPIC -c other.c -o other.o
      ar rcsD libfoo.a foo.o other.o
      if [ -z "$isStatic" ]; then $CC -shared -Wl,-soname,libfoo.so.1 $LINK -o libfoo.so.1 foo.o other.o; fi
      $CC -O2 tool.c libfoo.a -o foo-tool $LINK
      strip foo-tool
    '';
    installPhase = ''
      mkdir -p $out/lib $out/include $out/etc $out/bin $out/share
      cp foo-tool foo.sh $out/bin; cp foo.h $out/include; cp foo.conf $out/etc; cp README $out/share; cp libfoo.a $out/lib
      chmod +x $out/bin/foo.sh
      if [ -e extra.txt ]; then cp extra.txt $out/share; fi
      if [ -z "$isStatic" ]; then rm $out/lib/libfoo.a; cp libfoo.so.1 $out/lib; ln -s libfoo.so.1 $out/lib/libfoo.so; fi
    '';
    meta.mainProgram = "foo-tool";
  };

  app = mkDerivation {
    pname = "app";
    version = "1.0";
    src = ./app;
    buildInputs = [ final.libfoo ];
    vendored = ./src;
    buildPhase = "$CC -O2 app.c -o app -lfoo $LINK; strip app";
    installPhase = "mkdir -p $out/bin; cp app $out/bin";
    meta.mainProgram = "app";
  };

  # What only tools of the build need.
  generated = mkDerivation {
    pname = "generated";
    version = "1";
    tool = final.libfoo;
    installPhase = "mkdir -p $out/share; $tool/bin/foo-tool >$out/share/text";
  };

  script = mkDerivation {
    pname = "script";
    version = "1.0";
    src = ./src;
    installPhase = "mkdir -p $out/bin; cp foo.sh $out/bin/script; chmod +x $out/bin/script";
  };

  # A kernel and a module, as far as their files go.
  kernel = mkDerivation {
    pname = "kernel";
    version = "1";
    src = ./src;
    buildPhase = "$CC -O2 -ffreestanding -c foo.c -o foo.ko; objcopy -O binary -j .text -j .rodata.str1.8 -j .rodata.str1.1 foo.ko Image";
    installPhase = "mkdir -p $out/lib/modules/1/kernel; cp Image $out; cp foo.ko $out/lib/modules/1/kernel";
  };
}
