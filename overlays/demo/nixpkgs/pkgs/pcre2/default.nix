# Regular expressions, and pcre2grep, which reads .bz2 files through libbz2: a program with a chain of its own,
# musl -> bzip2 -> pcre2.
{ lib, stdenv, sources, bzip2 }:

stdenv.mkDerivation {
  pname = "pcre2";
  version = "10.42";
  src = sources.pcre2;

  buildInputs = [ bzip2 ];
  configureFlags = [
    "--host=${stdenv.hostPlatform.config}"
    "--disable-dependency-tracking"
    "--enable-pcre2grep-libbz2"
  ] ++ (if stdenv.hostPlatform.isStatic then [ "--disable-shared" ] else [ "--disable-static" ]);

  meta = {
    description = "Perl-compatible regular expressions";
    homepage = "https://www.pcre.org/";
    license = lib.licenses.bsd3;
    mainProgram = "pcre2grep";
  };
}
