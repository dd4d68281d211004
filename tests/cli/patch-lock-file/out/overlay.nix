final: prev: {
  ripgrep = prev.ripgrep.overrideAttrs (old: {
    patches = (old.patches or [ ]) ++ [
      ./patches/ripgrep/0001-fix.patch
    ];
  });
}
