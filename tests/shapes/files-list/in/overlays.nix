[
  (final: prev: {
  # Not to be touched.
    hello = prev.hello.overrideAttrs (_: { doCheck = false; });
    zlib = prev.zlib.overrideAttrs (old: {
      patches = (old.patches or [ ]) ++ [
        ./patches/zlib/0001-zlib-a.patch
      ];
    });
  })
  (final: prev: {
    curl = prev.curl.overrideAttrs (old: {
      patches = (old.patches or [ ]) ++ [
        ./patches/curl/0001-curl-a.patch
      ];
    });
  })
]
