final: prev: prev.lib.optionalAttrs (prev ? zlib-ng) {
  zlib-ng = prev.zlib-ng.overrideAttrs (old: {
    patches = (old.patches or [ ]) ++ [
      ../patches/zlib-ng/0001-zlib-ng-a.patch
    ];
  });
} // {
  zlib = prev.zlib.overrideAttrs (old: {
    patches = (old.patches or [ ]) ++ [
      ../patches/zlib/0001-zlib-a.patch
    ];
  });
}
