_: prev: {
  zlib = prev.zlib.overrideAttrs (finalAttrs: prevAttrs: {
    patches = prevAttrs.patches or [ ] ++ [ ../patches/zlib/0001-zlib-a.patch ];
  });
}
