final: prev: {
  zlib-ng = prev.zlib.overrideAttrs (old: {
    patches = (old.patches or [ ]) ++ [
      ../patches/zlib-ng/0001-zlib-ng-a.patch
    ];
  });
}
