final: prev: {
  inherit (prev) jq;
  zlib = prev.zlib.overrideAttrs (old: {
    patches = (old.patches or [ ]) ++ [
      ../patches/zlib/0001-zlib-a.patch
    ];
  });
  busybox = prev.busybox.overrideAttrs (old: { meta = old.meta; });
}
