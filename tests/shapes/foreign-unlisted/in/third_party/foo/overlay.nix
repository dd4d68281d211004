final: prev: {
  zlib = prev.zlib.overrideAttrs (old: {
    patches = (old.patches or [ ]) ++ [
      ./zlib-foo.patch
    ];
  });
}
