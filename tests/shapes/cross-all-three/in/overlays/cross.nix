final: prev: {
  openssl = prev.openssl.overrideAttrs (old: {
    patches = (old.patches or [ ]) ++ [
      ../patches/openssl/0001-openssl-a.patch
    ];
  });
}
