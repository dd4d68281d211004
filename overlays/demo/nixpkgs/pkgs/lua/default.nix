{ lib, stdenv, sources }:

stdenv.mkDerivation {
  pname = "lua";
  version = "5.4.4";
  src = sources.lua;

  buildPhase = ''
    make -j$NIX_BUILD_CORES -C src generic CC=$CC AR="$AR rcu" RANLIB=$RANLIB MYCFLAGS=-DLUA_USE_POSIX
  '';
  installPhase = ''
    make install INSTALL_TOP=$out
  '';

  meta = {
    description = "A small programming language";
    homepage = "https://www.lua.org/";
    license = lib.licenses.mit;
    mainProgram = "lua";
  };
}
