final: prev: {
  zlib = prev.zlib.overrideAttrs (old: { patches = (old.patches or [ ]) ++ [ ./patches/zlib/0001-say-more.patch ]; });
}
