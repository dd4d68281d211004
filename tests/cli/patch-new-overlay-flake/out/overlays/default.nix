final: prev: {
  # Patched packages; `overlayctl patch PACKAGE FILE` writes here.
  zlib = prev.zlib.overrideAttrs (old: {
    patches = (old.patches or [ ]) ++ [
      ../patches/zlib/0001-fix-the-frobnicator.patch
    ];
  });
}
