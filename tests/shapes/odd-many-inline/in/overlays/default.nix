final: prev:
prev.lib.composeManyExtensions [
  (final: prev: {
    zlib = prev.zlib.overrideAttrs (old: {
      patches = (old.patches or [ ]) ++ [ ../patches/zlib/0001-zlib-a.patch ];
    });
  })
  (self: super: {
    curl = super.curl.overrideAttrs (old: {
      patches = old.patches or [ ] ++ [ ../patches/curl/0001-curl-a.patch ];
    });
  })
] final prev
