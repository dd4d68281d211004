final: prev: {
  zlibb = prev.zlibb.overrideAttrs (old: {
    patches = (old.patches or [ ]) ++ [
      ../patches/zlibb/0001-zlibb-a.patch
    ];
  });
  zlib = prev.zlib.overrideAttrs (old: {
    patches = (old.patches or [ ]) ++ [
      ../patches/zlib/0001-zlib-a.patch
    ];
  });
}
