final: prev:
if prev.stdenv.hostPlatform != prev.stdenv.buildPlatform then {
  zlib = prev.zlib.overrideAttrs (old: {
    patches = (old.patches or [ ]) ++ [
      ../patches/zlib/0001-zlib-a.patch
    ];
  });
} else {
}
