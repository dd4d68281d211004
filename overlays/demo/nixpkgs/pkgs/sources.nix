# The upstream releases this package set is built from.
#
# One table, because two readers need it: the packages take their `src` from here, and ../../setup.sh asks for the same
# addresses and hashes when it fills the store where those addresses cannot be reached. `debian` is the Debian source
# package whose .orig tarball has the same bytes (in bookworm).
{ fetchurl }:

builtins.mapAttrs (_: { url, sha256, debian }: (fetchurl { inherit url sha256; }) // { inherit debian; }) {
  musl = {
    url = "https://musl.libc.org/releases/musl-1.2.3.tar.gz";
    sha256 = "7d5b0b6062521e4627e099e4c9dc8248d32a30285e959b7eecaa780cf8cfd4a4";
    debian = "musl";
  };
  bzip2 = {
    url = "https://sourceware.org/pub/bzip2/bzip2-1.0.8.tar.gz";
    sha256 = "ab5a03176ee106d3f0fa90e381da478ddae405918153cca248e682cd0c4a2269";
    debian = "bzip2";
  };
  pcre2 = {
    url = "https://github.com/PCRE2Project/pcre2/releases/download/pcre2-10.42/pcre2-10.42.tar.gz";
    sha256 = "c33b418e3b936ee3153de2c61cc638e7e4fe3156022a5c77d0711bcbb9d64f1f";
    debian = "pcre2";
  };
  lua = {
    url = "https://www.lua.org/ftp/lua-5.4.4.tar.gz";
    sha256 = "164c7849653b80ae67bec4b7473b884bf5cc8d2dca05653475ec2ed27b9ebf61";
    debian = "lua5.4";
  };
}
