# The part of nixpkgs' library that overlays and configurations use.
rec {
  inherit (builtins) attrNames attrValues concatLists concatMap elem elemAt filter foldl' functionArgs genList hasAttr head
    isAttrs isFunction isList length listToAttrs map mapAttrs readDir removeAttrs sort tail;

  # Fixed points.
  fix = f: let x = f x; in x;
  extends = overlay: f: final: let prev = f final; in prev // overlay final prev;
  composeExtensions = f: g: final: prev:
    let first = f final prev; prev' = prev // first; in first // g final prev';
  composeManyExtensions = foldr composeExtensions (final: prev: { });
  makeExtensible = makeExtensibleWithCustomName "extend";
  makeExtensibleWithCustomName = name: rattrs:
    fix (self: rattrs self // { ${name} = f: makeExtensibleWithCustomName name (extends f rattrs); });

  # Lists.
  foldr = op: nul: list: let n = length list; go = i: if i == n then nul else op (elemAt list i) (go (i + 1)); in go 0;
  flip = f: a: b: f b a;
  id = x: x;
  const = x: _: x;
  pipe = foldl' (x: f: f x);
  singleton = x: [ x ];
  optional = cond: x: if cond then [ x ] else [ ];
  optionals = cond: xs: if cond then xs else [ ];
  flatten = x: if isList x then concatMap flatten x else [ x ];
  last = list: elemAt list (length list - 1);
  hasSuffix = suffix: s:
    let n = builtins.stringLength s; k = builtins.stringLength suffix; in n >= k && builtins.substring (n - k) k s == suffix;
  removeSuffix = suffix: s:
    if hasSuffix suffix s then builtins.substring 0 (builtins.stringLength s - builtins.stringLength suffix) s else s;
  optionalString = cond: s: if cond then s else "";
  toList = x: if isList x then x else [ x ];

  # Sets.
  nameValuePair = name: value: { inherit name value; };
  genAttrs = names: f: listToAttrs (map (name: nameValuePair name (f name)) names);
  optionalAttrs = cond: set: if cond then set else { };
  filterAttrs = f: set: removeAttrs set (filter (name: !f name set.${name}) (attrNames set));
  mapAttrs' = f: set: listToAttrs (map (name: f name set.${name}) (attrNames set));
  mapAttrsToList = f: set: map (name: f name set.${name}) (attrNames set);
  attrByPath = path: default: set:
    if path == [ ] then set else if isAttrs set && set ? ${head path} then attrByPath (tail path) default set.${head path} else default;
  setAttrByPath = path: value: if path == [ ] then value else { ${head path} = setAttrByPath (tail path) value; };
  mergeAttrsList = foldl' (a: b: a // b) { };
  recursiveUpdate = a: b:
    a // mapAttrs (name: value: if isAttrs value && isAttrs (a.${name} or null) then recursiveUpdate a.${name} value else value) b;
  recurseIntoAttrs = set: set // { recurseForDerivations = true; };
  setFunctionArgs = f: args: { __functor = self: f; __functionArgs = args; };

  # Functions that can be called again with other arguments.
  makeOverridable = f: args:
    let
      result = f args;
      again = new: makeOverridable f (args // (if isFunction new then new args else new));
    in
    if isAttrs result then
      result // { override = again; } // optionalAttrs (result ? overrideAttrs) {
        overrideAttrs = g: makeOverridable (x: (f x).overrideAttrs g) args;
      }
    else result;
  callPackageWith = autoArgs: fn: args:
    let f = if isFunction fn then fn else import fn; in
    makeOverridable f (builtins.intersectAttrs (functionArgs f) autoArgs // args);
  makeScope = newScope: f:
    let
      self = f self // {
        newScope = scope: newScope (self // scope);
        callPackage = self.newScope { };
        overrideScope = g: makeScope newScope (extends g f);
        packages = f;
      };
    in self;

  # What a module says about a definition.
  mkIf = condition: content: { _type = "if"; inherit condition content; };
  mkMerge = contents: { _type = "merge"; inherit contents; };
  mkOrder = priority: content: { _type = "order"; inherit priority content; };
  mkBefore = mkOrder 500;
  mkAfter = mkOrder 1500;
  mkDefault = content: { _type = "override"; priority = 1000; inherit content; };
  mkForce = content: { _type = "override"; priority = 50; inherit content; };

  systems.examples = {
    aarch64-multiplatform = { config = "aarch64-unknown-linux-gnu"; };
    riscv64 = { config = "riscv64-unknown-linux-gnu"; };
    gnu64 = { config = "x86_64-unknown-linux-gnu"; };
  };
  systems.flakeExposed = [ "x86_64-linux" "aarch64-linux" ];
}
