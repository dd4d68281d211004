final: prev: {
  # Not to be touched.
  hello = prev.hello.overrideAttrs (_: { doCheck = false; });
  xfce = prev.xfce.overrideScope (xfinal: xprev: {
    thunar = xprev.thunar.overrideAttrs (old: {
      patches = (old.patches or [ ]) ++ [
        ../patches/xfce.thunar/0001-thunar-a.patch
      ];
    });
  });
}
