final: prev: {
  # Not to be touched.
  hello = prev.hello.overrideAttrs (_: { doCheck = false; });
  pythonPackagesExtensions = prev.pythonPackagesExtensions ++ [
    (pythonFinal: pythonPrev: {
      six = pythonPrev.six.overrideAttrs (old: {
        patches = (old.patches or [ ]) ++ [
          ../patches/python3Packages.six/0001-six-a.patch
        ];
      });
    })
  ];
}
