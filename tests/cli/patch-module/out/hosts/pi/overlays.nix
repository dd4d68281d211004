{ ... }:
{
  nixpkgs.overlays = [
    (self: super: {
      curl = (super.curl.override { gnutls = null; }).overrideAttrs (old: {
        patches = (old.patches or [ ]) ++ [
          ../../patches/curl/0001-fix-the-frobnicator.patch
        ];
      });
    })
  ];
}
