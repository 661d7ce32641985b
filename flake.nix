{
  description = "The systemd journal to Grafana Loki, with alerts: one small daemon on every host";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-26.05";

  outputs =
    { self, nixpkgs }:
    let
      inherit (nixpkgs) lib;
      systems = [
        "x86_64-linux"
        "aarch64-linux"
      ];
      eachSystem = f: lib.genAttrs systems (system: f nixpkgs.legacyPackages.${system});
      package = ./config/nix/package.nix;
    in
    {
      packages = eachSystem (pkgs: {
        default = pkgs.callPackage package { };
        # Of musl and nothing else, for any Linux.
        static = pkgs.pkgsStatic.callPackage package { };
      });

      overlays.default = final: _: { journal-ship = final.callPackage package { }; };

      nixosModules.default =
        { pkgs, ... }:
        {
          imports = [ ./module.nix ];
          services.journalship.package =
            lib.mkDefault
              self.packages.${pkgs.stdenv.hostPlatform.system}.default;
        };

      apps = eachSystem (pkgs: {
        default = {
          type = "app";
          program = lib.getExe self.packages.${pkgs.stdenv.hostPlatform.system}.default;
          meta.description = "journal-ship itself: nix run . -- --dry-run";
        };
      });

      checks = eachSystem (
        pkgs:
        let
          package = self.packages.${pkgs.stdenv.hostPlatform.system}.default;
          # The package's build with another command.
          cargo =
            name: command: inputs:
            package.overrideAttrs (before: {
              pname = "journal-ship-${name}";
              src = self;
              nativeBuildInputs = before.nativeBuildInputs ++ inputs;
              buildPhase = command;
              doCheck = false;
              installPhase = "touch $out";
            });
          # Each host of the example fleet: what it would run, checked.
          fleet =
            name: engine:
            lib.mapAttrs' (
              host: system: lib.nameValuePair "${name}-${host}" system.config.environment.etc."journal-ship/config.yaml".source
            ) (import ./tests/nix/fleet.nix { inherit nixpkgs pkgs engine; module = self.nixosModules.default; });
        in
        {
          inherit package;
          clippy = cargo "clippy" "cargo clippy --offline --all-targets -- --deny warnings" [ pkgs.clippy ];
          fmt = pkgs.runCommand "journal-ship-fmt" { nativeBuildInputs = [ pkgs.cargo pkgs.rustfmt pkgs.nixfmt ]; } ''
            cd ${self}
            cargo fmt --check
            nixfmt --check $(find . -name '*.nix')
            touch $out
          '';
          # Agent, Loki and Alertmanager on virtual machines: journal, credentials, an outage, a reboot.
          vm = pkgs.testers.runNixOSTest (import ./tests/nix/vm.nix { module = self.nixosModules.default; });
        }
        // fleet "fleet" "loki"
        // fleet "fleet-journal" "journal"
      );

      devShells = eachSystem (pkgs: {
        default = pkgs.mkShell {
          inputsFrom = [ self.packages.${pkgs.stdenv.hostPlatform.system}.default ];
          packages = [
            pkgs.cargo-deny
            pkgs.clippy
            pkgs.deadnix
            pkgs.rustfmt
          ];
        };
      });

      formatter = eachSystem (pkgs: pkgs.nixfmt);
    };
}
