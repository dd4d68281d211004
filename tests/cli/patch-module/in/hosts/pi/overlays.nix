{ ... }:
{
  nixpkgs.overlays = [
    (self: super: {
      curl = super.curl.override { gnutls = null; };
    })
  ];
}
