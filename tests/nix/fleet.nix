# The hosts of demo/fleet, each as a whole NixOS system. What agenix would bring is in agenix.nix.
{
  nixpkgs,
  pkgs,
  module,
  # Where the logs of the fleet are.
  engine ? "loki",
}:

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
        ./agenix.nix
        ../../demo/fleet/logging.nix
        (../../demo/fleet/hosts + "/${host}.nix")
        {
          services.journalship.server.engine = nixpkgs.lib.mkForce engine;
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
