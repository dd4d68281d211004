{ lib }: {
  patched = package: patches: package.overrideAttrs (old: { patches = (old.patches or [ ]) ++ patches; });
}
