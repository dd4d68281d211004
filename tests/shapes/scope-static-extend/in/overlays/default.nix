final: prev: {
  # Not to be touched.
  hello = prev.hello.overrideAttrs (_: { doCheck = false; });
  pkgsStatic = prev.pkgsStatic.extend (sfinal: sprev: {
    zlib = sprev.zlib.overrideAttrs (old: {
      patches = (old.patches or [ ]) ++ [
        ../patches/pkgsStatic.zlib/0001-static-zlib-a.patch
      ];
    });
  });
}
