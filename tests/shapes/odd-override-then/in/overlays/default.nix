self: super: {
  curl = (super.curl.override { zlibSupport = false; }).overrideAttrs (attrs: {
    patches = [ ../patches/curl/0001-curl-a.patch ] ++ attrs.patches or [ ];
  });
}
