self: super: rec {
  zlib = super.zlib.overrideAttrs (attrs: rec {
    patches = attrs.patches or [ ] ++ [ ../patches/zlib/0001-zlib-a.patch ];
  });
  zlibPatched = zlib;
}
