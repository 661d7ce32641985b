# The hosts of demo/fleet, each as a whole NixOS system. What agenix would bring is declared here.
{
  nixpkgs,
  pkgs,
  module,
}:

let
  agenix =
    { lib, ... }:
    {
      options.age.secrets = lib.mkOption {
        type = lib.types.attrsOf (
          lib.types.submodule (
            { name, ... }:
            {
              options.file = lib.mkOption { type = lib.types.path; };
              options.path = lib.mkOption {
                type = lib.types.str;
                default = "/run/agenix/${name}";
              };
            }
          )
        );
        default = { };
      };
    };
in
nixpkgs.lib.genAttrs
  [
    "monitor"
    "web1"
    "db1"
    "nas"
  ]
  (
    host:
    nixpkgs.lib.nixosSystem {
      modules = [
        module
        agenix
        ../../demo/fleet/logging.nix
        (../../demo/fleet/hosts + "/${host}.nix")
        {
          nixpkgs.pkgs = pkgs;
          networking.hostName = host;
          system.stateVersion = "25.05";
          # As much of a machine as a system has to have.
          boot.loader.grub.enable = false;
          fileSystems."/" = {
            device = "none";
            fsType = "tmpfs";
          };
        }
      ];
    }
  )
