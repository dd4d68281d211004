final: prev: {
  curl = prev.curl.overrideAttrs (old: {
    patches = (old.patches or [ ]) ++ [
      ../patches/curl/0001-curl-a.patch
    ];
  });
}
