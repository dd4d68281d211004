{ board, debug ? false }:
final: prev: {
  zlib = prev.zlib.overrideAttrs (old: {
    patches = (old.patches or [ ])
      ++ prev.lib.optionals (board == "pi") [ ../patches/zlib/0001-zlib-a.patch ]
      ++ prev.lib.optionals (board == "star") [ ../patches/zlib/0002-zlib-b.patch ];
  });
}
