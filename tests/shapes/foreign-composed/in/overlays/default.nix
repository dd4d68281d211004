final: prev:
let
  theirs = import ../third_party/foo/overlay.nix final prev;
in
theirs // {
  curl = prev.curl.overrideAttrs (old: {
    patches = (old.patches or [ ]) ++ [
      ../patches/curl/0001-curl-a.patch
    ];
  });
}
