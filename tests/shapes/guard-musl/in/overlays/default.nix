final: prev: {
  zlib =
    if final.stdenv.hostPlatform.isMusl then
      prev.zlib.overrideAttrs (old: {
        patches = (old.patches or [ ]) ++ [ ../patches/zlib/0001-zlib-a.patch ];
      })
    else
      prev.zlib;
}
