# A STAND-IN for nixpkgs as a flake: what flake.nix takes from it, with derivations that cannot be built.
{
  outputs =
    _:
    let
      fake =
        name:
        derivation {
          inherit name;
          system = "x86_64-linux";
          builder = "/bin/false";
        }
        // {
          overrideAttrs = f: fake (f { nativeBuildInputs = [ ]; }).pname;
        };
      pkgs = system: {
        callPackage = path: _: builtins.seq (import path) (fake "journal-ship");
        pkgsStatic = pkgs system;
        stdenv.hostPlatform.system = system;
        runCommand = name: _: _: fake name;
        mkShell = _: fake "shell";
        testers.runNixOSTest = test: fake test.name;
        nixfmt = fake "nixfmt";
      }
      // builtins.listToAttrs (
        map
          (name: {
            inherit name;
            value = fake name;
          })
          [
            "cargo"
            "cargo-deny"
            "clippy"
            "deadnix"
            "rustfmt"
          ]
      );
      standIn = (import ./module-system.nix).lib;
    in
    {
      lib = standIn // {
        mapAttrs' =
          f: set:
          builtins.listToAttrs (map (name: f name set.${name}) (builtins.attrNames set));
        nameValuePair = name: value: { inherit name value; };
        getExe = package: "${package}/bin/${package.name}";
        nixosSystem = _: {
          config.environment.etc."journal-ship/config.yaml".source = fake "journal-ship.yaml";
        };
      };
      legacyPackages = {
        x86_64-linux = pkgs "x86_64-linux";
        aarch64-linux = pkgs "aarch64-linux";
      };
    };
}
