final: prev: {
  # Not to be touched.
  hello = prev.hello.overrideAttrs (_: { doCheck = false; });
  linux = prev.linux.override {
    kernelPatches = [
      { name = "a"; patch = ../patches/linux/0001-linux-a.patch; }
    ];
  };
}
